'use strict';
// The bytes of one cache file: magic, SHA-256 of the rest, then the key and the value as node serialises them.
// v8.serialize keeps Buffer, Map, Date and undefined, which JSON does not. Its reader must never see damaged bytes,
// so the hash is checked first.
const crypto = require('node:crypto');
const v8 = require('node:v8');

const MAGIC = Buffer.from('corecch1');
const HEAD = MAGIC.length + 32;

function hash(bytes) {
  return crypto.createHash('sha256').update(bytes).digest();
}

function encode(key, value) {
  const body = v8.serialize([key, value]);
  return Buffer.concat([MAGIC, hash(body), body]);
}

// The value, or undefined if the bytes are not exactly what `encode` wrote for this key.
function decode(key, bytes) {
  if (bytes.length <= HEAD || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const body = bytes.subarray(HEAD);
  if (!bytes.subarray(MAGIC.length, HEAD).equals(hash(body))) return undefined;
  try {
    const [found, value] = v8.deserialize(body);
    return found === key ? value : undefined;
  } catch {
    // Written by a newer node.
    return undefined;
  }
}

module.exports = { encode, decode };
