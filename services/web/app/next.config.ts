import type { NextConfig } from 'next';

const nextConfig: NextConfig = {
  // A self-contained server: .next/standalone/server.js
  output: 'standalone',

  // This folder is the whole project, whatever lock files lie above it.
  outputFileTracingRoot: __dirname,
  turbopack: { root: __dirname },

  poweredByHeader: false,

  // `next dev` writes no files of its own next to the sources.
  agentRules: false,
};

export default nextConfig;
