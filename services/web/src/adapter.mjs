// Written by core. Asks for what a release needs, and leaves the app's own next.config alone.
import path from 'node:path';

const [MAJOR, MINOR, PATCH] = (process.env.CORE_NEXT_VERSION ?? '').split(/[.-]/).map(Number);
const isSince = (major, minor, patch = 0) =>
  MAJOR > major || (MAJOR === major && (MINOR > minor || (MINOR === minor && PATCH >= patch)));

/** Caches that all replicas share, in the places where the app has none of its own. */
function caches(config) {
  const at = (name) => path.join(process.env.CORE_HANDLERS, name);
  const asked = {};
  if (!config.cacheHandler) {
    asked.cacheHandler = at('handler.cjs');
    // Images go through the same handler.
    if (isSince(16, 2)) asked.images = { ...config.images, customCacheHandler: true };
  }
  // Only where 'use cache' is on: Turbopack cannot build edge route handlers when this is set (16.4.6).
  if (isSince(16, 0) && (config.cacheComponents || config.experimental?.useCache)) {
    const handler = at('use-cache.cjs');
    const own = config.cacheHandlers ?? {};
    asked.cacheHandlers = { ...own, default: own.default ?? handler, remote: own.remote ?? handler };
  }
  return asked;
}

export default {
  name: 'core',
  async modifyConfig(config) {
    const id = process.env.CORE_RELEASE_ID;
    // The copy that is built is the whole project. Next would look for lock files above it, which are of others.
    const root = process.env.CORE_BUILD_ROOT;
    const changed = {
      ...config,
      output: config.output === 'export' ? 'export' : 'standalone',
      generateBuildId: async () => id,
      deploymentId: id,
      outputFileTracingRoot: root,
      turbopack: { ...config.turbopack, root },
      // The edge compresses, once.
      compress: false,
    };
    if (changed.output !== 'export') Object.assign(changed, caches(config));
    // 16.0 and 16.1 compile pages for a host that does the caching when they see an adapter: then nothing is cached, and
    // the holes of partly prerendered pages stay empty. They have read it by now.
    if (MAJOR === 16 && MINOR < 2) changed.experimental = { ...config.experimental, adapterPath: undefined };
    // A file that did not change keeps its address over a deploy. Next takes this away again from standalone servers,
    // because of hosts that have the files of one build only; the edge has those of all releases that are kept.
    if (isSince(16, 3, 5) && process.env.TURBOPACK) {
      Object.defineProperty(changed, 'supportsImmutableAssets', { get: () => true, set() {}, enumerable: true });
    }
    return changed;
  },
};
