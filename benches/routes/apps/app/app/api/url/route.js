export async function GET(request) {
  const { host, pathname, search } = request.nextUrl;
  return Response.json({ url: request.url, host, pathname, search });
}
