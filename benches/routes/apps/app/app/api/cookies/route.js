import { cookies } from 'next/headers';

export async function GET() {
  const jar = await cookies();
  jar.set('one', '1', { path: '/', secure: true, httpOnly: true, sameSite: 'none', partitioned: true });
  jar.set('two', 'ü', { domain: 'example.org', maxAge: 60 });
  jar.delete('three');
  return new Response('cookies');
}
