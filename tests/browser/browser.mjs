// A headless Chromium for the checks beside this file. The browser is $CHROMIUM, else one found on PATH, else the one
// packaged in @sparticuz/chromium. No browser is a failure, never a skip.

import { accessSync, constants, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const LIMIT = 30_000; // for each single wait
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

/** A finding about the app, as opposed to a bug in this file. */
export class Failure extends Error {}

export function check(condition, message) {
  if (!condition) throw new Failure(message);
}

/** The part of a Playwright message that a reader needs: no colours, no call log, no long command lines. */
export function brief(error) {
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

/** What was unpacked, by folder: several browsers may share it. */
const packages = new Map();

/** Unpacks the packaged browser below `work`, never into a shared folder, and once. */
function unpackPackaged(work) {
  if (!packages.has(work)) packages.set(work, unpack(work));
  return packages.get(work);
}

async function unpack(work) {
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

/** Starts a browser with an empty profile, both below `work`. `more` are further options of Playwright for its context. */
export async function startBrowser(work, more = {}) {
  const home = join(work, 'home');
  mkdirSync(home, { recursive: true });
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
            ...more,
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

/**
 * Carries out a check in a browser: `walk(context, options, problems, at)`, which says with `at` what it does and returns
 * what it has seen. Success: one line of JSON on stdout, exit 0. Anything else: a message on stderr, exit 1.
 */
export async function run(readArguments, walk) {
  try {
    const seen = await carryOut(readArguments(), walk);
    console.log(JSON.stringify(seen));
    process.exit(0);
  } catch (error) {
    console.error(`browser check: ${error instanceof Failure ? error.message : error.stack}`);
    process.exit(1);
  }
}

async function carryOut(options, walk) {
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
    try {
      const seen = await walk(context, options, problems, (name) => {
        step = name;
      });
      const browser = { source, executable, version };
      return { ok: true, browser, ...seen };
    } catch (error) {
      const page = context.pages()[0];
      if (options.screenshot) await page?.screenshot({ path: options.screenshot }).catch(() => {});
      const message = brief(error);
      const also = problems.filter((problem) => !message.includes(problem));
      throw new Failure([`while ${step}: ${message}`, ...also].join('\n'));
    }
  } finally {
    await context.close().catch(() => {});
  }
}
