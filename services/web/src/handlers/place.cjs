'use strict';
// Where this process may keep its cache. Read from the environment that core sets for a replica.
const path = require('node:path');

const MIB = 1024 * 1024;

// The place, or undefined when core did not give one (during `next build`, or when server.js is started by hand).
// Without a release ID there is no place either: pages of unknown releases must never be mixed.
function placeOf(environment) {
  const root = environment.CORE_CACHE_DIR;
  const release = environment.CORE_RELEASE_ID;
  if (!root || !path.isAbsolute(root) || !release || !/^[0-9a-z-]+$/.test(release)) return undefined;
  const asked = Number(environment.CORE_CACHE_MB);
  const limit = (asked > 0 && Number.isFinite(asked) ? asked : 512) * MIB;
  // `app` outlives releases, the other one belongs to this release alone.
  return { root, limit, app: 'app', release: `releases/${release}` };
}

module.exports = { placeOf };
