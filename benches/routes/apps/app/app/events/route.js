export const dynamic = 'force-dynamic';

export function GET() {
  const text = new TextEncoder();
  const body = new ReadableStream({
    async start(out) {
      for (let number = 0; number < 5; number++) {
        out.enqueue(text.encode(`id: ${number}\ndata: event ${number}\n\n`));
        await new Promise((done) => setTimeout(done, 20));
      }
      out.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' } });
}
