'use cache';
import { cacheLife } from 'next/cache';

export default async function Page() {
  cacheLife('max');
  return <p>cached as a whole</p>;
}
