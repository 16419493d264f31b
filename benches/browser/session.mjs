// Browsers that stay open over deploys. Orders come as lines of JSON on stdin; each is answered with one line of JSON on
// stdout. It ends when stdin does.
//
//   node session.mjs BASE_URL
//
//   {"do": "open", "name": "1", "release": "1"}   opens a tab for each check
//   {"do": "check", "name": "1", "live": "4"}     carries the checks out in these tabs, and closes them
//   {"do": "visit", "release": "3"}               a visit with a profile that keeps its cache from visit to visit

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { brief, LIMIT, startBrowser } from '../../tests/browser/browser.mjs';
import { CHECKS } from './checks.mjs';
import { Tab } from './tab.mjs';
import { visit } from './visit.mjs';

const ORDER_LIMIT = 400_000; // for one order, should a wait have no limit of its own
const base = process.argv[2];

// A short name: the browser puts a socket below, whose path may have 107 bytes at most.
const work = mkdtempSync(join(tmpdir(), 'bc-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 5 }));

const browsers = new Map();

/** The browser with this name, which starts when it is needed first. */
async function browser(name, options) {
  if (!browsers.has(name)) {
    const { context } = await startBrowser(work, options);
    context.setDefaultTimeout(LIMIT);
    context.setDefaultNavigationTimeout(LIMIT);
    browsers.set(name, context);
  }
  return browsers.get(name);
}

const opened = new Map();

const orders = {
  async open({ name, release }) {
    const tabs = [];
    for (const check of CHECKS) {
      const context = check.hasScript
        ? await browser('scripts')
        : await browser('no scripts', { javaScriptEnabled: false });
      const tab = new Tab(await context.newPage(), check, release);
      await tab.open(base, `${CHECKS.indexOf(check)}-${name}`);
      tabs.push(tab);
    }
    opened.set(name, tabs);
    return {};
  },
  async check({ name, live }) {
    const results = [];
    for (const tab of opened.get(name)) results.push(await tab.check(live));
    opened.delete(name);
    return { results };
  },
  async visit({ release }) {
    return visit(await browser('visitor'), base, release);
  },
  async version() {
    return { version: (await browser('scripts')).browser()?.version() ?? 'unknown' };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const watch = setTimeout(() => {
    console.error(`the browser gave up after ${ORDER_LIMIT / 1000} s: ${line}`);
    process.exit(1);
  }, ORDER_LIMIT);
  try {
    console.log(JSON.stringify(await orders[order.do](order)));
  } catch (error) {
    console.log(JSON.stringify({ error: `${order.do}: ${brief(error)}` }));
  }
  clearTimeout(watch);
}
for (const context of browsers.values()) await context.close().catch(() => {});
process.exit(0);
