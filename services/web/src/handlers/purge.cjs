'use strict';
// Forgets entries: those of the paths and tags that are given, or all. Run by core as the user of the service; a server
// that runs sees it at its next request, as it sees a revalidation.
const { tags } = require('./shared.cjs');
const { ALL, tagOfPath } = require('./names.cjs');

// Pages of the app router carry tags of their paths.
const ofPath = (path) => [tagOfPath(path), `_N_T_${path === '/' ? '/' : path.replace(/\/$/, '')}`];

const asked = process.argv.slice(2);
if (!tags) {
  console.error('this app has no cache here: it does not run as a release');
  process.exit(1);
}
const isDone = tags.add(asked.length === 0 ? [ALL] : asked.flatMap((one) => (one.startsWith('/') ? ofPath(one) : [one])));
if (!isDone) {
  console.error(`${process.env.CORE_CACHE_DIR} cannot be written: nothing was forgotten`);
  process.exit(1);
}
