'use strict';
// What the times of tags mean. Next.js decides by its own map where it has one that others can fill (15 and 16): this
// map is kept equal to ours, so its rules hold here and in the places that only Next.js sees.
const { inside } = require('./inside.cjs');

class Rules {
  constructor(next) {
    this.next = next;
    this.times = new Map();
    // Tags that had to be forgotten were revalidated at this time or before.
    this.floor = 0;
  }

  clear() {
    this.times.clear();
    this.floor = 0;
  }

  raise(time) {
    this.floor = Math.max(this.floor, time);
  }

  // One line of the log: tags `t` with the time they got stale `s` and expired `e`, or a floor `f`. Says whether it
  // was understood.
  apply(note) {
    if (note === null || typeof note !== 'object') return false;
    if (typeof note.f === 'number') {
      this.raise(note.f);
      return true;
    }
    if (!Array.isArray(note.t)) return false;
    const times = {};
    if (typeof note.s === 'number') times.stale = note.s;
    if (typeof note.e === 'number') times.expired = note.e;
    for (const tag of note.t) {
      // Set anew, so that the map is in the order of the last change.
      const merged = { ...this.times.get(tag), ...times };
      this.times.delete(tag);
      this.times.set(tag, merged);
      this.show(tag, merged);
    }
    return true;
  }

  show(tag, times) {
    if (!this.next) return;
    // 15 keeps one number per tag.
    this.next.tagsManifest.set(tag, this.next.areTagsExpired ? times : times.expired);
  }

  expired(tags, time) {
    if (tags.length === 0) return false;
    if (time < this.floor) return true;
    if (this.next) return (this.next.areTagsExpired || this.next.isStale)(tags, time);
    const now = Date.now();
    // 14: no expiry in the future, and the same millisecond counts as revalidated.
    return tags.some((tag) => {
      const expired = this.times.get(tag)?.expired;
      return expired !== undefined && expired <= now && expired >= time;
    });
  }

  stale(tags, time) {
    if (this.next) return Boolean(this.next.areTagsStale?.(tags, time));
    return tags.some((tag) => this.times.get(tag)?.stale > time);
  }

  expiration(tags) {
    const now = Date.now();
    const expired = tags.map((tag) => this.times.get(tag)?.expired ?? 0).filter((time) => time <= now);
    return Math.max(this.floor, ...expired);
  }

  // The log that says the same in at most `size` characters. What does not fit is covered by the floor.
  lines(size) {
    const lines = [];
    let floor = this.floor;
    let left = size;
    for (const [tag, times] of [...this.times].reverse()) {
      const line = JSON.stringify({ t: [tag], s: times.stale, e: times.expired });
      left -= line.length + 1;
      if (left >= 0) lines.push(line);
      else floor = Math.max(floor, Math.min(Date.now(), Math.max(times.stale ?? 0, times.expired ?? 0)));
    }
    if (floor > 0) lines.push(JSON.stringify({ f: floor }));
    return lines.reverse().map((line) => `${line}\n`).join('');
  }
}

function rulesOf(next) {
  return new Rules(next);
}

// Next's own map and rules, undefined in 14 or if a later version has moved them.
function nextTags() {
  const found = inside('incremental-cache/tags-manifest.external');
  return found?.tagsManifest instanceof Map && (found.areTagsExpired || found.isStale) ? found : undefined;
}

module.exports = { rulesOf, nextTags };
