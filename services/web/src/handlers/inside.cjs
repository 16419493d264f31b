'use strict';
// A part of `next` that only some versions have. The way around the plain `require` keeps bundlers from warning about
// parts that are missing; standalone output has those that exist, since Next's own server needs them.
const { createRequire } = require('node:module');

const load = createRequire(__filename);

function inside(name) {
  try {
    return load(`next/dist/server/lib/${name}`);
  } catch {
    return undefined;
  }
}

module.exports = { inside };
