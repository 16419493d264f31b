const TIMEOUT_MS = 2000;

export type Message =
  | { state: 'ok'; text: string }
  | { state: 'empty' }
  | { state: 'down' };

/** The oldest record of the `messages` collection, read afresh at each call. */
export async function readMessage(): Promise<Message> {
  const base = process.env.PB_URL || 'http://127.0.0.1:8090';
  const url = `${base}/api/collections/messages/records?sort=created&perPage=1`;
  try {
    const response = await fetch(url, {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) {
      return { state: 'down' };
    }
    const { items }: { items: { text: string }[] } = await response.json();
    return items.length > 0
      ? { state: 'ok', text: items[0].text }
      : { state: 'empty' };
  } catch {
    // Refused, timed out, or not the JSON that PocketBase sends.
    return { state: 'down' };
  }
}
