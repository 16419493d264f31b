export default {
  async headers() {
    return [
      { source: '/about', headers: [{ key: 'x-config', value: 'about' }] },
      { source: '/about', has: [{ type: 'query', key: 'mark' }], headers: [{ key: 'x-has', value: 'mark' }] },
      { source: '/about', missing: [{ type: 'cookie', key: 'seen' }], headers: [{ key: 'x-missing', value: 'seen' }] },
      { source: '/data.json', headers: [{ key: 'cache-control', value: 'public, max-age=60' }] },
    ];
  },
  async redirects() {
    return [
      { source: '/old/:path*', destination: '/about?from=:path*', permanent: true },
      { source: '/away', destination: 'https://example.org/there', permanent: false },
      { source: '/see-other', destination: '/about', statusCode: 303 },
      {
        source: '/beta',
        has: [{ type: 'header', key: 'x-beta', value: '(?<name>.*)' }],
        destination: '/docs/:name',
        permanent: false,
      },
      { source: '/members', missing: [{ type: 'cookie', key: 'member' }], destination: '/about', permanent: false },
    ];
  },
  async rewrites() {
    return {
      beforeFiles: [{ source: '/robots.txt', has: [{ type: 'query', key: 'json' }], destination: '/data.json' }],
      afterFiles: [
        { source: '/alias/:path*', destination: '/docs/:path*' },
        { source: '/members', has: [{ type: 'cookie', key: 'member' }], destination: '/who' },
      ],
      fallback: [{ source: '/fallback/:path*', destination: '/docs/fallback/:path*' }],
    };
  },
};
