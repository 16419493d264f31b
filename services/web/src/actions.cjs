// Written by core. The keys that server actions are encrypted with, after a rotation.
//
// Why. Next.js has one key (NEXT_SERVER_ACTIONS_ENCRYPTION_KEY, when it builds and when it runs). With it, a server decrypts
// the values that a page binds to an action; and since version 15, the ID of an action is a hash of the key, its file and
// its name. So what a page of the former key sends is refused twice: its action is not found, and could not read its values.
//
// How. `.core/actions-keys.json` beside the server has the former keys, each with the time until which it is honoured. Until
// then, an ID of a former key is replaced by that of the same action, where a request names it: in the header `next-action`
// (fetch), or in the fields `$ACTION_…` of a form that was sent without scripts. A value that the key does not decrypt is
// tried with the former ones; AES-GCM tells for certain, and the text begins with the ID of its action.
//
// Former IDs are computed, and only for actions whose present ID is what the same rule gives: a version with another rule
// answers as it does without this. Nothing is hooked while there is no former key.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { channel } = require('node:diagnostics_channel');

const VARIABLE = 'NEXT_SERVER_ACTIONS_ENCRYPTION_KEY';
const HEADER = 'next-action';
/** The name of a field that has the ID of an action without bound values. */
const FIELD = /^(\$ACTION_ID_)([0-9a-f]+)$/;
/** The name of the field that has, in JSON, the ID of one with bound values. */
const BOUND = /^\$ACTION_[^:]+:0$/;
const { subtle } = globalThis.crypto ?? crypto.webcrypto;
/** As they were, whatever else is put in their place. */
const [decrypt, importKey] = [subtle.decrypt.bind(subtle), subtle.importKey.bind(subtle)];

function read(file) {
  return JSON.parse(fs.readFileSync(file, 'utf8'));
}

/** The ID of an action by a key; the first two digits say what it takes. */
function idOf(id, key, base, { filename, exportedName }) {
  return id.slice(0, 2) + crypto.createHash('sha1').update(`${key}${base}${filename}:${exportedName}`).digest('hex');
}

/** Present IDs by former ones. `actions` is Next's list, `bases` are folders that names of files may be relative to. */
function renamed(actions, key, former, bases) {
  const ids = new Map();
  for (const [id, action] of Object.entries(actions)) {
    if (typeof action.filename !== 'string' || typeof action.exportedName !== 'string') continue;
    const base = bases.find((base) => idOf(id, key, base, action) === id);
    if (base !== undefined) ids.set(idOf(id, former, base, action), id);
  }
  return ids;
}

/** What is honoured of former keys: `{until, ids, key}` of each. */
function former(home, { former: all, key: own }) {
  const manifest = read(path.join(home, '.next/server/server-reference-manifest.json'));
  const files = read(path.join(home, '.next/required-server-files.json'));
  const key = process.env[VARIABLE] || own || manifest.encryptionKey;
  const root = files.config?.outputFileTracingRoot ?? files.appDir;
  // Turbopack names files from the root, webpack from that of the file system.
  const bases = ['', ...new Set([files.appDir, root])].map((base) => (base ? `${base}/` : ''));
  const keys = all.map((one) => ({
    until: Date.parse(one.until),
    // Where IDs do not depend on the key (14.2), they are what they were.
    ids: new Map([...Object.keys(manifest.node).map((id) => [id, id]), ...renamed(manifest.node, key, one.key, bases)]),
    key: importKey('raw', Buffer.from(one.key, 'base64'), 'AES-GCM', false, ['decrypt']).catch(() => undefined),
  }));
  return { key: Buffer.from(key, 'base64'), length: Object.keys(manifest.node)[0]?.length, keys };
}

/** Puts the present ID in the place of a former one. */
function install({ key, length, keys }) {
  const honoured = () => keys.filter((one) => Date.now() < one.until);
  const present = (id) => {
    for (const { ids } of honoured()) if (ids.has(id)) return ids.get(id);
    return id;
  };

  channel('http.server.request.start').subscribe(({ request }) => {
    const id = request.headers[HEADER];
    if (typeof id === 'string' && id.length === length) request.headers[HEADER] = present(id);
  });

  const { formData } = Request.prototype;
  Request.prototype.formData = async function () {
    const form = await formData.call(this);
    return honoured().length > 0 ? ofNow(form, present) : form;
  };

  const own = new WeakSet();
  subtle.importKey = async function (format, data, ...more) {
    const made = await importKey(format, data, ...more);
    if (format === 'raw' && ArrayBuffer.isView(data) && key.equals(Buffer.from(data.buffer, data.byteOffset, data.byteLength))) {
      own.add(made);
    }
    return made;
  };
  subtle.decrypt = async function (algorithm, using, data) {
    if (!own.has(using)) return decrypt(algorithm, using, data);
    try {
      return await decrypt(algorithm, using, data);
    } catch (error) {
      for (const one of honoured()) {
        const text = await tried(algorithm, await one.key, data);
        const id = text && one.ids.get(text.subarray(0, length).toString('latin1'));
        if (id) return new Uint8Array(Buffer.concat([Buffer.from(id), text.subarray(length)])).buffer;
      }
      throw error;
    }
  };
}

async function tried(algorithm, key, data) {
  try {
    return key && Buffer.from(await decrypt(algorithm, key, data));
  } catch {
    return undefined;
  }
}

/** A form whose actions have their present IDs; all else is as it was sent. */
function ofNow(form, present) {
  let isOld = false;
  const made = new FormData();
  for (const [name, value] of form) {
    const [now, text] = [name.replace(FIELD, (_, prefix, id) => prefix + present(id)), boundOfNow(name, value, present)];
    isOld ||= now !== name || text !== value;
    made.append(now, text);
  }
  return isOld ? made : form;
}

function boundOfNow(name, value, present) {
  if (typeof value !== 'string' || !BOUND.test(name)) return value;
  try {
    const action = JSON.parse(value);
    const id = present(action.id);
    return id === action.id ? value : JSON.stringify({ ...action, id });
  } catch {
    return value;
  }
}

/** What the release knows of keys; `home` is the folder of its server. */
module.exports = function honour(home) {
  const file = path.join(home, '.core/actions-keys.json');
  if (!fs.existsSync(file)) return;
  const known = read(file);
  // Builds of 14.2 encrypt with the key that they are given, and write down another one.
  if (known.key && !process.env[VARIABLE]) process.env[VARIABLE] = known.key;
  if (known.former.some((one) => Date.now() < Date.parse(one.until))) install(former(home, known));
};
