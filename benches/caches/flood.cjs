'use strict';
// node flood.cjs <keys> <MiB>: one process writes many keys. Prints what a write costs with the sweeps, and the most files
// that there were; exits with 1 if these were more than the bound allows.
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Store } = require('../../services/web/src/handlers/store.cjs');

(async () => {
  const [keys, mib] = [Number(process.argv[2] ?? 30000), Number(process.argv[3] ?? 128)];
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'core-cache-flood-'));
  const store = new Store(root, mib * 1024 * 1024);
  const value = { html: 'x'.repeat(6000) };
  const from = Date.now();
  let most = 0;
  let slowest = 0;
  for (let n = 0; n < keys; n++) {
    const start = process.hrtime.bigint();
    await store.set('releases/r', `/page/${n}`, value);
    slowest = Math.max(slowest, Number(process.hrtime.bigint() - start) / 1e6);
    if (n % 2000 === 0) most = Math.max(most, fs.readdirSync(path.join(root, 'releases/r/entries')).length);
  }
  const { user, system } = process.cpuUsage();
  console.log(`${keys} keys, bound ${mib} MiB (${mib * 64} files): ${((Date.now() - from) / keys).toFixed(2)} ms each, cpu `
    + `${((user + system) / 1000 / keys).toFixed(2)} ms each, slowest ${slowest.toFixed(0)} ms, at most ${most} files`);
  fs.rmSync(root, { recursive: true });
  process.exit(most > mib * 64 ? 1 : 0);
})();
