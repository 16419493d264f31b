// How long a prerendered page takes with Next's default cache and with the shared one.
import { start } from './servers.mjs';

async function times(server, page, count) {
  for (let n = 0; n < 100; n++) await server.get(page);
  const all = [];
  for (let n = 0; n < count; n++) {
    const from = process.hrtime.bigint();
    await server.get(page);
    all.push(Number(process.hrtime.bigint() - from) / 1e6);
  }
  all.sort((one, other) => one - other);
  const at = (share) => all[Math.floor(all.length * share)].toFixed(2);
  return `p50 ${at(0.5)} ms, p95 ${at(0.95)} ms`;
}

export async function measure({ standalone, environment, cacheDir }) {
  for (const [name, extra] of [['default', {}], ['shared', { CORE_CACHE_DIR: cacheDir, CORE_RELEASE_ID: 'release-1' }]]) {
    const server = await start(standalone, { ...environment, ...extra });
    for (const page of ['/blog/one', '/legacy/1']) console.log(`time  ${page} with the ${name} cache: ${await times(server, page, 500)}`);
    await server.stop();
  }
}
