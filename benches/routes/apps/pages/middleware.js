import { NextResponse } from 'next/server';

export function middleware(request) {
  const { pathname, locale } = request.nextUrl;
  if (pathname === '/middle/redirect') {
    const to = request.nextUrl.clone();
    to.pathname = '/about';
    return NextResponse.redirect(to);
  }
  if (pathname === '/middle/rewrite') {
    const to = request.nextUrl.clone();
    to.pathname = '/about';
    return NextResponse.rewrite(to);
  }
  const answer = NextResponse.next();
  answer.headers.set('x-middleware-saw', `${locale} ${pathname}`);
  answer.cookies.set('middle', 'yes', { path: '/shop' });
  return answer;
}

export const config = { matcher: ['/middle/:path*', '/about', '/isr'] };
