import { revalidateTag } from 'next/cache';

export async function POST() {
  revalidateTag('stamp-page', 'max');
  return Response.json({ revalidated: true });
}
