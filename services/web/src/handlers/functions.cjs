'use strict';
// Results of 'use cache' functions, shared by the replicas of a release. The rules are those of Next's default handler;
// only the memory is a folder.
const { inside } = require('./inside.cjs');
const { ALL } = require('./names.cjs');
const { place, store, tags } = require('./shared.cjs');

// Writes that are under way in this process: a reader waits for them.
const pending = new Map();

async function bytesOf(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function streamOf(bytes) {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
  });
}

function now() {
  return performance.timeOrigin + performance.now();
}

async function read(key) {
  await pending.get(key);
  const entry = await store.get(place.release, `use:${key}`);
  // Kept in memory when the disk failed. Next's own handler sees the same tag times.
  if (!entry) return memory().get(key, []);
  if (now() > entry.timestamp + entry.revalidate * 1000) return undefined;
  if (tags.expired([...entry.tags, ALL], entry.timestamp)) return undefined;
  const revalidate = tags.stale(entry.tags, entry.timestamp) ? -1 : entry.revalidate;
  return { ...entry, revalidate, value: streamOf(entry.value) };
}

async function write(key, promised) {
  const entry = await promised;
  // Next.js renders such an entry anew on each read.
  if (entry.expire === 0) return;
  const value = await bytesOf(entry.value);
  if (await store.set(place.release, `use:${key}`, { ...entry, value })) return;
  await memory().set(key, Promise.resolve({ ...entry, value: streamOf(value) }));
}

const shared = {
  async get(key) {
    try {
      tags.refresh();
      return await read(key);
    } catch {
      return undefined;
    }
  },

  async set(key, promised) {
    // A stream that breaks off, or a render that fails: not kept.
    const writing = write(key, promised).catch(() => {});
    pending.set(key, writing);
    await writing;
    if (pending.get(key) === writing) pending.delete(key);
  },

  async refreshTags() {
    tags.refresh();
  },

  async getExpiration(names) {
    tags.refresh();
    return tags.expiration(names);
  },

  async updateTags(names, durations) {
    tags.add(names, durations);
  },
};

// Next's own handler: 50 MB in the memory of this process.
function memory() {
  const found = inside('cache-handlers/default.external');
  return found.default ?? found;
}

module.exports = place ? shared : memory();
