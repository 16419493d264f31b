import { stamp } from '../../lib/stamp';

export async function GET() {
  return Response.json({ stamp: await stamp('route') });
}
