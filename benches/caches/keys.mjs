// Checks the key of server actions: forms of pages that were rendered with a former one, with core's program around the server.
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { build, start } from './servers.mjs';

const BOUNDARY = '----core-0123456789abcdefghi';
const KEYS = [0, 1].map(() => randomBytes(32).toString('base64'));

/** The hidden fields of each form of a page. */
function forms(page) {
  const plain = (text = '') => text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');
  const hidden = /<input type="hidden" name="([^"]*)"(?: value="([^"]*)")?/g;
  return [...page.matchAll(/<form.*?<\/form>/gs)].map(([form]) => [...form.matchAll(hidden)].map(([, name, value]) => [name, plain(value)]));
}

function post(server, where, fields, headers = {}) {
  const part = ([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  return server.get(where, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, ...headers },
    body: `${fields.map(part).join('')}--${BOUNDARY}--\r\n`,
  });
}

/** As a browser without scripts sends it. */
const submit = (server, where, fields) => post(server, where, [...fields, ['word', 'hello']]);

/** As a script calls the action of a form with bound values. */
function call(server, where, fields) {
  const of = (ending) => fields.find(([name]) => name.startsWith('$ACTION_') && name.endsWith(ending))[1];
  return post(server, where, [['1', of(':2')], ['2_word', 'hello'], ['0', '["$@1","$K2"]']], { 'next-action': JSON.parse(of(':0')).id });
}

export async function checkKeys({ folder, version, patched, core, check }) {
  const homes = [];
  for (const key of KEYS) {
    fs.rmSync(path.join(folder, '.next'), { recursive: true, force: true });
    const built = await build(folder, version, patched, { NEXT_SERVER_ACTIONS_ENCRYPTION_KEY: key });
    const home = path.join(folder, `release-${homes.length}`);
    fs.rmSync(home, { recursive: true, force: true });
    fs.renameSync(built, home);
    fs.mkdirSync(path.join(home, '.core'), { recursive: true });
    homes.push(home);
  }
  const run = fs.mkdtempSync(path.join(os.tmpdir(), 'core-keys-'));
  for (const file of ['server.cjs', 'actions.cjs']) fs.copyFileSync(path.join(core, file), path.join(run, file));
  const serve = (home, keys) => {
    fs.writeFileSync(path.join(home, '.core/actions-keys.json'), JSON.stringify(keys));
    return start(home, {}, [path.join(run, 'server.cjs'), path.join(home, 'server.js')]);
  };
  const pages = ['/form', '/fixed'];
  const get = async (server) => Object.fromEntries(await Promise.all(pages.map(async (page) => [page, forms((await server.get(page)).text)])));
  const is303 = ({ status, headers }) => status === 303 && headers.location.endsWith('/said/BOUND/hello');
  const isDone = ({ status, headers }) => [200, 303].includes(status) && headers['x-action-redirect']?.startsWith('/said/BOUND/');

  const before = await serve(homes[0], { key: KEYS[0], former: [] });
  const old = await get(before);
  for (const page of pages) check(`${page} is accepted by its own release`, is303(await submit(before, page, old[page][0])));
  await before.stop();

  const at = (minutes) => new Date(Date.now() + minutes * 60_000).toISOString();
  for (const [what, minutes] of [['is honoured', 60], ['is over', -1]]) {
    const server = await serve(homes[1], { key: KEYS[1], former: [{ key: KEYS[0], until: at(minutes) }] });
    const now = await get(server);
    for (const page of pages) {
      const [form, called] = [await submit(server, page, old[page][0]), await call(server, page, old[page][0])];
      const wanted = minutes > 0 ? is303(form) && isDone(called) : form.status >= 400 && called.status >= 400;
      check(`the former key ${what}: ${page}`, wanted, `form ${form.status}, fetch ${called.status}`);
      check(`its own form of ${page} is accepted`, is303(await submit(server, page, now[page][0])));
    }
    await server.stop();
  }
  fs.rmSync(run, { recursive: true });
}
