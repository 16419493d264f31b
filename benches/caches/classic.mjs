// Checks on the app with pages, routes, fetch results and images.
import fs from 'node:fs';
import path from 'node:path';
import { start } from './servers.mjs';

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const cacheFiles = (root) => fs.readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));

// Asks until the answer is as wanted: a re-render in the background takes a moment.
export async function until(asking, wanted) {
  let answer;
  for (let attempt = 0; attempt < 40; attempt++) {
    answer = await asking();
    if (wanted(answer)) return answer;
    await pause(100);
  }
  return answer;
}

export async function checkClassic({ version, standalone, environment, cacheDir, check }) {
  const [major, minor] = version.split('.').map(Number);
  const on = { ...environment, CORE_CACHE_DIR: cacheDir, CORE_RELEASE_ID: 'release-1' };
  const [a, b] = [await start(standalone, on), await start(standalone, on)];
  const pages = ['/', '/tagged', '/blog/one', '/api/static', '/legacy/1', '/short'];
  const built = {};

  for (const page of pages) {
    const first = await a.get(page);
    built[page] = first.t;
    // `/short` was built more than 2 s ago.
    const wanted = page === '/short' ? ['STALE'] : ['HIT'];
    check(`first hit of ${page} is ${wanted}`, wanted.includes(first.cache) && first.status === 200, first.cache);
  }
  check('edge route answers', (await a.get('/api/edge')).text === 'edge');

  // By time. `/short` was stale at its first hit: rendered in the background, seen by both.
  const short = await until(() => b.get('/short'), (answer) => answer.t !== built['/short']);
  const again = await a.get('/short');
  check('ISR by time: one timestamp on both', short.t !== built['/short'] && again.t >= short.t, `${short.t} ${again.t}`);
  await pause(300);
  const pair = [await a.get('/short'), await b.get('/short')];
  check('ISR by time: both HIT the same', pair[0].t === pair[1].t, pair.map((one) => one.cache).join(' '));

  // Dynamic path, rendered at run time by A, lifetime 3600 s known to A only.
  const runtime = await a.get('/blog/two');
  await pause(1500);
  const other = await b.get('/blog/two');
  check('page first rendered on A is HIT on B, not stale', other.t === runtime.t && other.cache === 'HIT',
    `${runtime.cache} ${other.cache}`);
  const legacy = await a.get('/legacy/9');
  await pause(1500);
  const legacyOther = await b.get('/legacy/9');
  check('same for the pages router', legacy.t === legacyOther.t && legacyOther.cache === 'HIT', legacyOther.cache);
  check('its data route too', (await b.get('/legacy/9')).t === legacy.t);
  for (const segment of [undefined, '/_tree']) {
    const headers = { rsc: '1', ...(segment && { 'next-router-prefetch': '1', 'next-router-segment-prefetch': segment }) };
    // A wrong `_rsc` is sent to the right one.
    let [onA, onB] = [a, b].map(() => undefined);
    let where = '/blog/two';
    for (let hop = 0; hop < 2; hop++) {
      [onA, onB] = [await a.get(where, { headers }), await b.get(where, { headers })];
      if (onB.status !== 307) break;
      where = onB.headers.location;
    }
    check(`RSC ${segment ?? 'of the page'} is the same on both`, onB.status === 200 && onA.bytes.equals(onB.bytes)
      && onB.bytes.length > 0 && /x-component/.test(onB.headers['content-type']), `${onB.status} ${onB.bytes.length} bytes ${onB.cache ?? ''}`);
  }
  await a.get('/legacy/none');
  await a.get('/legacy/away');
  const [none, away] = [await b.get('/legacy/none'), await b.get('/legacy/away')];
  check('notFound and redirect shared', none.status === 404 && none.cache === 'HIT' && away.status === 307
    && away.cache === 'HIT', `${none.status} ${none.cache} ${away.status} ${away.cache}`);

  // By tag.
  const before = await b.get('/tagged');
  await a.get('/api/tag?tag=data');
  const after = await b.get('/tagged');
  check('revalidateTag on A, next request of B is new', after.n !== before.n && after.t !== before.t, `${before.n} ${after.n} ${after.cache}`);
  await pause(150);
  const onA = await a.get('/tagged');
  check('and A has the same', onA.t === after.t && onA.n === after.n, onA.cache);
  if (major >= 16) {
    await a.get('/api/tag?tag=data&profile=max');
    const stale = await b.get('/tagged');
    check("revalidateTag(tag, 'max'): B serves stale once", stale.t === onA.t && stale.cache === 'STALE', stale.cache);
    const fresh = await until(() => b.get('/tagged'), (answer) => answer.t !== stale.t);
    check('then both have the new one', fresh.n !== stale.n && (await a.get('/tagged')).t === fresh.t, fresh.n);
    await a.get(`/api/tag?tag=data&profile=${encodeURIComponent('{"expire":0}')}`);
    const expired = await b.get('/tagged');
    check('revalidateTag(tag, {expire: 0}): B is new at once', expired.t !== fresh.t && expired.n !== fresh.n, expired.cache);
  }
  const live = await a.get('/live');
  await pause(150);
  check('fetch result of A is used by B', (await b.get('/live')).n === live.n, live.n);
  await b.get('/api/tag?tag=live');
  const liveNew = await a.get('/live');
  await pause(150);
  const liveOther = await b.get('/live');
  check('revalidateTag on B, fetch on A is new', liveNew.n !== live.n && liveOther.n === liveNew.n,
    `${live.n} ${liveNew.n} ${liveOther.n}`);

  // Images.
  const image = '/_next/image?url=%2Fp.png&w=64&q=75';
  const [imageA, imageB] = [await a.get(image), (await pause(500), await b.get(image))];
  const shares = major > 16 || (major === 16 && minor >= 2);
  check(shares ? 'image of A is HIT on B' : 'image answers (not shared before 16.2)',
    imageA.status === 200 && imageB.status === 200 && imageA.bytes.equals(imageB.bytes)
      && (!shares || (imageA.cache === 'MISS' && imageB.cache === 'HIT')),
    `${imageA.status} ${imageA.cache} ${imageB.cache}`);

  // Another release.
  const second = await start(standalone, { ...on, CORE_RELEASE_ID: 'release-2' });
  const own = [await second.get('/short'), await second.get('/legacy/1'), await second.get('/blog/three')];
  check('another release starts from its own pages', own[0].t === built['/short'] && own[1].t === built['/legacy/1'],
    own.map((one) => one.cache).join(' '));
  check('fetch results survive a new release', (await second.get('/live')).n === liveNew.n);
  // Under the same address, the next release may have another picture.
  if (shares) check('another release has images of its own', (await second.get(image)).cache === 'MISS');
  const three = await a.get('/blog/three');
  check('and the first never sees those of the second', three.t !== own[2].t);
  await second.stop();

  // By path.
  for (const [what, query, page] of [['a path', 'path=/blog/one', '/blog/one'],
    ['a pattern', 'path=/blog/[slug]&type=page', '/blog/two'], ['a layout', 'path=/blog&type=layout', '/blog/one'],
    ['all', 'path=/&type=layout', '/blog/two'], ['a route handler', 'path=/api/static', '/api/static']]) {
    const old = await b.get(page);
    await pause(150);
    await a.get(`/api/path?${encodeURI(query)}`);
    const renewed = await b.get(page);
    // An answer is sent before its entry is written, and 14 gives the same answer until then.
    await pause(150);
    check(`revalidatePath of ${what}`, old.t !== renewed.t && (await a.get(page)).t === renewed.t,
      `${old.t} ${renewed.t} ${renewed.cache}`);
  }
  const legacyOld = await b.get('/legacy/1');
  await a.get('/api/revalidate?path=/legacy/1');
  const legacyNew = await b.get('/legacy/1');
  check('res.revalidate of the pages router', legacyOld.t !== legacyNew.t, legacyNew.cache);

  // An older page of the build must not come back when the newer one is lost.
  for (const file of cacheFiles(cacheDir).filter((name) => name.includes('entries'))) fs.rmSync(file);
  const lost = await b.get('/legacy/1');
  check('a lost entry does not bring the page of the build back', lost.t !== built['/legacy/1'], lost.cache);

  // Garbage.
  await Promise.all(pages.map((page) => a.get(page)));
  await pause(500);
  let count = 0;
  for (const file of cacheFiles(cacheDir)) fs.writeFileSync(file, `garbage ${count++} \u0000\n`);
  const statuses = [];
  for (const server of [a, b]) for (const page of [...pages, '/live', image]) statuses.push((await server.get(page)).status);
  check(`garbage over ${count} files: 200`, statuses.every((status) => status === 200), statuses.join(' '));
  const healed = await until(() => b.get('/tagged'), (answer) => answer.cache === 'HIT');
  check('and it heals', healed.cache === 'HIT' && healed.t === (await a.get('/tagged')).t, healed.cache);
  // 14 has its own complaint about sharp.
  const log = (a.log + b.log).replace(/.*'sharp'.*/g, '');
  check('no errors in the logs', !/Error|Failed|warn/i.test(log), log.match(/.*(Error|Failed|warn).*/i)?.[0]);
  await Promise.all([a.stop(), b.stop()]);

  // A folder that can't be written (root ignores modes, so it lies below a file), and one that is a file.
  fs.writeFileSync(`${cacheDir}-file`, 'x');
  for (const bad of [`${cacheDir}-file/below`, `${cacheDir}-file`]) {
    const server = await start(standalone, { ...on, CORE_CACHE_DIR: bad });
    const found = [];
    for (const page of [...pages, '/live', '/blog/two', image]) found.push((await server.get(page)).status);
    await pause(300);
    const refreshed = await until(() => server.get('/short'), (answer) => answer.t !== built['/short']);
    const one = await server.get('/tagged');
    await server.get('/api/tag?tag=data');
    const two = await server.get('/tagged');
    check(`unwritable (${path.basename(bad)}): 200, pages still renew`, found.every((status) => status === 200)
      && refreshed.t !== built['/short'] && one.n !== two.n, found.join(' '));
    await server.stop();
  }

  // Started by hand: Next's default, images included.
  const plain = await start(standalone, environment);
  const ownPages = [await plain.get('/'), await plain.get('/legacy/1')];
  const ownImages = [await plain.get(image), (await pause(300), await plain.get(image))];
  const tagged = await plain.get('/tagged');
  await plain.get('/api/tag?tag=data');
  const retagged = await plain.get('/tagged');
  check("without a place: Next's default", ownPages.every((one) => one.cache === 'HIT') && ownImages[1].cache === 'HIT'
    && tagged.n !== retagged.n, [...ownPages, ...ownImages].map((one) => one.cache).join(' '));
  await plain.stop();
}
