// Which headers reach the app, less those that a connection has for itself.
export async function GET(request) {
  const all = [...request.headers].filter(([name]) => !['connection', 'x-forwarded-port'].includes(name)).sort();
  return new Response(all.map(([name, value]) => `${name}: ${value}\n`).join(''));
}
