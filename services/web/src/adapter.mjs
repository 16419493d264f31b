// Written by core. Asks for what a release needs, and leaves the app's own next.config alone.
export default {
  name: 'core',
  async modifyConfig(config) {
    const id = process.env.CORE_RELEASE_ID;
    return {
      ...config,
      output: config.output === 'export' ? 'export' : 'standalone',
      generateBuildId: async () => id,
      deploymentId: id,
      // The edge compresses, once.
      compress: false,
    };
  },
};
