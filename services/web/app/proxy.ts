import { NextResponse } from 'next/server';
import { instance } from '@/lib/instance';

// Runs before every page and API route and names the instance that answered.
export function proxy() {
  const response = NextResponse.next();
  response.headers.set('x-served-by', instance());
  return response;
}

export const config = {
  // Everything except built assets, optimized images and files in public/.
  matcher: '/((?!_next/|favicon.ico|robots.txt).*)',
};
