import { setTimeout } from 'node:timers/promises';

export const dynamic = 'force-dynamic';

// Answers after five seconds.
export async function GET() {
  await setTimeout(5000);
  return new Response('slow\n');
}
