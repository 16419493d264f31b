// node paths.mjs <folder> <version of next> <paths> <MiB>
// Builds an app whose pages are rendered when they are first asked for, and asks two servers that share a folder for many of
// them, more than its bound allows. Prints a line for each check and figure, and exits with 1 if a check fails.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, start } from './servers.mjs';
import { writeApp } from './sources.mjs';

const core = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../services/web/src');
const [work, version, paths, mib] = [process.argv[2], process.argv[3], Number(process.argv[4]), Number(process.argv[5])];
// How many are asked for at once, and after how many the folder is looked at.
const [SIDE_BY_SIDE, LOOK] = [16, 100];
// Each file counts as 16 KiB at least.
const most = { bytes: mib * 1024 * 1024, files: mib * 64 };

let failed = 0;
function check(what, ok, seen = '') {
  if (!ok) failed++;
  console.log(`${ok ? 'pass' : 'FAIL'}  paths: ${what}${seen ? `  [${seen}]` : ''}`);
}

// What is in the folder now, with what is just being written.
function look(root) {
  const found = { files: 0, bytes: 0 };
  for (const entry of fs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const status = fs.lstatSync(path.join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false });
    if (!status) continue;
    found.files++;
    found.bytes += status.size;
  }
  return found;
}

// Resident memory of a process and its most so far, in MiB.
function memory(server) {
  const text = fs.readFileSync(`/proc/${server.child.pid}/status`, 'utf8');
  return ['VmRSS', 'VmHWM'].map((name) => Math.round(Number(text.match(new RegExp(`${name}:\\s+(\\d+)`))[1]) / 1024));
}

// Calls `ask` with each number up to `count`, a few at once.
async function each(count, ask) {
  let next = 0;
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, async () => {
    while (next < count) await ask(next++);
  }));
}

// Whether an answer is the page that was asked for, whole.
const isRight = (answer, n) => answer.status === 200 && answer.text.includes(`slug=page-${n}.`) && answer.text.endsWith('</html>');

const folder = path.join(work, `paths-${version}`);
fs.mkdirSync(folder, { recursive: true });
for (const part of ['package.json', 'node_modules']) {
  fs.cpSync(path.join(work, `v${version}`, part), path.join(folder, part), { recursive: true, verbatimSymlinks: true });
}
writeApp(folder, 'paths', Number(version.split('.')[0]), core);
const standalone = await build(folder, version, false, {});
const place = fs.mkdtempSync(path.join(os.tmpdir(), 'core-cache-paths-'));
const cacheDir = path.join(place, 'cache');
const on = { CORE_CACHE_DIR: cacheDir, CORE_RELEASE_ID: 'release-1', CORE_CACHE_MB: String(mib) };
const servers = [await start(standalone, on), await start(standalone, on)];
const told = () => servers.map((server) => memory(server).join('/')).join(' and ');

try {
  for (const server of servers) await server.get('/first');
  console.log(`      memory before, now/most: ${told()} MiB`);
  const times = new Map();
  const wrong = [];
  const peak = { files: 0, bytes: 0 };
  let [looks, slowest] = [0, 0];
  const from = Date.now();
  await each(paths, async (n) => {
    const asked = Date.now();
    const answer = await servers[n % 2].get(`/page-${n}`);
    slowest = Math.max(slowest, Date.now() - asked);
    if (!isRight(answer, n)) wrong.push(`${n}: ${answer.status}`);
    times.set(n, answer.t);
    if (n % LOOK === 0) {
      looks++;
      const found = look(cacheDir);
      for (const name of ['files', 'bytes']) peak[name] = Math.max(peak[name], found[name]);
    }
    if ((n + 1) % Math.ceil(paths / 8) === 0) console.log(`      memory after ${n + 1}: ${told()} MiB`);
  });
  const took = (Date.now() - from) / 1000;
  console.log(`      ${paths} paths in ${took.toFixed(0)} s, ${(paths / took).toFixed(0)} a second, the slowest ${slowest} ms`);
  check(`each of ${paths} paths gave its page`, wrong.length === 0, wrong.slice(0, 5).join(', '));
  check(`at most ${most.files} files at each of ${looks} looks`, peak.files <= most.files, `${peak.files}`);
  check(`at most ${mib} MiB`, peak.bytes <= most.bytes, `${(peak.bytes / 1024 / 1024).toFixed(1)} MiB`);
  const end = look(cacheDir);
  check('and at the end', end.files <= most.files && end.bytes <= most.bytes, `${end.files} files, ${(end.bytes / 1024 / 1024).toFixed(1)} MiB`);

  // Of the server that did not render them. The newest are still there, the oldest are not.
  const sample = Math.min(1000, Math.floor(paths / 4));
  for (const first of [paths - sample, 0]) {
    let [hits, bad] = [0, 0];
    await each(sample, async (index) => {
      const n = first + index;
      const answer = await servers[(n + 1) % 2].get(`/page-${n}`);
      if (!isRight(answer, n)) bad++;
      else if (answer.t === times.get(n)) hits++;
    });
    const isNew = first > 0;
    check(`${isNew ? 'the newest' : 'the oldest'} ${sample}, asked again of the other server`, bad === 0 && (!isNew || hits === sample),
      `${hits} as they were, ${sample - hits - bad} rendered again, ${bad} wrong`);
  }
  const said = servers.map((server) => server.log).join('').match(/.*(Error|Failed|warn).*/i)?.[0];
  check('no errors in the logs', !said, said);
  console.log(`      memory after all: ${told()} MiB`);
} catch (error) {
  check(`ran to the end: ${error.stack}`, false);
}
await Promise.all(servers.map((server) => server.stop()));
fs.rmSync(place, { recursive: true, force: true });
process.exit(failed ? 1 : 0);
