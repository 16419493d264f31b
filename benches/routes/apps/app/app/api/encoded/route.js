import { gzipSync } from 'node:zlib';

// Encoded by the app itself: nothing may encode it again.
export async function GET(request) {
  await request.nextUrl.searchParams;
  const body = gzipSync('gzip by the app '.repeat(200));
  return new Response(body, { headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' } });
}
