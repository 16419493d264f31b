export async function GET(request) {
  const encoded = request.nextUrl.searchParams.has('image');
  return new Response('abcdefghij'.repeat(5000), { headers: { 'content-type': encoded ? 'image/png' : 'text/plain' } });
}
