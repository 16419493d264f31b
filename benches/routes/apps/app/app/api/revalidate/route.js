import { revalidatePath } from 'next/cache';

export async function POST() {
  revalidatePath('/isr');
  return Response.json({ revalidated: true });
}
