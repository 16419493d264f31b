export default {
  basePath: '/shop',
  i18n: { locales: ['en', 'de', 'fr'], defaultLocale: 'en' },
  async headers() {
    return [
      { source: '/about', headers: [{ key: 'x-config', value: 'about' }] },
      { source: '/:path*', has: [{ type: 'cookie', key: 'mark', value: '(?<mark>.*)' }], headers: [{ key: 'x-mark', value: ':mark' }] },
    ];
  },
  async redirects() {
    return [
      { source: '/old/:id', destination: '/posts/:id', permanent: true },
      { source: '/outside', destination: '/shop/about', basePath: false, permanent: false },
      { source: '/de/alt', destination: '/de/about', locale: false, permanent: false },
    ];
  },
  async rewrites() {
    return [
      { source: '/alias/:id', destination: '/posts/:id' },
      { source: '/other-api/:path*', destination: '/api/all/:path*' },
    ];
  },
};
