import { instance, release } from '@/lib/instance';

export const dynamic = 'force-dynamic';

// Healthy means that this process can answer. It asks nothing of PocketBase, so
// that a database outage takes no web instance out of service.
export function GET() {
  return Response.json(
    { status: 'ok', instance: instance(), release: release() },
    { headers: { 'cache-control': 'no-store' } },
  );
}
