import { instance } from '@/lib/instance';

export const dynamic = 'force-dynamic';

export function GET() {
  return Response.json({ message: 'hello', instance: instance() });
}
