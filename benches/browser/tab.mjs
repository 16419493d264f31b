// A tab that was opened at a release, and what becomes of it.

import { brief, check as expect } from '../../tests/browser/browser.mjs';

const isChunk = (url) => new URL(url).pathname.startsWith('/_next/static/');

export class Tab {
  /** `check` is one of those in checks.mjs. */
  constructor(page, check, release) {
    this.page = page;
    this.what = check;
    this.release = release;
    this.documents = 0;
    this.requests = [];
    this.problems = [];
    this.listen();
  }

  /** Notes what the tab asks for, and all that a visitor's browser would complain about. */
  listen() {
    const { page, problems } = this;
    page.on('request', (request) => {
      this.requests.push({ url: new URL(request.url()), method: request.method() });
      if (request.isNavigationRequest() && request.frame() === page.mainFrame()) this.documents += 1;
    });
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => problems.push(`page error: ${error.message}`));
    page.on('response', (response) => {
      if (response.status() >= 400) {
        problems.push(`${response.status()} for ${response.request().method()} ${response.url()}`);
      }
    });
    page.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText;
      // What a page asked for and gave up, because it is loaded anew, is no failure; a chunk is.
      if (reason === 'net::ERR_ABORTED' && !isChunk(request.url())) return;
      // Nor is a script that is not to run.
      if (reason === 'csp' && !this.what.hasScript && request.resourceType() === 'script') return;
      problems.push(`${reason} for ${request.method()} ${request.url()}`);
    });
  }

  /** Opens the page, and waits until it is whole. `id` is a name for what the tab leaves on the server. */
  async open(base, id) {
    const { page, what } = this;
    const response = await page.goto(new URL(`${what.path}?tab=${id}`, base).href);
    expect(response?.status() === 200, `${what.path} answered ${response?.status()}`);
    await this.reads('#release', `release ${this.release}`);
    await page.waitForLoadState('networkidle');
    if (what.hasScript) await page.evaluate(() => (window.isOld = true));
    expect(this.problems.length === 0, this.problems.join('; '));
    this.documents = 0;
    this.requests = [];
  }

  /** Waits until an element says this. */
  async reads(selector, text) {
    const element = this.page.locator(selector).filter({ hasText: text });
    await element.waitFor({ state: 'attached' });
  }

  /** Clicks, once React has taken the element over. */
  async click(selector) {
    if (this.what.hasScript) {
      await this.page.waitForFunction((name) => {
        const element = document.querySelector(name);
        return element && Object.keys(element).some((key) => key.startsWith('__reactProps$'));
      }, selector);
    }
    await this.page.locator(selector).click();
  }

  /** Carries its check out, while another release is live. Returns what came of it, and closes the tab. */
  async check(live) {
    const { page, what, release } = this;
    const result = { check: what.name, release };
    try {
      const text = await what.act(this);
      await page.waitForLoadState('networkidle');
      // Once more: what a page shows may go away when it is loaded anew.
      if (text) await this.reads(text.selector, text.text);
      const shown = text ? await page.locator(text.selector).textContent() : '';
      result.shown = shown;
      result.by = shown.match(/release (\S+)$/)?.[1] ?? null;
      const known = result.by === null || [release, live].includes(result.by);
      expect(known, `it is the answer of another release: ${shown}`);
      const hasAsked = !what.asks || this.requests.some(({ url, method }) => what.asks(url, method));
      expect(hasAsked, 'nothing was asked for that was not there before');
      expect(this.problems.length === 0, this.problems.join('; '));
      const isOld = what.hasScript && (await page.evaluate(() => window.isOld === true));
      result.documents = this.documents;
      if (!what.hasScript) result.result = 'sent';
      else if (isOld && this.documents === 0) result.result = 'soft';
      else result.result = 'hard';
    } catch (error) {
      result.result = 'failed';
      const why = brief(error);
      result.why = [why, ...this.problems.filter((one) => !why.includes(one))].join('; ');
    }
    await page.close();
    return result;
  }
}
