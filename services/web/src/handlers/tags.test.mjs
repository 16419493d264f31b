// node --test tags.test.mjs   Tag times, and the handlers as Next.js calls them.
// NEXT_DIR: a folder with next (16) in its node_modules.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const { Tags } = require('./tags.cjs');
const next = process.env.NEXT_DIR;

function folder() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'core-cache-test-'));
}

// Next's own map and rules, as 16 and 15 have them.
function rulesOf16() {
  const tagsManifest = new Map();
  const some = (tags, name, test) => tags.some((tag) => tagsManifest.has(tag) && test(tagsManifest.get(tag)[name]));
  return {
    tagsManifest,
    areTagsExpired: (tags, time) => some(tags, 'expired', (at) => at <= Date.now() && at > time),
    areTagsStale: (tags, time) => some(tags, 'stale', (at) => at > time),
  };
}

test('tag times of one process hold in another, with and without the rules of Next.js', async () => {
  for (const make of [() => undefined, rulesOf16]) {
    const root = folder();
    const [one, two] = [new Tags(root, make()), new Tags(root, make())];
    const before = Date.now() - 10;
    two.refresh();
    assert.equal(two.expired(['a'], before), false);
    one.add(['a', '_N_T_/layout']);
    two.refresh();
    assert.equal(two.expired(['x', 'a'], before), true);
    assert.equal(two.expired(['_N_T_/layout'], before), true);
    assert.equal(two.expired(['x'], before), false);
    assert.equal(two.expired(['a'], Date.now() + 10), false, 'what came later is fresh');
    assert.ok(two.expiration(['a', 'x']) >= before);
    assert.equal(two.expiration(['x']), 0);
    // Profile: stale now, expired later.
    two.add(['p'], { expire: 0.2 });
    one.refresh();
    assert.equal(one.stale(['p'], before), true);
    assert.equal(one.expired(['p'], before), false);
    assert.equal(one.expiration(['p']), 0, 'not yet');
    await new Promise((resolve) => setTimeout(resolve, 250));
    assert.equal(one.expired(['p'], before), true);
    two.add(['m'], {});
    one.refresh();
    assert.equal(one.stale(['m'], before), true);
    assert.equal(one.expired(['m'], before), false);
    // A new process knows all of it.
    const three = new Tags(root, make());
    three.refresh();
    assert.equal(three.expired(['p'], before), true);
    assert.equal(three.stale(['m'], before), true);
    assert.equal(fs.statSync(one.log).mode & 0o777, 0o600);
  }
});

test('15 gets one number per tag', () => {
  const next15 = { tagsManifest: new Map(), isStale: (tags, time) => tags.some((tag) => next15.tagsManifest.get(tag) >= time) };
  const tags = new Tags(folder(), next15);
  tags.add(['a']);
  assert.equal(typeof next15.tagsManifest.get('a'), 'number');
  assert.equal(tags.expired(['a'], Date.now() - 5), true);
});

test('a damaged log expires all that is tagged and older, then works again', () => {
  const good = '{"t":["a"],"e":1}\n';
  for (const bytes of ['garbage', 'garbage\n', '', good + '{"t":["b"', `${good}null\n`, `${good}{"t":1}\n`,
    Buffer.from([0, 255, 10, 254])]) {
    const root = folder();
    const first = new Tags(root);
    first.add(['b']);
    fs.writeFileSync(first.log, bytes);
    const before = Date.now() - 5;
    const fresh = new Tags(root);
    for (const tags of [first, fresh]) {
      tags.refresh();
      // An empty log says nothing to a new process. The one that has read more before is careful.
      if (bytes !== '' ) assert.equal(tags.expired(['anything'], before), true, String(bytes));
    }
    fresh.add(['c']);
    first.refresh();
    assert.equal(first.expired(['c'], before), true);
    assert.equal(first.expired(['c'], Date.now() + 5), false);
    const later = new Tags(root);
    later.refresh();
    assert.equal(later.expired(['c'], before), true);
    assert.ok(fs.readFileSync(first.log, 'utf8').split('\n').every((line) => !line || JSON.parse(line)));
  }
});

const TAGGER = `
const { Tags } = require(process.argv[1] + '/tags.cjs');
const [, , root, name] = process.argv;
const tags = new Tags(root, undefined, 20000);
for (let n = 0; n < 2000; n++) tags.add([name + n]);`;

test('the log is bounded, and two processes lose nothing while it is written anew', { timeout: 60000 }, async () => {
  const root = folder();
  const before = Date.now() - 1;
  const codes = await Promise.all(['a', 'b'].map((name) => new Promise((resolve) =>
    spawn(process.execPath, ['-e', TAGGER, here, root, name], { stdio: 'inherit' }).on('exit', resolve))));
  assert.deepEqual(codes, [0, 0]);
  assert.ok(fs.statSync(path.join(root, 'tags.log')).size < 25000);
  const tags = new Tags(root, undefined, 20000);
  tags.refresh();
  for (const name of ['a', 'b']) {
    for (let n = 0; n < 2000; n++) assert.equal(tags.expired([name + n], before), true, `${name}${n}`);
  }
  assert.equal(tags.expired(['never'], Date.now() + 1), false);
  assert.deepEqual(fs.readdirSync(root), ['tags.log'], 'no lock or temporary file stays');
});

// The handlers in a folder as core makes it: .core beside node_modules.
function app() {
  const root = folder();
  fs.mkdirSync(path.join(root, '.core'));
  for (const name of fs.readdirSync(here)) {
    if (name.endsWith('.cjs')) fs.copyFileSync(path.join(here, name), path.join(root, '.core', name));
  }
  fs.symlinkSync(path.join(next, 'node_modules'), path.join(root, 'node_modules'));
  return root;
}

function run(root, environment, code) {
  const result = spawnSync(process.execPath, ['-e', code],
    { cwd: root, env: { PATH: process.env.PATH, ...environment }, encoding: 'utf8', timeout: 60000 });
  assert.equal(result.status, 0, result.stderr);
  return JSON.parse(result.stdout.trim().split('\n').pop());
}

// use-cache.cjs is for 16 and later.
const skip = Number(require(path.join(next, 'node_modules/next/package.json')).version.split('.')[0]) < 16;

test('without a place the handlers are those of Next.js', { skip }, () => {
  const code = `
    const Handler = require('./.core/handler.cjs');
    const fs = require('next/dist/server/lib/node-fs-methods').nodeFs;
    const made = new Handler({ fs, serverDistDir: '/x/.next/server', revalidatedTags: [] });
    const use = require('./.core/use-cache.cjs');
    console.log(JSON.stringify([made.constructor.name, 'updateTags' in use, 'pending' in use]));`;
  assert.deepEqual(run(app(), {}, code), ['FileSystemCache', true, false]);
  assert.deepEqual(run(app(), { CORE_CACHE_DIR: '/x' }, code)[0], 'FileSystemCache', 'no release');
});

test('handlers keep and share, and keep in memory when the disk fails', { skip }, () => {
  const root = app();
  const code = `
    const Handler = require('./.core/handler.cjs');
    const use = require('./.core/use-cache.cjs');
    const fs = require('next/dist/server/lib/node-fs-methods').nodeFs;
    const make = () => new Handler({ fs, serverDistDir: process.cwd() + '/.next/server', revalidatedTags: [],
      maxMemoryCacheSize: 1e6 });
    const stream = (text) => new Response(text).body;
    (async () => {
      const out = [];
      const page = { kind: 'APP_PAGE', html: 'x', headers: { 'x-next-cache-tags': 't' }, status: 200 };
      await make().set('/a', page, { cacheControl: { revalidate: 9, expire: 99 } });
      out.push((await make().get('/a', { kind: 'APP_PAGE' }))?.value.html);
      await make().set('f', { kind: 'FETCH', data: { body: '1' }, revalidate: 9 }, { fetchCache: true, tags: ['t'] });
      out.push((await make().get('f', { kind: 'FETCH', tags: ['t'], softTags: [] }))?.value.data.body);
      const entry = { value: stream('hello'), tags: ['t'], stale: 1, timestamp: Date.now(), expire: 99, revalidate: 9 };
      await use.set('u', Promise.resolve(entry));
      for (let n = 0; n < 2; n++) out.push(await new Response((await use.get('u', []))?.value).text());
      await use.set('broken', Promise.reject(new Error('x')));
      await use.set('partial', Promise.resolve({ ...entry, value: new ReadableStream({ pull(c) { c.error(1); } }) }));
      out.push(await use.get('broken', []) ?? null, await use.get('partial', []) ?? null);
      await new Promise((resolve) => setTimeout(resolve, 5));
      await make().revalidateTag(['t'], { expire: 60 });
      out.push((await use.get('u', [])).revalidate);
      await make().revalidateTag('t');
      await new Promise((resolve) => setTimeout(resolve, 5));
      out.push(await make().get('/a', { kind: 'APP_PAGE' }), await use.get('u', []) ?? null,
        await make().get('f', { kind: 'FETCH', tags: [], softTags: ['t'] }), (await use.getExpiration(['t'])) > 0);
      console.log(JSON.stringify(out));
    })();`;
  const expected = ['x', '1', 'hello', 'hello', null, null, -1, null, null, null, true];
  const cache = path.join(root, 'cache');
  assert.deepEqual(run(root, { CORE_CACHE_DIR: cache, CORE_RELEASE_ID: 'r1' }, code), expected);
  fs.writeFileSync(path.join(root, 'file'), '');
  const bad = { CORE_CACHE_DIR: path.join(root, 'file/below'), CORE_RELEASE_ID: 'r1' };
  assert.deepEqual(run(root, bad, code), expected);
});
