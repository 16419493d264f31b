// node --test unit.test.mjs tags.test.mjs   This one: files, bounds, damage.
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
const { Store } = require('./store.cjs');
const { Tags } = require('./tags.cjs');
const { placeOf } = require('./place.cjs');
const MIB = 1024 * 1024;

function folder() {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'core-cache-test-'));
}

function files(root) {
  return fs.readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name));
}

// A page as 16 gives it.
function page() {
  return {
    kind: 'APP_PAGE',
    html: '<p>ünï\u0000\ud83d\ude00</p>',
    rscData: Buffer.from([0, 255, 128, 10, 13, 0]),
    segmentData: new Map([['/_tree', Buffer.from([1, 2, 3])], ['/é', Buffer.alloc(0)]]),
    postponed: undefined,
    status: 200,
    headers: { 'x-next-cache-tags': 'a,b', 'set-cookie': ['x=1', 'y=2'] },
  };
}

test('values come back byte for byte', async () => {
  const store = new Store(folder(), 64 * MIB);
  const big = Buffer.alloc(3 * MIB, 7);
  const values = [page(), { kind: 'APP_ROUTE', body: big, headers: {}, status: 200 }, { value: null }, 'text', 0, null,
    { kind: 'PAGES', html: 'x', pageData: { deep: [1, undefined, { a: null }] } }, { kind: 'REDIRECT', props: {} }];
  for (const [index, value] of values.entries()) {
    assert.equal(await store.set('app', `k${index}`, value), true);
    assert.deepEqual(await store.get('app', `k${index}`), value);
  }
  assert.ok(Buffer.isBuffer((await store.get('app', 'k0')).rscData));
  assert.equal(await store.get('app', 'other'), undefined);
  assert.equal(await store.get('releases/x', 'k0'), undefined);
});

test('keys never leave the folder, and names and modes are private', async () => {
  const root = folder();
  const store = new Store(path.join(root, 'cache'), 64 * MIB);
  for (const key of ['../../x', '/etc/passwd', 'a\0b', '..', '', 'x'.repeat(100000), '\ud800', 'é/%2e%2e/']) {
    assert.equal(await store.set('app', key, key), true);
    assert.equal(await store.get('app', key), key);
  }
  const found = files(root);
  assert.equal(found.length, 8);
  for (const file of found) {
    assert.match(path.relative(root, file), /^cache\/app\/entries\/[0-9a-f]{64}$/);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.equal(fs.statSync(path.dirname(file)).mode & 0o777, 0o700);
  }
});

test('a file cut at any byte, or with any byte changed, is a miss and goes away', async () => {
  const store = new Store(folder(), 64 * MIB);
  await store.set('app', 'k', page());
  const file = store.file('app', 'entries', 'k');
  const whole = fs.readFileSync(file);
  for (let length = 0; length < whole.length; length++) {
    fs.writeFileSync(file, whole.subarray(0, length));
    assert.equal(await store.get('app', 'k'), undefined, `cut at ${length}`);
    assert.equal(fs.existsSync(file), false);
    const changed = Buffer.from(whole);
    changed[length] ^= 1;
    fs.writeFileSync(file, changed);
    assert.equal(await store.get('app', 'k'), undefined, `changed at ${length}`);
  }
  fs.writeFileSync(file, Buffer.concat([whole, Buffer.from('x')]));
  assert.equal(await store.get('app', 'k'), undefined, 'longer');
  fs.writeFileSync(store.file('app', 'entries', 'j'), whole);
  assert.equal(await store.get('app', 'j'), undefined, 'another key');
  fs.mkdirSync(file);
  fs.writeFileSync(path.join(file, 'x'), '');
  assert.equal(await store.get('app', 'k'), undefined, 'a folder');
  assert.equal(await store.set('app', 'k', 1), true, 'and can be written again');
  fs.rmSync(file);
  fs.symlinkSync('/etc/passwd', file);
  assert.equal(await store.get('app', 'k'), undefined, 'a link');
  assert.ok(fs.existsSync('/etc/passwd'));
});

test('what can not be written is not kept, and nothing throws', async () => {
  const root = folder();
  fs.writeFileSync(path.join(root, 'file'), 'x');
  const store = new Store(path.join(root, 'file', 'below'), 64 * MIB);
  assert.equal(await store.set('app', 'k', 1), false);
  assert.equal(await store.get('app', 'k'), undefined);
  await store.mark('app', 'k');
  assert.equal(await store.marked('app', 'k'), false);
  const tags = new Tags(path.join(root, 'file', 'below', 'app'));
  tags.add(['t']);
  tags.refresh();
  assert.equal(tags.expired(['t'], Date.now() - 1), true, 'known to this process at least');
});

test('a full disk', { skip: spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', fs.mkdirSync('/tmp/core-cache-full', { recursive: true }) ?? '/tmp/core-cache-full']).status !== 0 && 'no mount' },
  async () => {
    const root = '/tmp/core-cache-full';
    try {
      const store = new Store(root, 64 * MIB);
      const tags = new Tags(path.join(root, 'app'));
      assert.equal(await store.set('app', 'first', 1), true);
      let kept = 0;
      for (let n = 0; n < 200; n++) if (await store.set('app', `k${n}`, Buffer.alloc(9000))) kept++;
      assert.ok(kept > 10 && kept < 100, `${kept}`);
      assert.equal(await store.get('app', 'first'), 1, 'what is there stays usable');
      assert.equal(await store.set('app', 'first', Buffer.alloc(300000)), false);
      assert.equal(await store.get('app', 'first'), undefined, 'the older value does not come back');
      assert.equal(files(root).filter((file) => path.basename(file).startsWith('.')).length, 0, 'temporary files');
      for (let n = 0; n < 400; n++) tags.add([`tag${n}`.padEnd(300, 'x')]);
      assert.equal(tags.expired(['tag399'.padEnd(300, 'x')], Date.now() - 1000), true, 'known here at least');
      const other = new Tags(path.join(root, 'app'));
      other.refresh();
    } finally {
      spawnSync('umount', ['-l', root]);
    }
  });

test('a value that can not be kept takes its older one away', async () => {
  const store = new Store(folder(), MIB);
  assert.equal(await store.set('app', 'k', 1), true);
  assert.equal(await store.set('app', 'k', Buffer.alloc(MIB)), false, 'too big');
  assert.equal(await store.get('app', 'k'), undefined);
  await store.set('app', 'k', 1);
  assert.equal(await store.set('app', 'k', () => {}), false, 'not data');
  assert.equal(await store.get('app', 'k'), undefined);
});

test('the folder may go away at run time', async () => {
  const root = folder();
  const store = new Store(root, MIB);
  await store.set('app', 'k', 1);
  fs.rmSync(root, { recursive: true });
  assert.equal(await store.get('app', 'k'), undefined);
  assert.equal(await store.set('app', 'k', 2), true);
  assert.equal(await store.get('app', 'k'), 2);
});

const WRITER = `
const { Store } = require(process.argv[1] + '/store.cjs');
const [, , root, limit, from, count] = process.argv;
(async () => {
  const store = new Store(root, Number(limit));
  for (let n = 0; n < count; n += 8) {
    await Promise.all(Array.from({ length: 8 }, (_, m) =>
      store.set(m % 2 ? 'app' : 'releases/r' + (n % 3), from + (n + m), Buffer.alloc(((n + m) % 13) * 3000))));
  }
})();`;

test('bytes and files stay within the bound with two processes, and the newest are kept', { timeout: 120000 },
  async () => {
    const root = folder();
    const limit = 8 * MIB;
    const running = ['a', 'b'].map((name) => spawn(process.execPath,
      ['-e', WRITER, here, root, String(limit), name, '6000'], { stdio: 'inherit' }));
    const ends = running.map((child) => new Promise((resolve) => child.on('exit', resolve)));
    let most = 0;
    let mostFiles = 0;
    let ended = false;
    Promise.all(ends).then(() => (ended = true));
    while (!ended) {
      let bytes = 0;
      const found = files(root);
      for (const file of found) bytes += fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0;
      most = Math.max(most, bytes);
      mostFiles = Math.max(mostFiles, found.length);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.deepEqual(await Promise.all(ends), [0, 0]);
    console.log(`12000 writes, bound ${limit}: at most ${most} bytes in ${mostFiles} files`);
    assert.ok(most <= limit && most > 0);
    assert.ok(mostFiles <= limit / 16384, `${mostFiles} files`);
    const store = new Store(root, limit);
    // The last write of the process that ended last.
    assert.ok((await store.get('app', 'a5999')) || (await store.get('app', 'b5999')));
    assert.equal(await store.get('app', 'a1'), undefined);
    assert.equal(files(root).filter((file) => path.basename(file).startsWith('.')).length, 0, 'temporary files');
  });

test('a temporary file of a dead process is swept, a young one is not', async () => {
  const root = folder();
  const entries = path.join(root, 'app/entries');
  fs.mkdirSync(entries, { recursive: true });
  fs.writeFileSync(path.join(entries, '.1-0-old'), 'x');
  fs.utimesSync(path.join(entries, '.1-0-old'), 1, 1);
  fs.writeFileSync(path.join(entries, '.1-0-new'), 'x');
  const store = new Store(root, MIB);
  await store.set('app', 'k', 1);
  await store.sweeping;
  assert.deepEqual(fs.readdirSync(entries).filter((name) => name.startsWith('.')), ['.1-0-new']);
});

test('memory follows the files, and is bounded', async () => {
  const root = folder();
  const [one, two] = [new Store(root, 64 * MIB), new Store(root, 64 * MIB)];
  for (let n = 0; n < 50; n++) {
    await one.set('app', 'k', n);
    assert.equal(await one.get('app', 'k'), n);
    assert.equal(await two.get('app', 'k'), n, 'the other process sees each write');
  }
  fs.rmSync(one.file('app', 'entries', 'k'));
  assert.equal(await one.get('app', 'k'), undefined);
  for (let n = 0; n < 40; n++) await one.set('app', `b${n}`, Buffer.alloc(MIB));
  await one.get('app', 'b39');
  assert.equal(one.recent.entries.size, 0, 'too young');
  await new Promise((resolve) => setTimeout(resolve, 150));
  for (let n = 0; n < 40; n++) await one.get('app', `b${n}`);
  assert.equal(await one.get('app', 'b39'), await one.get('app', 'b39'), 'not read twice');
  assert.ok(one.recent.bytes <= 32 * MIB && one.recent.entries.size <= 32 && one.recent.entries.size > 25);
});

test('a place needs an absolute folder and a release', () => {
  assert.equal(placeOf({}), undefined);
  assert.equal(placeOf({ CORE_CACHE_DIR: '/x' }), undefined);
  assert.equal(placeOf({ CORE_CACHE_DIR: 'x', CORE_RELEASE_ID: 'a' }), undefined);
  assert.equal(placeOf({ CORE_CACHE_DIR: '/x', CORE_RELEASE_ID: '../a' }), undefined);
  assert.equal(placeOf({ CORE_CACHE_DIR: '/x', CORE_RELEASE_ID: 'a', CORE_CACHE_MB: 'no' }).limit, 512 * MIB);
  assert.deepEqual(placeOf({ CORE_CACHE_DIR: '/x', CORE_RELEASE_ID: 'a-1', CORE_CACHE_MB: '2' }),
    { root: '/x', limit: 2 * MIB, app: 'app', release: 'releases/a-1' });
});
