// A visit of the start page by a browser that keeps its cache: which scripts and styles came over the network, and what was
// in them.

import { createHash } from 'node:crypto';
import { Tab } from './tab.mjs';

const isMeant = (url) => /\.(js|css)$/.test(new URL(url).pathname);

/** Visits, loads the lazy part as well, and returns each file that the page used. */
export async function visit(context, base, release) {
  const page = await context.newPage();
  const tab = new Tab(page, { path: '/', hasScript: true }, release);
  const session = await context.newCDPSession(page);
  const requests = new Map();
  const at = (event) => requests.get(event.requestId);
  session.on('Network.requestWillBeSent', (event) => {
    if (isMeant(event.request.url)) {
      requests.set(event.requestId, { url: event.request.url, bytes: 0, cache: null });
    }
  });
  session.on('Network.requestServedFromCache', (event) => {
    if (at(event)) at(event).cache ??= 'memory';
  });
  session.on('Network.responseReceived', (event) => {
    const request = at(event);
    if (!request) return;
    request.status = event.response.status;
    if (event.response.fromDiskCache) request.cache = 'disk';
  });
  session.on('Network.loadingFinished', (event) => {
    const request = at(event);
    if (!request) return;
    request.bytes = event.encodedDataLength;
    request.isDone = true;
  });
  await session.send('Network.enable');

  await tab.open(base, 'visit');
  await tab.click('#load');
  await tab.reads('#lazy', `lazy part, release ${release}`);
  await page.waitForLoadState('networkidle');

  const files = [];
  for (const [requestId, request] of requests) {
    if (!request.isDone || request.status !== 200) {
      throw new Error(`${request.url} was answered with ${request.status ?? 'nothing'}`);
    }
    const { body, base64Encoded } = await session.send('Network.getResponseBody', { requestId });
    const content = Buffer.from(body, base64Encoded ? 'base64' : 'utf8');
    const hash = createHash('sha256').update(content).digest('hex');
    const { pathname, search } = new URL(request.url);
    const { bytes, cache } = request;
    files.push({ path: pathname + search, hash, bytes, size: content.length, cache });
  }
  const { problems } = tab;
  await page.close();
  if (problems.length > 0) throw new Error(problems.join('; '));
  return { files };
}
