const answer = (word) => new Response(null, { status: 204, headers: { 'x-own': word, allow: 'GET, HEAD, OPTIONS' } });

export const GET = () => new Response('own', { headers: { etag: '"own"', 'last-modified': new Date(0).toUTCString() } });
export const HEAD = () => answer('head');
export const OPTIONS = () => answer('options');
