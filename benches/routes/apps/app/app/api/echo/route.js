export async function GET(request) {
  return Response.json({ method: 'GET', query: [...request.nextUrl.searchParams] });
}

export async function POST(request) {
  return Response.json({ method: 'POST', body: await request.text() }, { status: 201, headers: { 'x-echo': 'post' } });
}
