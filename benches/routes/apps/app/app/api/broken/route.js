export async function GET(request) {
  throw new Error(`this route is broken: ${request.nextUrl.pathname}`);
}
