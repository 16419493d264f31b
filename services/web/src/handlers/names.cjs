'use strict';
// Tags that core gives entries by itself, so that people can have them forgotten.
const ALL = '_core_all';

// Keys of pages are paths, since 16.4 with the page's source in front: /route-cache/PAGES/…/$/path.
function pathOfKey(key) {
  const at = key.startsWith('/route-cache/') ? key.indexOf('/$/') : -1;
  const path = at < 0 ? key : key.slice(at + 2);
  return path.replace(/\/index$/, '') || '/';
}

function tagOfPath(path) {
  return `_core_path:${path.length > 1 ? path.replace(/\/$/, '') : path}`;
}

// What every entry has.
function own(kind, key) {
  return kind === 'page' ? [ALL, tagOfPath(pathOfKey(key))] : [ALL];
}

module.exports = { ALL, own, tagOfPath };
