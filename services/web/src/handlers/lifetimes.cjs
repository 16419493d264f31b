'use strict';
// Next.js before 16.4 keeps the lifetime of a page that was first rendered at run time in the memory of the process
// that rendered it. Another replica would take such a page for stale after one second. So a lifetime that is read from
// the shared cache is told to Next.js.
const { inside } = require('./inside.cjs');

// 15 and 16.
const ofResponses = inside('incremental-cache/shared-cache-controls.external')?.SharedCacheControls?.cacheControls;
// 14: seconds or false instead of an object.
const ofPages = inside('incremental-cache/shared-revalidate-timings')?.SharedRevalidateTimings?.timings;

// As Next.js names a route in these maps: 15.5 by the key of the cache, 14 and 16.0 to 16.3 without a final `/index`.
function route(key) {
  return key.replace(/(?:\/index)?\/?$/, '') || '/';
}

function tell(key, { cacheControl, revalidate }) {
  if (ofResponses && cacheControl) {
    ofResponses.set(key, cacheControl);
    ofResponses.set(route(key), cacheControl);
  }
  if (ofPages && revalidate !== undefined) {
    ofPages.set(key, revalidate);
    ofPages.set(route(key), revalidate);
  }
}

module.exports = { tell };
