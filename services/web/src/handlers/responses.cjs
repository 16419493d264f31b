'use strict';
// Pages, routes, fetch results and images, shared by the replicas of an app.
const path = require('node:path');
const interop = (module) => module.default ?? module;
const FileSystemCache = interop(require('next/dist/server/lib/incremental-cache/file-system-cache'));
const { Store } = require('./store.cjs');
const { tell } = require('./lifetimes.cjs');
const { own } = require('./names.cjs');
const { place, store, tags } = require('./shared.cjs');

const TAGS_HEADER = 'x-next-cache-tags';
const MOST_UNSAVED = 10000;

// Pages that came from the build: their first write leaves a mark, see `find`.
const seeded = new Set();
// Keys whose newest value is not on the disk, because it is full or read-only.
const unsaved = new Set();
// Without a place from core, images stay beside the build, as they do by default.
let imagesOfBuild;

// 14 names the kind of a fetch elsewhere than later versions do.
function kindOf(context, value) {
  if (context.kind === 'IMAGE' || value?.kind === 'IMAGE') return 'image';
  const fetched = context.kind === 'FETCH' || context.kindHint === 'fetch' || context.fetchCache === true;
  return fetched || value?.kind === 'FETCH' ? 'fetch' : 'page';
}

function tagsOf(kind, value, context) {
  if (kind === 'fetch') return [...(context.tags ?? []), ...(context.softTags ?? [])];
  const header = value?.headers?.[TAGS_HEADER];
  return typeof header === 'string' ? header.split(',') : [];
}

class Responses {
  constructor(context) {
    if (!place && context.fs) return new FileSystemCache(context);
    this.revalidated = context.revalidatedTags ?? [];
    // Next's own cache reads what the build made, and is the memory of this process when the disk fails. It must not
    // write: a release stays as it was built. The handler for images gets no `fs`.
    if (context.fs) this.next = new FileSystemCache({ ...context, flushToDisk: false });
    if (!place) {
      const folder = path.join(context.serverDistDir, '..', 'cache', 'core-images');
      imagesOfBuild ??= new Store(folder, 512 * 1024 * 1024);
    }
    this.store = store ?? imagesOfBuild;
  }

  async get(key, context = {}) {
    try {
      tags?.refresh();
      const kind = kindOf(context);
      const found = await this.find(kind, key, context);
      return found && this.usable(kind, key, found, context) ? found : null;
    } catch {
      // A page without a cache is better than no page.
      return null;
    }
  }

  async find(kind, key, context) {
    const name = `${kind}:${key}`;
    if (!unsaved.has(name)) {
      const found = await this.store.get(spaceOf(kind), name);
      if (found) {
        if (kind === 'page') tell(key, found);
        return found;
      }
      // The page of the build was replaced once. If the newer one is gone (swept, damaged), the old one must not return.
      if (kind === 'page' && (await this.store.marked(spaceOf(kind), name))) return null;
    }
    const seed = await this.next?.get(key, context);
    if (seed && kind === 'page') seeded.add(name);
    return seed;
  }

  // Expired by a tag means to render before answering, as by default. Stale (serve, then render) is what Next.js
  // decides by the same tag times; where it can't see them, stale counts as expired.
  usable(kind, key, found, context) {
    const time = found.lastModified ?? 0;
    // Forgotten by a person: a page of the build as well.
    if (tags?.expired(own(kind, key), time)) return false;
    if (kind === 'image') return true;
    const names = tagsOf(kind, found.value, context);
    if (kind === 'fetch' && names.some((tag) => this.revalidated.includes(tag))) return false;
    if (tags.expired(names, time)) return false;
    return tags.rules.next !== undefined || !tags.stale(names, time);
  }

  async set(key, value, context = {}) {
    try {
      const kind = kindOf(context, value);
      const name = `${kind}:${key}`;
      if (seeded.has(name)) await this.store.mark(spaceOf(kind), name);
      const { cacheControl, revalidate } = context;
      const record = { lastModified: Date.now(), value, cacheControl, revalidate };
      if (await this.store.set(spaceOf(kind), name, record)) {
        unsaved.delete(name);
        return;
      }
      if (unsaved.size >= MOST_UNSAVED) unsaved.clear();
      unsaved.add(name);
      await this.next?.set(key, value, context);
    } catch {
      // Not kept.
    }
  }

  async revalidateTag(names, durations) {
    tags?.add([names].flat(), durations);
  }

  resetRequestCache() {}
}

// Pages belong to the release that rendered them, and so do images: a file of the app may be another one in the next
// release, under the same address. Results of fetch do not depend on the release.
function spaceOf(kind) {
  if (!place) return 'app';
  return kind === 'fetch' ? place.app : place.release;
}

module.exports = Responses;
