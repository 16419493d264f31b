// node check.mjs <folder> <version of next> [--only=classic|cached|keys]
// Builds small apps with this version, whose packages are in <folder>/v<version>, and checks the handlers of the cache on two
// servers that share one folder, and the key of server actions over a rotation. Prints a line for each check, and exits with 1 if one fails.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkCached } from './cached.mjs';
import { checkClassic } from './classic.mjs';
import { checkKeys } from './keys.mjs';
import { measure } from './measure.mjs';
import { build, upstream } from './servers.mjs';
import { patch } from './patch.mjs';
import { writeApp } from './sources.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
// What core puts into a build.
const core = path.join(here, '../../services/web/src');
const [work, version] = process.argv.slice(2);
const only = process.argv.find((word) => word.startsWith('--only='))?.slice(7);
const major = Number(version.split('.')[0]);
const minor = Number(version.split('.')[1]);
// Without an adapter, the handler is put into the finished build.
const patched = major < 15 || (major === 15 && minor < 5);
const origin = path.join(work, `v${version}`);
const rows = [];
const numbers = await upstream();
const environment = { UPSTREAM: String(numbers.port) };

for (const name of ['classic', ...(major >= 16 ? ['cached'] : []), 'keys']) {
  if (only && only !== name) continue;
  const check = (what, ok, seen = '') => {
    rows.push({ app: name, what, ok });
    console.log(`${ok ? 'pass' : 'FAIL'}  ${name}: ${what}${seen ? `  [${seen}]` : ''}`);
  };
  const folder = path.join(work, `${name}-${version}`);
  const standalone = path.join(folder, '.next/standalone');
  fs.mkdirSync(folder, { recursive: true });
  for (const part of ['package.json', 'node_modules']) {
    fs.cpSync(path.join(origin, part), path.join(folder, part), { recursive: true, verbatimSymlinks: true });
  }
  writeApp(folder, name, major, core);
  if (name === 'keys') {
    try {
      await checkKeys({ folder, version, patched, core, check });
    } catch (error) {
      check(`ran to the end: ${error.stack}`, false);
    }
    continue;
  }
  await build(folder, version, patched, environment);
  if (patched) patch(folder, standalone);
  // What the build rendered is older than a second or two: some pages are rendered again after that.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const cacheDir = path.join(fs.mkdtempSync(path.join(os.tmpdir(), `core-cache-${name}-`)), 'cache');
  const context = { version, standalone, environment, cacheDir, check };
  try {
    await (name === 'classic' ? checkClassic : checkCached)(context);
    if (name === 'classic') await measure(context);
  } catch (error) {
    check(`ran to the end: ${error.stack}`, false);
  }
}
const failed = rows.filter((row) => !row.ok);
console.log(`\n${version}: ${rows.length - failed.length} of ${rows.length} checks pass`);
for (const row of failed) console.log(`  FAIL ${row.app}: ${row.what}`);
numbers.close();
process.exit(failed.length ? 1 : 0);
