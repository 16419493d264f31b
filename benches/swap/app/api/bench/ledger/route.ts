import { appendFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

export const dynamic = 'force-dynamic';

// Writes down what was begun and what was ended: a request that is lost while
// nothing of it stands here was never inside this process.
export async function POST(request: Request) {
  const number = new URL(request.url).searchParams.get('n');
  const ledger = process.env.LEDGER ?? '/dev/null';
  appendFileSync(ledger, `begin ${number}\n`);
  await request.text();
  await setTimeout(5);
  appendFileSync(ledger, `end ${number}\n`);
  return Response.json({ number });
}
