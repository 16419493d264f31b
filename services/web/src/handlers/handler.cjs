'use strict';
// For `cacheHandler` in the Next.js configuration. Bundlers also put this file into code for the edge runtime, where
// there are no files and Next.js itself keeps nothing: so nothing that needs node may be reachable there.
if (process.env.NEXT_RUNTIME === 'edge') {
  module.exports = class Nothing {
    async get() {
      return null;
    }
    async set() {}
    async revalidateTag() {}
    resetRequestCache() {}
  };
} else {
  module.exports = require('./responses.cjs');
}
