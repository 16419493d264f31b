// Written by core. Asks for what a release needs, and leaves the app's own next.config alone.

/** Whether this version of Next.js can name files after their contents alone: since 16.3.5, with Turbopack. */
function namesFilesByContents(version) {
  const [major, minor, patch] = (version ?? '').split(/[.-]/).map(Number);
  const isNew = major > 16 || (major === 16 && (minor > 3 || (minor === 3 && patch >= 5)));
  return isNew && Boolean(process.env.TURBOPACK);
}

export default {
  name: 'core',
  // The second argument is not there before 16.0.
  async modifyConfig(config, more) {
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
    if (changed.output === 'standalone' && namesFilesByContents(more?.nextVersion)) {
      // A file that did not change keeps its address over a deploy. Next takes this away again from standalone servers,
      // because of hosts that have the files of one build only; the edge has those of all releases that are kept.
      Object.defineProperty(changed, 'supportsImmutableAssets', { get: () => true, set() {}, enumerable: true });
    }
    return changed;
  },
};
