'use strict';
// What all handlers of this process share. Next.js constructs the response handler once per request, so state belongs
// here.
const path = require('node:path');
const { placeOf } = require('./place.cjs');
const { Store } = require('./store.cjs');
const { forget } = require('./sweep.cjs');
const { Tags } = require('./tags.cjs');
const { nextTags } = require('./rules.cjs');

const place = placeOf(process.env);

if (place) forget(place.root, place.release).catch(() => {});

module.exports = {
  place,
  store: place && new Store(place.root, place.limit),
  tags: place && new Tags(path.join(place.root, place.app), nextTags()),
};
