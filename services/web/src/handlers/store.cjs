'use strict';
// Values in files, shared by all processes of an app on this host. Nothing here throws: what can't be read is not
// there, what can't be written is not kept.
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { encode, decode } = require('./record.cjs');
const { Recent } = require('./recent.cjs');
const { sweep, remove, cost } = require('./sweep.cjs');

// A process sweeps when it has written this share of the bound since its last sweep, and sweeps down to the goal.
// So 8 processes that write at full speed at once stay within the bound.
const TURN = 1 / 32;
const GOAL = 3 / 4;
// A single value may take this share of the bound at most.
const LARGEST = 1 / 16;

class Store {
  constructor(root, limit) {
    this.root = root;
    this.limit = limit;
    // The first write sweeps: a process that is restarted often would otherwise never come to it.
    this.written = limit;
    this.sweeping = undefined;
    this.count = 0;
    this.recent = new Recent();
  }

  // Keys come from addresses that anyone may ask for, so names are hashes: no key can leave the folder.
  file(space, folder, key) {
    return path.join(this.root, space, folder, crypto.createHash('sha256').update(key).digest('hex'));
  }

  // Reads synchronously: from the page cache of the system this takes a tenth of the way over the thread pool.
  async get(space, key) {
    const file = this.file(space, 'entries', key);
    let value;
    try {
      const found = fs.statSync(file, { throwIfNoEntry: false });
      if (!found) return undefined;
      value = this.recent.get(file, found);
      if (value !== undefined) return value;
      value = decode(key, fs.readFileSync(file));
      if (value !== undefined) {
        this.recent.put(file, found, value);
        return value;
      }
    } catch (error) {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    }
    await remove(file);
    return undefined;
  }

  // Whether the value is kept now. If not, an older value of the key is removed: it must not come back as if it were
  // the newest.
  async set(space, key, value) {
    const file = this.file(space, 'entries', key);
    let bytes;
    try {
      bytes = encode(key, value);
    } catch {
      // Holds something that can't be written down, a function for example.
    }
    if (bytes && bytes.length <= this.limit * LARGEST && (await this.write(file, bytes))) {
      await this.bound(bytes.length);
      return true;
    }
    await remove(file);
    return false;
  }

  // All or nothing: readers see the old file or the new one.
  async write(file, bytes) {
    const folder = path.dirname(file);
    const temporary = path.join(folder, `.${process.pid}-${this.count++}-${crypto.randomBytes(4).toString('hex')}`);
    try {
      try {
        await fs.promises.writeFile(temporary, bytes, { flag: 'wx', mode: 0o600 });
      } catch (error) {
        if (error.code !== 'ENOENT') throw error;
        await fs.promises.mkdir(folder, { recursive: true, mode: 0o700 });
        await fs.promises.writeFile(temporary, bytes, { flag: 'wx', mode: 0o600 });
      }
      await fs.promises.rename(temporary, file);
      return true;
    } catch {
      await remove(temporary);
      return false;
    }
  }

  // Counts what was written, and sweeps in turn. Next.js holds requests for the same page until the write is done, so a
  // writer does not wait for the sweep it starts. It waits if the next one is due before: writers must not outrun it.
  async bound(size) {
    this.written += cost(size);
    if (this.written < this.limit * TURN) return;
    if (this.sweeping) return this.sweeping;
    this.written = 0;
    this.sweeping = sweep(this.root, this.limit * GOAL).catch(() => {}).then(() => {
      this.sweeping = undefined;
    });
  }

  // A mark is an empty file that is never swept. See responses.cjs for its use.
  async mark(space, key) {
    await this.write(this.file(space, 'marks', key), '');
  }

  async marked(space, key) {
    try {
      await fs.promises.access(this.file(space, 'marks', key));
      return true;
    } catch {
      return false;
    }
  }
}

module.exports = { Store };
