'use strict';
// node flood.cjs <keys> <MiB>: one process writes many keys, of 1 to 40 KB each. Prints what a write costs with the sweeps,
// and the most files and bytes that there were; exits with 1 if these were more than the bound allows.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Store } = require('../../services/web/src/handlers/store.cjs');

// After how many keys the folder is looked at.
const LOOK = 500;
const MIB = 1024 * 1024;

// How many files are in a folder, and their bytes.
function look(folder) {
  const found = { files: 0, bytes: 0 };
  for (const name of fs.readdirSync(folder)) {
    const status = fs.lstatSync(path.join(folder, name), { throwIfNoEntry: false });
    if (!status) continue;
    found.files++;
    found.bytes += status.size;
  }
  return found;
}

(async () => {
  const [keys, mib] = [Number(process.argv[2] ?? 30000), Number(process.argv[3] ?? 128)];
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'core-cache-flood-'));
  const store = new Store(root, mib * MIB);
  const values = Array.from({ length: 40 }, (_, kb) => ({ html: 'x'.repeat((kb + 1) * 1000) }));
  const most = { files: 0, bytes: 0 };
  let [slowest, unwritten] = [0, 0];
  // Without the looks.
  const spent = { time: 0, cpu: 0 };
  for (let from = 0; from < keys; from += LOOK) {
    const [began, cpu] = [process.hrtime.bigint(), process.cpuUsage()];
    for (let n = from; n < Math.min(keys, from + LOOK); n++) {
      const start = process.hrtime.bigint();
      if (!(await store.set('releases/r', `/page/${n}`, values[n % values.length]))) unwritten++;
      slowest = Math.max(slowest, Number(process.hrtime.bigint() - start) / 1e6);
    }
    const { user, system } = process.cpuUsage(cpu);
    spent.time += Number(process.hrtime.bigint() - began) / 1e6;
    spent.cpu += (user + system) / 1000;
    const found = look(path.join(root, 'releases/r/entries'));
    for (const name of ['files', 'bytes']) most[name] = Math.max(most[name], found[name]);
  }
  console.log(`${keys} keys in ${(spent.time / 1000).toFixed(0)} s, bound ${mib} MiB (${mib * 64} files): ${(spent.time / keys).toFixed(2)} ms each, cpu `
    + `${(spent.cpu / keys).toFixed(2)} ms each, slowest ${slowest.toFixed(0)} ms, ${unwritten} not written, at most ${most.files} files and ${(most.bytes / MIB).toFixed(1)} MiB`);
  fs.rmSync(root, { recursive: true });
  process.exit(most.files > mib * 64 || most.bytes > mib * MIB || unwritten > 0 ? 1 : 0);
})();
