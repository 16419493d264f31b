'use strict';
// Keeps the folder within its bound: removes the oldest entries first.
const fs = require('node:fs/promises');
const path = require('node:path');

// Each file counts as at least this much, so the one bound also limits the number of files (512 MiB: 32768).
const LEAST = 16 * 1024;
// A temporary file this old was left by a process that died.
const ABANDONED = 10 * 60 * 1000;
// A release that is not the own one and wrote nothing for this time is over.
const FORGOTTEN = 30 * 24 * 60 * 60 * 1000;
// How many files are looked at side by side: few, since pages are served meanwhile.
const BATCH = 32;

function cost(size) {
  return Math.max(size, LEAST);
}

async function namesIn(folder) {
  try {
    return await fs.readdir(folder);
  } catch {
    return [];
  }
}

// Every file of every `entries` folder, as { file, size, time }.
async function entriesBelow(root) {
  const spaces = ['app', ...(await namesIn(path.join(root, 'releases'))).map((name) => `releases/${name}`)];
  const entries = [];
  for (const space of spaces) {
    const folder = path.join(root, space, 'entries');
    const names = await namesIn(folder);
    for (let start = 0; start < names.length; start += BATCH) {
      await Promise.all(names.slice(start, start + BATCH).map(async (name) => {
        const file = path.join(folder, name);
        try {
          const { size, mtimeMs } = await fs.lstat(file);
          entries.push({ file, size, time: mtimeMs, temporary: name.startsWith('.') });
        } catch {
          // Another process removed it.
        }
      }));
    }
  }
  return entries;
}

async function remove(file) {
  try {
    await fs.rm(file, { recursive: true, force: true });
  } catch {
    // A folder that can't be written: nothing grows there either.
  }
}

// Removes the oldest entries until what is left counts at most `goal` bytes. Several processes may do this at once:
// they agree on what is oldest, and a file that is gone already is no error.
async function sweep(root, goal) {
  const now = Date.now();
  const entries = await entriesBelow(root);
  entries.sort((one, other) => one.time - other.time);
  let total = entries.reduce((sum, entry) => sum + cost(entry.size), 0);
  for (const entry of entries) {
    const abandoned = entry.temporary && now - entry.time > ABANDONED;
    // A young temporary file is being written: its rename would fail.
    if (!abandoned && (entry.temporary || total <= goal)) continue;
    await remove(entry.file);
    total -= cost(entry.size);
  }
}

// When a folder changed last; 0 if there is none.
async function timeOf(folder) {
  try {
    return (await fs.lstat(folder)).mtimeMs;
  } catch {
    return 0;
  }
}

// Deletes what is left of releases that wrote nothing for long: nobody goes back to them.
async function forget(root, own) {
  for (const name of await namesIn(path.join(root, 'releases'))) {
    const folder = path.join(root, 'releases', name);
    const times = await Promise.all(['entries', 'marks'].map((name) => timeOf(path.join(folder, name))));
    if (`releases/${name}` !== own && Date.now() - Math.max(...times) > FORGOTTEN) await remove(folder);
  }
}

module.exports = { sweep, forget, remove, cost };
