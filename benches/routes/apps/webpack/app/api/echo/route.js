export async function GET(request) {
  return Response.json({ path: request.nextUrl.pathname, query: [...request.nextUrl.searchParams] });
}
