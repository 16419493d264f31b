'use strict';
// When each tag was revalidated. All processes of the app append to one file and read what others appended: a stat per
// look-up, so a revalidation on one replica holds on the next request of every other one.
const fs = require('node:fs');
const path = require('node:path');
const { rulesOf } = require('./rules.cjs');

// Beyond this the file is written anew with the newest half.
const LIMIT = 4 * 1024 * 1024;
// A lock this old was left by a process that died.
const ABANDONED = 60 * 1000;

class Tags {
  constructor(folder, next, limit = LIMIT) {
    this.folder = folder;
    this.log = path.join(folder, 'tags.log');
    this.limit = limit;
    this.rules = rulesOf(next);
    this.forget();
  }

  forget() {
    this.inode = undefined;
    this.offset = 0;
  }

  // Reads what was appended since. Synchronous on purpose: the stat takes microseconds, the way over the thread pool
  // more.
  refresh() {
    try {
      const found = fs.statSync(this.log, { throwIfNoEntry: false });
      if (!found) return this.forget();
      if (found.ino === this.inode && found.size === this.offset) return;
      const file = fs.openSync(this.log, 'r');
      try {
        // What is lost can't be known: all that is tagged and older than now counts as revalidated.
        if (this.read(file)) {
          this.rules.raise(Date.now());
          this.rewrite();
        }
      } finally {
        fs.closeSync(file);
      }
    } catch {
      // Unreadable: what this process knows must do.
    }
  }

  // Applies the complete lines from the offset on. Says whether something is not as it was written.
  read(file) {
    const { ino, size } = fs.fstatSync(file);
    let damaged = false;
    if (ino !== this.inode) {
      this.rules.clear();
      this.inode = ino;
      this.offset = 0;
    } else if (size < this.offset) {
      // Nobody shortens this file.
      damaged = true;
      this.offset = 0;
    }
    const whole = this.offset === 0;
    const { notes, end, bad, rest } = notesIn(file, this.offset);
    this.offset += end;
    for (const note of notes) damaged = !this.rules.apply(note) || damaged;
    // A line without an end may still be on its way, but not at the start of a process.
    return damaged || bad || (whole && rest);
  }

  // Notes that the tags were revalidated now. `durations` as Next.js 16 gives it: then they are stale at once and
  // expired later. Without it they are expired at once. Says whether other processes will see it.
  add(tags, durations) {
    if (tags.length === 0) return true;
    const now = Date.now();
    const note = { t: tags };
    if (durations) {
      note.s = now;
      if (Number.isFinite(durations.expire)) note.e = now + durations.expire * 1000;
    } else {
      note.e = now;
    }
    this.refresh();
    const isWritten = this.append(`${JSON.stringify(note)}\n`);
    if (!isWritten) this.rules.apply(note);
    this.refresh();
    if (this.offset > this.limit) this.rewrite();
    return isWritten;
  }

  // True when the line is in the file that others read. A rewrite may exchange the file at any moment, hence the look
  // afterwards.
  append(line) {
    try {
      fs.mkdirSync(this.folder, { recursive: true, mode: 0o700 });
      for (let attempt = 0; attempt < 5; attempt++) {
        const file = fs.openSync(this.log, 'a', 0o600);
        try {
          fs.writeSync(file, line);
          if (fs.fstatSync(file).ino === fs.statSync(this.log).ino) return true;
        } finally {
          fs.closeSync(file);
        }
      }
    } catch {
      // Full or read-only.
    }
    return false;
  }

  // Replaces the file by one with the newest tags in half of the limit.
  rewrite() {
    const lock = path.join(this.folder, 'tags.lock');
    if (!take(lock)) return;
    const temporary = path.join(this.folder, `.tags-${process.pid}`);
    let old;
    try {
      old = fs.openSync(this.log, 'r');
      this.read(old);
      fs.writeFileSync(temporary, this.rules.lines(this.limit / 2), { mode: 0o600 });
      fs.renameSync(temporary, this.log);
      // What others appended to the old file between the reading and the exchange.
      for (const note of notesIn(old, this.offset).notes) this.append(`${JSON.stringify(note)}\n`);
      this.forget();
    } catch {
      // Full or read-only: the file stays as it is.
    } finally {
      if (old !== undefined) fs.closeSync(old);
      fs.rmSync(temporary, { force: true });
      fs.rmSync(lock, { force: true });
    }
  }

  expired(tags, time) {
    return this.rules.expired(tags, time);
  }

  stale(tags, time) {
    return this.rules.stale(tags, time);
  }

  // When the last of the tags expired, 0 if none did.
  expiration(tags) {
    return this.rules.expiration(tags);
  }
}

// The complete lines of an open file from the offset on: the notes in them, how many bytes they are, whether one is not
// JSON, and whether something follows them.
function notesIn(file, offset) {
  const bytes = Buffer.alloc(Math.max(0, fs.fstatSync(file).size - offset));
  const got = bytes.subarray(0, fs.readSync(file, bytes, 0, bytes.length, offset));
  const end = got.lastIndexOf(10) + 1;
  const notes = [];
  let bad = false;
  for (const line of got.toString('utf8', 0, end).split('\n')) {
    if (!line) continue;
    try {
      notes.push(JSON.parse(line));
    } catch {
      bad = true;
    }
  }
  return { notes, end, bad, rest: end < got.length };
}

function take(lock) {
  try {
    fs.closeSync(fs.openSync(lock, 'wx', 0o600));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') return false;
    const found = fs.statSync(lock, { throwIfNoEntry: false });
    if (found && Date.now() - found.mtimeMs > ABANDONED) fs.rmSync(lock, { force: true });
    return false;
  }
}

module.exports = { Tags };
