'use strict';
// For `cacheHandlers` in the Next.js configuration ('use cache', since 16). See handler.cjs for the edge runtime.
if (process.env.NEXT_RUNTIME === 'edge') {
  module.exports = {
    get: async () => undefined,
    set: async () => {},
    refreshTags: async () => {},
    getExpiration: async () => 0,
    updateTags: async () => {},
  };
} else {
  module.exports = require('./functions.cjs');
}
