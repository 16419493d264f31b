import { cacheLife, cacheTag } from 'next/cache';

export async function stamp(name) {
  'use cache';
  cacheLife('hours');
  cacheTag(`stamp-${name}`);
  return `${name} ${Date.now()}`;
}
