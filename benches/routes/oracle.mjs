// What a build of the other side has of core's own adapter: the same ids, so that addresses and bodies are the same.
import { readFileSync } from 'node:fs';

export default {
  name: 'oracle',
  async modifyConfig(config) {
    const root = process.env.ROUTES_ROOT;
    // It is asked by the build and by the server, which does not know what built it.
    const isWebpack = readFileSync(`${root}/package.json`, 'utf8').includes('--webpack');
    return {
      ...config,
      generateBuildId: async () => process.env.ROUTES_ID,
      deploymentId: process.env.ROUTES_ID,
      outputFileTracingRoot: root,
      turbopack: { ...config.turbopack, root },
      // Files are named after their contents alone, as in releases: where Next.js can do that, it may.
      ...(isWebpack ? {} : { supportsImmutableAssets: true }),
    };
  },
};
