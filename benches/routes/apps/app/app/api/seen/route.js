// What whoever is in front of the app tells it, beside what the client sent.
const TOLD = /^(host|via|forwarded|x-real-ip|x-forwarded-.*)$/;

export async function GET(request) {
  const told = [...request.headers].filter(([name]) => TOLD.test(name)).sort();
  return new Response(told.map(([name, value]) => `${name}: ${value}\n`).join(''));
}
