import { NextResponse } from 'next/server';

export function proxy(request) {
  const { pathname } = request.nextUrl;
  const to = (path) => new URL(path, request.url);
  if (pathname === '/proxy/rewrite') return NextResponse.rewrite(to('/who?by=proxy'));
  if (pathname === '/proxy/static') return NextResponse.rewrite(to('/about'));
  if (pathname === '/proxy/redirect') return NextResponse.redirect(to('/about?by=proxy'));
  if (pathname === '/proxy/answer') return NextResponse.json({ by: 'proxy' }, { status: 418 });
  if (pathname === '/proxy/cookie') {
    const answer = NextResponse.redirect(to('/who'), 303);
    answer.cookies.set('proxy', 'yes', { path: '/', httpOnly: true, sameSite: 'lax', maxAge: 60 });
    answer.cookies.set('other', 'a b', { path: '/who' });
    return answer;
  }
  const headers = new Headers(request.headers);
  headers.set('x-from-proxy', 'asked');
  const answer = NextResponse.next({ request: { headers } });
  answer.headers.set('x-proxy', 'answered');
  answer.headers.append('vary', 'x-beta');
  return answer;
}

export const config = { matcher: ['/proxy/:path*', '/who', '/isr', '/logo.svg'] };
