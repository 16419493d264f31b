// node --test actions.test.mjs   Former keys, as a server of Next.js meets them.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

const require = createRequire(import.meta.url);
const honour = require('./actions.cjs');
const [NEW, OLD, OLDER] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64'));
const text = (bytes) => Buffer.from(bytes).toString();

/** An ID by Next's rule. */
const idOf = (key, file, name) => `60${createHash('sha1').update(`${key}${file}:${name}`).digest('hex')}`;

// As Next does it (app-render/encryption.js).
const imported = (key) => crypto.subtle.importKey('raw', Buffer.from(key, 'base64'), 'AES-GCM', true, ['encrypt', 'decrypt']);
const iv = new Uint8Array(16);
const encrypted = async (key, words) => crypto.subtle.encrypt({ name: 'AES-GCM', iv }, await imported(key), Buffer.from(words));
const decrypted = async (key, bytes) => text(await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, bytes));

const form = (fields) => {
  const made = new FormData();
  for (const [name, value] of fields) made.append(name, value);
  return made;
};
const read = async (fields) => [...(await new Request('http://x', { method: 'POST', body: form(fields) }).formData())];

function home(keys, list) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'core-actions-test-'));
  for (const part of ['.core', '.next/server']) fs.mkdirSync(path.join(folder, part), { recursive: true });
  const write = (name, value) => fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
  if (keys) write('.core/actions-keys.json', keys);
  write('.next/server/server-reference-manifest.json', list);
  write('.next/required-server-files.json', { appDir: '/build/app', config: { outputFileTracingRoot: '/build' } });
  return folder;
}

test('former keys are honoured until their time is over', async () => {
  const names = [['app/a.js', 'turbopack', ''], ['app/b.js', 'webpack', '/build/app/']];
  const ids = (key) => names.map(([file, name, base]) => idOf(key, base + file, name));
  const node = Object.fromEntries(names.map(([filename, exportedName], at) => [ids(NEW)[at], { filename, exportedName }]));
  // One with another rule, and one of which nothing is known: they are what they are.
  const [strange, bare] = ['60'.padEnd(42, 'a'), '60'.padEnd(42, 'b')];
  Object.assign(node, { [strange]: { filename: 'app/c.js', exportedName: 'c' }, [bare]: {} });
  const list = { node, edge: {}, encryptionKey: NEW };
  const { decrypt } = crypto.subtle;

  honour(home(undefined, list));
  honour(home({ key: NEW, former: [{ key: OLD, until: new Date(0).toISOString() }] }, list));
  assert.equal(crypto.subtle.decrypt, decrypt, 'nothing is hooked');
  assert.throws(() => honour(home({ key: NEW, former: 3 }, list)));

  const until = Date.now() + 3_600_000;
  honour(home({ key: NEW, former: [OLDER, OLD].map((key) => ({ key, until: new Date(until).toISOString() })) }, list));
  const server = http.createServer((request, response) => response.end(request.headers['next-action'])).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const asked = async (id) => {
    const headers = { 'next-action': id, connection: 'close' };
    return (await fetch(`http://127.0.0.1:${server.address().port}`, { headers })).text();
  };
  const [key, foreign] = [await imported(NEW), await imported(OLDER.replace(/^./, 'B'))];

  for (const [at, id] of ids(OLD).entries()) {
    const now = ids(NEW)[at];
    assert.equal(await asked(id), now);
    assert.equal(await decrypted(key, await encrypted(OLD, `${id}[1]`)), `${now}[1]`);
    const sent = [[`$ACTION_ID_${id}`, ''], ['$ACTION_1:0', JSON.stringify({ id, bound: '$@1' })], ['$ACTION_1:1', `["${id}"]`], [id, id]];
    const wanted = [[`$ACTION_ID_${now}`, ''], ['$ACTION_1:0', JSON.stringify({ id: now, bound: '$@1' })], ...sent.slice(2)];
    assert.deepEqual(await read(sent), wanted);
  }
  // What is of now, or of nobody, stays.
  for (const id of [ids(NEW)[0], strange, bare, '60'.padEnd(42, 'c'), 'x', '__proto__']) {
    assert.equal(await asked(id), id);
    const sent = [[`$ACTION_ID_${id}`, 'x'], ['$ACTION_1:0', `{"id":"${id}"}`], ['$ACTION_2:0', '{'], ['word', id]];
    assert.deepEqual(await read(sent), sent);
  }
  assert.equal(await decrypted(key, await encrypted(NEW, 'any')), 'any');
  assert.equal(await decrypted(key, await encrypted(OLD, `${bare}[]`)), `${bare}[]`, 'an ID that does not depend on the key');
  await assert.rejects(decrypted(key, await encrypted(OLD, 'of no action')), { name: 'OperationError' });
  // A key of the app's own is none of Next's.
  await assert.rejects(decrypted(foreign, await encrypted(OLD, `${ids(OLD)[0]}[1]`)), { name: 'OperationError' });

  const late = await encrypted(OLD, `${ids(OLD)[0]}[1]`);
  const { now } = Date;
  Date.now = () => until;
  assert.equal(await asked(ids(OLD)[0]), ids(OLD)[0]);
  await assert.rejects(decrypted(key, late), { name: 'OperationError' });
  assert.deepEqual(await read([[`$ACTION_ID_${ids(OLD)[0]}`, '']]), [[`$ACTION_ID_${ids(OLD)[0]}`, '']]);
  Date.now = now;
  server.close();
});

test('a server takes the key that its build was given', () => {
  const list = { node: {}, edge: {}, encryptionKey: OLD };
  honour(home({ key: NEW, former: [] }, list));
  assert.equal(process.env.NEXT_SERVER_ACTIONS_ENCRYPTION_KEY, NEW);
  honour(home({ key: OLDER, former: [] }, list));
  assert.equal(process.env.NEXT_SERVER_ACTIONS_ENCRYPTION_KEY, NEW, 'one that is set counts');
});
