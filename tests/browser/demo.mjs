// Walks through the running web app in a headless Chromium.
//
//   node demo.mjs BASE_URL [--expect-message TEXT | --expect-down] [--screenshot FILE]
//
// Success: one line of JSON on stdout, exit 0. Anything else: a message on
// stderr, exit 1. The browser is $CHROMIUM, else one found on PATH, else the one
// packaged in @sparticuz/chromium. No browser is a failure, never a skip.

import { randomUUID } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';

const LIMIT = 30_000; // for each single wait
const TOTAL_LIMIT = 240_000; // for everything, should a wait have no limit of its own

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

const USAGE =
  'usage: node demo.mjs BASE_URL [--expect-message TEXT | --expect-down] [--screenshot FILE]';

/** A finding about the app, as opposed to a bug in this file. */
class Failure extends Error {}

function check(condition, message) {
  if (!condition) throw new Failure(message);
}

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

/** The part of a Playwright message that a reader needs: no colours, no call log, no long command lines. */
function brief(error) {
  return error.message
    .replace(/\u001b\[\d+m/g, '')
    .replace(/\n*(Browser logs|Call log):\n/g, '\n')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line && !/^-? ?(<launch|\[pid=\d+\] (<|starting|finished|exception))/.test(line))
    .join('\n');
}

// --- The browser -----------------------------------------------------------

function onPath(name) {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not here.
    }
  }
  return undefined;
}

/** Unpacks the packaged browser below `work`, never into a shared folder. */
async function unpackPackaged(work) {
  const unpacked = join(work, 'unpacked');
  mkdirSync(unpacked);
  const outer = process.env.TMPDIR;
  process.env.TMPDIR = unpacked; // the package unpacks into os.tmpdir()
  try {
    const { default: packaged, inflate } = await import('@sparticuz/chromium');
    const executable = await packaged.executablePath();
    const bin = new URL('../bin/', import.meta.resolve('@sparticuz/chromium'));
    const libraries = join(await inflate(fileURLToPath(new URL('al2023.tar.br', bin))), 'lib');
    const fonts = existsSync('/etc/fonts/fonts.conf')
      ? {}
      : { FONTCONFIG_PATH: join(unpacked, 'fonts') };
    return { executable, libraries, fonts };
  } finally {
    if (outer === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = outer;
  }
}

/** The browsers to try, in order. Each is a function, so that only those needed are unpacked. */
function* candidates(work) {
  if (process.env.CHROMIUM) {
    yield async () => [{ source: 'CHROMIUM', executable: process.env.CHROMIUM }];
    return; // asked for by name: nothing else will do
  }
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const executable = onPath(name);
    if (executable) yield async () => [{ source: 'PATH', executable }];
  }
  yield async () => {
    const { executable, libraries, fonts } = await unpackPackaged(work);
    const source = '@sparticuz/chromium';
    return [
      { source, executable, env: fonts },
      // The same, with its own NSS, NSPR and expat, for hosts that have none.
      {
        source: `${source} with its own libraries`,
        executable,
        env: { ...fonts, LD_LIBRARY_PATH: libraries },
      },
    ];
  };
}

async function startBrowser(work) {
  const home = join(work, 'home');
  mkdirSync(home);
  const reasons = [];
  for (const candidate of candidates(work)) {
    let choices;
    try {
      choices = await candidate();
    } catch (error) {
      reasons.push(`the packaged browser cannot be unpacked: ${brief(error)}`);
      continue;
    }
    for (const { source, executable, env } of choices) {
      try {
        accessSync(executable, constants.X_OK);
        const context = await chromium.launchPersistentContext(
          mkdtempSync(join(work, 'profile-')),
          {
            executablePath: executable,
            headless: true,
            args: FLAGS,
            env: {
              ...process.env,
              HOME: home,
              TMPDIR: work, // whatever it leaves behind goes with the rest
              XDG_CONFIG_HOME: join(home, '.config'),
              XDG_CACHE_HOME: join(home, '.cache'),
              ...env,
            },
            timeout: LIMIT,
            viewport: { width: 1280, height: 800 },
          },
        );
        return { context, source, executable };
      } catch (error) {
        reasons.push(`${executable} (${source}) does not start: ${brief(error)}`);
      }
    }
  }
  throw new Failure(`no browser can be started\n${reasons.join('\n')}`);
}

// --- The walk --------------------------------------------------------------

/** Collects everything a visitor's browser would complain about. */
function watch(context) {
  const problems = [];
  context.on('console', (message) => {
    if (message.type() === 'error') problems.push(`console error: ${message.text()}`);
  });
  context.on('weberror', (error) => problems.push(`page error: ${error.error().message}`));
  context.on('response', (response) => {
    if (response.status() >= 400) {
      problems.push(`${response.status()} for ${response.request().method()} ${response.url()}`);
    }
  });
  context.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // A prefetch that the page itself gave up, because it went elsewhere, is no failure.
    const prefetch = new URL(request.url()).searchParams.has('_rsc');
    if (prefetch && reason === 'net::ERR_ABORTED') return;
    problems.push(`${reason} for ${request.method()} ${request.url()}`);
  });
  return problems;
}

async function walk(page, options, problems, at) {
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

async function main() {
  const options = readArguments();

  // A short name: the browser puts a socket below, whose path may have 107 bytes at most.
  const work = mkdtempSync(join(tmpdir(), 'bc-'));
  const tidy = () => rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  process.on('exit', tidy);

  let step = 'starting the browser';
  setTimeout(() => {
    console.error(`browser check: gave up after ${TOTAL_LIMIT / 1000} s while ${step}`);
    process.exit(1);
  }, TOTAL_LIMIT).unref();

  const { context, source, executable } = await startBrowser(work);
  try {
    const version = context.browser()?.version() ?? null;
    context.setDefaultTimeout(LIMIT);
    context.setDefaultNavigationTimeout(LIMIT);
    const problems = watch(context);
    const page = context.pages()[0] ?? (await context.newPage());
    try {
      const seen = await walk(page, options, problems, (name) => {
        step = name;
      });
      const browser = { source, executable, version };
      console.log(JSON.stringify({ ok: true, browser, ...seen }));
    } catch (error) {
      if (options.screenshot) await page.screenshot({ path: options.screenshot }).catch(() => {});
      const message = brief(error);
      const also = problems.filter((problem) => !message.includes(problem));
      throw new Failure([`while ${step}: ${message}`, ...also].join('\n'));
    }
  } finally {
    await context.close().catch(() => {});
  }
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(`browser check: ${error instanceof Failure ? error.message : error.stack}`);
    process.exit(1);
  },
);
