// Written by core. Asks for what a release needs, and leaves the app's own next.config alone.
export default {
  name: 'core',
  async modifyConfig(config) {
    const id = process.env.CORE_RELEASE_ID;
    // The copy that is built is the whole project. Next would look for lock files above it, which are of others.
    const root = process.env.CORE_BUILD_ROOT;
    return {
      ...config,
      output: config.output === 'export' ? 'export' : 'standalone',
      generateBuildId: async () => id,
      deploymentId: id,
      outputFileTracingRoot: root,
      turbopack: { ...config.turbopack, root },
      // The edge compresses, once.
      compress: false,
    };
  },
};
