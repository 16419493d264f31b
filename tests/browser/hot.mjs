// Looks whether an edit of a page shows by itself in a headless Chromium, with the state of the page kept.
//
//   node hot.mjs FILE BASE_URL…
//
// FILE is the page, a client component: `<button>` counts its clicks, `<p id="word">` holds a word that is written in
// FILE as `word: …`. For each address the page is opened, clicked and edited.

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { check, run } from './browser.mjs';

const EDIT = 10_000; // for an edit to show, on a busy machine
const TRIES = 5;

function readArguments() {
  const { positionals } = parseArgs({ allowPositionals: true });
  const [file, ...bases] = positionals;
  check(bases.length > 0 && bases.every((base) => URL.canParse(base)), 'usage: node hot.mjs FILE BASE_URL…');
  return { file, bases };
}

async function walk(context, { file, bases }, problems, at) {
  const took = {};
  let number = 0;
  for (const base of bases) {
    const page = await context.newPage();
    at(`opening ${base}`);
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket));
    const answer = await page.goto(base);
    check(answer?.status() === 200, `${base} answered ${answer?.status()}, not 200`);
    const button = page.locator('main button');
    at(`clicking at ${base}`);
    // Before React has taken over the button, a click does nothing.
    await page.waitForFunction(() => {
      const element = document.querySelector('main button');
      return Object.keys(element).some((key) => key.startsWith('__reactProps$'));
    });
    await button.click();
    await page.waitForFunction(() => document.querySelector('main button').textContent === '1');
    at(`waiting for the connection of ${base}`);
    while (sockets.length === 0) await page.waitForEvent('websocket');
    at(`waiting for the edit at ${base}`);
    // The page may not listen yet when it has just connected: an edit that is not seen is followed by another one.
    for (let tries = 1; took[base] === undefined; tries += 1) {
      number += 1;
      const word = `word: edit ${number}.`;
      writeFileSync(file, readFileSync(file, 'utf8').replace(/word: [^.]*\./, word));
      const began = Date.now();
      const seen = page.waitForFunction(
        (text) => document.querySelector('#word').textContent === text,
        word,
        { timeout: EDIT },
      );
      await seen.then(
        () => {
          took[base] = Date.now() - began;
        },
        (error) => {
          if (tries === TRIES) throw error;
        },
      );
    }
    check((await button.textContent()) === '1', `${base}: the state of the page was lost`);
    check(sockets.every((socket) => !socket.isClosed()), `${base}: a connection for edits was closed`);
    check(problems.length === 0, problems.join('\n'));
    await page.close();
  }
  return { took };
}

run(readArguments, walk);
