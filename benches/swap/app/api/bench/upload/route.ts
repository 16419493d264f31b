export const dynamic = 'force-dynamic';

// How many bytes came.
export async function POST(request: Request) {
  let bytes = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
  }
  return new Response(`${bytes}\n`);
}
