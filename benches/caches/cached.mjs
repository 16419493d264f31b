// Checks on the app with 'use cache' (16 and later).
import fs from 'node:fs';
import { start } from './servers.mjs';
import { cacheFiles, until, pause } from './classic.mjs';

// Posts the form of a page as a browser without JavaScript does.
async function submit(server, page) {
  const form = (await server.get(page)).text;
  const names = [...form.matchAll(/<input type="hidden" name="(\$ACTION[^"]*)"(?: value="([^"]*)")?/g)];
  if (names.length === 0) throw new Error(`no action in ${form}`);
  const boundary = 'xxBoundaryxx';
  const body = names.map(([, name, value]) =>
    `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${(value ?? '').replaceAll('&quot;', '"')}\r\n`).join('') + `--${boundary}--\r\n`;
  return server.get(page, { method: 'POST', body, headers: { 'content-type': `multipart/form-data; boundary=${boundary}`,
    origin: `http://127.0.0.1:${server.port}`, 'content-length': Buffer.byteLength(body) } });
}

export async function checkCached({ standalone, environment, cacheDir, check }) {
  const on = { ...environment, CORE_CACHE_DIR: cacheDir, CORE_RELEASE_ID: 'release-1' };
  const [a, b] = [await start(standalone, on), await start(standalone, on)];
  const first = await a.get('/');
  check('first hit of the prerendered page is HIT', first.cache === 'HIT', first.cache);

  const one = await a.get('/live');
  const two = await b.get('/live');
  check("'use cache' result of A is used by B", one.n !== undefined && one.n === two.n, `${one.n} ${two.n}`);
  check("'use cache: remote' too", one.r !== undefined && one.r === two.r, `${one.r} ${two.r}`);

  const posted = await submit(a, '/form');
  check('updateTag: the action reads its own write', posted.status === 200 && posted.n !== one.n, `${posted.status} ${one.n} ${posted.n}`);
  const [seen, here] = [await b.get('/live'), await a.get('/live')];
  // Next.js up to 16.2 expires the tag once more after the action has rendered, so one more number may follow.
  check('updateTag: next request of B is new, and the same as of A', seen.n !== one.n && Number(seen.n) >= Number(posted.n)
    && here.n === seen.n, `${posted.n} ${seen.n} ${here.n}`);
  const shell = await b.get('/');
  check('updateTag: prerendered page of B is new', shell.n === seen.n, `${shell.n} ${shell.cache}`);
  await pause(150);
  check('and of A', (await a.get('/')).n === seen.n);

  await b.get('/api/tag?tag=items&profile=max');
  const stale = await a.get('/live');
  check("revalidateTag(tag, 'max') on B: A serves stale once", stale.n === seen.n, stale.n);
  const fresh = await until(() => a.get('/live'), (answer) => answer.n !== stale.n);
  await pause(200);
  const same = await b.get('/live');
  check('then both have the new one', fresh.n !== stale.n && same.n === (await a.get('/live')).n, `${fresh.n} ${same.n}`);

  await a.get(`/api/tag?tag=far&profile=${encodeURIComponent('{"expire":0}')}`);
  const far = await b.get('/live');
  check('revalidateTag(remote tag, {expire: 0}) on A: B is new', far.r !== one.r && far.n === same.n, `${one.r} ${far.r}`);

  await a.get('/api/path?path=/live');
  const byPath = await b.get('/live');
  check('revalidatePath on A: B is new', byPath.n !== far.n && (await a.get('/live')).n === byPath.n, `${far.n} ${byPath.n}`);

  const second = await start(standalone, { ...on, CORE_RELEASE_ID: 'release-2' });
  check("another release computes its own 'use cache'", (await second.get('/live')).n !== byPath.n);
  await second.stop();

  let count = 0;
  for (const file of cacheFiles(cacheDir)) fs.writeFileSync(file, `garbage ${count++}`);
  const statuses = [];
  for (const server of [a, b]) for (const page of ['/', '/live', '/form']) statuses.push((await server.get(page)).status);
  check(`garbage over ${count} files: 200`, statuses.every((status) => status === 200), statuses.join(' '));
  check('no errors in the logs', !/Error|Failed|warn/i.test(a.log + b.log), (a.log + b.log).match(/.*(Error|Failed|warn).*/i)?.[0]);
  await Promise.all([a.stop(), b.stop()]);

  fs.writeFileSync(`${cacheDir}-file`, 'x');
  const bad = await start(standalone, { ...on, CORE_CACHE_DIR: `${cacheDir}-file/below` });
  const lives = [await bad.get('/'), await bad.get('/live'), await bad.get('/live')];
  check('unwritable: 200, kept in memory', lives.every((answer) => answer.status === 200) && lives[1].n === lives[2].n,
    lives.map((answer) => answer.status).join(' '));
  const own = await submit(bad, '/form');
  check('unwritable: updateTag reads its own write', own.n !== lives[2].n, own.n);
  await bad.stop();

  const plain = await start(standalone, environment);
  const plainLives = [await plain.get('/'), await plain.get('/live'), await plain.get('/live')];
  check("without a place: Next's default", plainLives.every((answer) => answer.status === 200) && plainLives[0].cache === 'HIT'
    && plainLives[1].n === plainLives[2].n, plainLives.map((answer) => answer.cache).join(' '));
  await plain.stop();
}
