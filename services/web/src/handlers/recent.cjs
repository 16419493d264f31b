'use strict';
// What this process read last from files, so that a popular page is neither read nor checked again. An entry holds as
// long as the file is the same one: writers always make a new file.
const MOST = 32 * 1024 * 1024;
// Clocks of file systems are coarse, and inodes are used again: two files of the same moment could look the same.
const SETTLED = 100;

class Recent {
  constructor(most = MOST) {
    this.most = most;
    this.bytes = 0;
    this.entries = new Map();
  }

  // `found` is what stat says of the file now.
  get(file, found) {
    const entry = this.entries.get(file);
    if (!entry) return undefined;
    this.forget(file);
    if (entry.ino !== found.ino || entry.time !== found.mtimeMs || entry.size !== found.size) return undefined;
    this.add(file, entry);
    return entry.value;
  }

  put(file, found, value) {
    this.forget(file);
    if (found.size > this.most / 8 || Date.now() - found.mtimeMs < SETTLED) return;
    this.add(file, { ino: found.ino, time: found.mtimeMs, size: found.size, value });
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= this.most) break;
      this.forget(oldest);
    }
  }

  // At the end: the map is in the order of use.
  add(file, entry) {
    this.entries.set(file, entry);
    this.bytes += entry.size;
  }

  forget(file) {
    const entry = this.entries.get(file);
    if (!entry) return;
    this.entries.delete(file);
    this.bytes -= entry.size;
  }
}

module.exports = { Recent };
