export const dynamic = 'force-dynamic';

// Answers without reading what it is sent.
export async function POST() {
  return Response.json({ early: true });
}
