// Walks through the running web app in a headless Chromium.
//
//   node demo.mjs BASE_URL [--expect-message TEXT | --expect-down] [--screenshot FILE]

import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { check, Failure, run } from './browser.mjs';

const USAGE =
  'usage: node demo.mjs BASE_URL [--expect-message TEXT | --expect-down] [--screenshot FILE]';

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        'expect-message': { type: 'string' },
        'expect-down': { type: 'boolean' },
        screenshot: { type: 'string' },
      },
    });
  } catch (error) {
    throw new Failure(`${error.message}\n${USAGE}`);
  }
  const { values, positionals } = parsed;
  check(positionals.length === 1 && URL.canParse(positionals[0]), USAGE);
  const expectMessage = values['expect-message'];
  const expectDown = values['expect-down'] ?? false;
  check(!(expectDown && expectMessage !== undefined), USAGE);
  return { base: positionals[0], expectMessage, expectDown, screenshot: values.screenshot };
}

async function walk(context, options, problems, at) {
  const page = context.pages()[0] ?? (await context.newPage());
  const { base, expectMessage, expectDown, screenshot } = options;
  const url = (path) => new URL(path, base).href;
  const seen = { url: url('/') };

  let documents = 0;
  page.on('request', (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) documents += 1;
  });

  /** Waits until nothing is on its way any more, then reports what went wrong until here. */
  const settle = async () => {
    await page.waitForLoadState('networkidle');
    check(problems.length === 0, problems.join('\n'));
  };

  at('loading /');
  const home = await page.goto(url('/'));
  check(home?.status() === 200, `/ answered ${home?.status()}, not 200`);
  seen.status = home.status();

  at('reading the message on /');
  const texts = page.locator(
    '[data-testid="message"], [data-testid="message-empty"], [data-testid="pocketbase-down"]',
  );
  await texts.first().waitFor();
  const kind = await texts.first().getAttribute('data-testid');
  const text = (await texts.first().textContent()).trim();
  seen.message = kind === 'message' ? text : null;
  seen.down = kind === 'pocketbase-down';
  if (expectDown) {
    check(seen.down, `/ should say that PocketBase is down, but says "${text}"`);
  } else if (expectMessage !== undefined) {
    check(
      seen.message === expectMessage,
      `/ should show the message "${expectMessage}", but says "${text}"`,
    );
  }

  at('checking which instance served /');
  seen.instance = (await page.getByTestId('instance').textContent()).trim();
  seen.servedBy = home.headers()['x-served-by'] ?? null;
  check(seen.servedBy, '/ came without an x-served-by header');
  check(
    seen.servedBy === seen.instance,
    `x-served-by is "${seen.servedBy}", but the page says "${seen.instance}"`,
  );
  await settle();
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });

  at('following the link to /about');
  const link = page.locator('main a[href="/about"]');
  // A click before React has taken over the link would be an ordinary page load.
  await link.waitFor();
  await page.waitForFunction(() => {
    const element = document.querySelector('main a[href="/about"]');
    return Object.keys(element).some((key) => key.startsWith('__reactProps$'));
  });
  const marker = randomUUID();
  await page.evaluate((value) => {
    window.__marker = value;
  }, marker);
  const documentsBefore = documents;
  await link.click();
  await page.waitForURL(url('/about'));
  await page.getByRole('heading', { level: 1, name: 'About' }).waitFor();
  check(
    (await page.evaluate(() => window.__marker)) === marker && documents === documentsBefore,
    'the link to /about loaded a whole document instead of navigating in the page',
  );

  at('waiting for the image on /about');
  await page.waitForFunction(() => {
    const image = document.querySelector('main img');
    return image?.complete && image.naturalWidth > 0;
  });
  seen.about = await page.evaluate(() => {
    const image = document.querySelector('main img');
    return { clientSide: true, image: image.currentSrc, naturalWidth: image.naturalWidth };
  });
  check(
    seen.about.image.includes('/_next/image'),
    `the image on /about did not come through next/image: ${seen.about.image}`,
  );
  await settle();

  at('loading /isr');
  const isr = await page.goto(url('/isr'));
  check(isr?.status() === 200, `/isr answered ${isr?.status()}, not 200`);
  const generated = await page.getByTestId('generated').getAttribute('datetime');
  check(
    !Number.isNaN(Date.parse(generated)),
    `/isr shows no time it was generated, but "${generated}"`,
  );
  seen.isr = { generated, cache: isr.headers()['x-nextjs-cache'] ?? null };
  await settle();

  at('calling /api/hello');
  const hello = await page.evaluate(async () => {
    const response = await fetch('/api/hello', { cache: 'no-store' });
    return { status: response.status, body: await response.text() };
  });
  check(hello.status === 200, `/api/hello answered ${hello.status}, not 200`);
  try {
    seen.hello = JSON.parse(hello.body);
  } catch {
    throw new Failure(`/api/hello did not answer with JSON, but with ${hello.body.slice(0, 200)}`);
  }
  check(seen.hello.message === 'hello', `/api/hello answered ${hello.body}`);
  await settle();

  return seen;
}

run(readArguments, walk);
