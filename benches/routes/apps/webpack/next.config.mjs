export default {
  trailingSlash: true,
  webpack(config, { webpack }) {
    config.plugins.push(new webpack.DefinePlugin({ BUNDLER: JSON.stringify('webpack') }));
    return config;
  },
  async redirects() {
    return [{ source: '/old', destination: '/about', permanent: true }];
  },
  async rewrites() {
    return [{ source: '/alias', destination: '/about' }];
  },
};
