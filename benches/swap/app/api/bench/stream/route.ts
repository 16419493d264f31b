import { setTimeout } from 'node:timers/promises';

export const dynamic = 'force-dynamic';

// An event each quarter of a second, twenty of them.
export function GET() {
  const encoder = new TextEncoder();
  const events = new ReadableStream({
    async start(controller) {
      for (let number = 0; number < 20; number += 1) {
        controller.enqueue(encoder.encode(`data: ${number}\n\n`));
        await setTimeout(250);
      }
      controller.close();
    },
  });
  return new Response(events, {
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
}
