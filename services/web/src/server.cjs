// Written by core. Starts Next's standalone server (the argument) so that it knows its public origin, request by request.
//
// Why. The server is told one host name and one port, those that it listens on, and makes each absolute URL of them:
// `req.url`, `nextUrl.origin`, what a route handler's redirect names. Behind the edge these are of no use to a visitor,
// and the edge serves many hosts. With the address 127.0.0.1 even a rewrite of the app's own middleware looks like one
// to another server, since Next itself spells each loopback address `localhost` (NextURL): it is proxied, to itself.
//
// How. `router-server` is the one module that hands host name and port on. Its `initialize` gets them as options, reads
// them again at each request, and gives the `NextNodeServer` a copy. Both become properties that answer for the request
// that is being served (AsyncLocalStorage), and the listener stays what it was: `start-server` binds to HOSTNAME before.
//
// What the edge passes on is believed: X-Forwarded-Host, else Host, and X-Forwarded-Proto. The listener must not be
// reachable by anyone but the edge; a host that is no host is ignored.
//
// It also counts answers, for core, names its release in a cookie, and honours former keys of server actions (actions.cjs).
//
// Nothing here may keep the server from serving: what is not as expected is said in one line and left as it was.
'use strict';

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');
const { AsyncLocalStorage } = require('node:async_hooks');
const { channel } = require('node:diagnostics_channel');
const { pathToFileURL } = require('node:url');

const LOOPBACK = /^(?:127(?:\.\d{1,3}){3}|\[::1\])$/;
const HOST = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;
/** The longest name of a host with its port. */
const LONGEST = 262;
/** Versions that this was tried with, as `major * 100 + minor`: later ones may read their name once, at the start. */
const TRIED = { from: 1402, to: 1604 };
/** The place of the request that is being served: `{hostname, port}`, or nothing. */
const current = new AsyncLocalStorage();
/** Places by scheme and host, for they are few; emptied when they are not. */
const places = new Map();

function warn(what) {
  console.error(`core: Next.js is not told its public address (${what}): absolute URLs name this host`);
}

/** Whether the server's version of Next.js is one of these. */
function isTried(server) {
  const { version } = Module.createRequire(server)('next/package.json');
  const [major, minor] = version.split('.').map(Number);
  const number = major * 100 + minor;
  return number >= TRIED.from && number <= TRIED.to;
}

/** The first of a list, as Next takes it. */
function first(header) {
  const text = Array.isArray(header) ? header[0] : header;
  return text ? text.split(',', 1)[0].trim() : '';
}

/** Host name and port of the address in the visitor's browser; nothing when the request does not tell. */
function placeOf(headers) {
  const host = first(headers['x-forwarded-host']) || headers.host;
  if (!host || host.length > LONGEST) return undefined;
  // Next takes the scheme from this header, by the same test.
  const isSecure = String(headers['x-forwarded-proto'] || '').includes('https');
  const key = `${isSecure ? 'https' : 'http'}://${host}`;
  let place = places.get(key);
  if (place === undefined) {
    place = parse(host, isSecure ? 'https:' : 'http:');
    if (places.size >= 1000) places.clear();
    places.set(key, place);
  }
  return place || undefined;
}

function parse(host, protocol) {
  if (!HOST.test(host)) return null;
  let url;
  try {
    url = new URL(`${protocol}//${host}`);
  } catch {
    return null;
  }
  return {
    // As NextURL spells it; else it would take the server for another one.
    hostname: LOOPBACK.test(url.hostname) ? 'localhost' : url.hostname,
    // Next always writes a port; `new URL` takes the default one away again.
    port: url.port || (protocol === 'https:' ? '443' : '80'),
  };
}

/** Makes `name` and `port` of `object` answer for the request; outside of one they are what is given. */
function follow(object, name, hostname, port) {
  const property = (get) => ({ get, set() {}, enumerable: true, configurable: true });
  Object.defineProperties(object, {
    [name]: property(() => current.getStore()?.hostname ?? hostname),
    port: property(() => current.getStore()?.port ?? port),
  });
}

/** `initialize` of `router-server`; options and result are Next's (a list before 15, an object since). */
function following(initialize) {
  return async function (options, ...rest) {
    const real = { hostname: options?.hostname, port: options?.port };
    const isExpected = typeof real.hostname === 'string' && Number.isInteger(real.port) && !options.dev;
    if (!isExpected) {
      warn('its options are others');
      return initialize.call(this, options, ...rest);
    }
    // In any case: a rewrite stays inside if the name is the one that NextURL writes.
    options.hostname = LOOPBACK.test(real.hostname) ? 'localhost' : real.hostname;
    const result = await initialize.call(this, options, ...rest);
    try {
      return told(options, real, result);
    } catch (error) {
      warn(error);
      return result;
    }
  };
}

/** The handlers of the server, each within the place of its request. */
function told(options, real, result) {
  if (!isTried(server)) {
    warn('this version is not known');
    return result;
  }
  const isList = Array.isArray(result);
  const [handle, upgrade, next] = isList ? result : [result.requestHandler, result.upgradeHandler, result.server];
  // The instance behind the wrapper: it must have both, or one half of Next would name another host than the other.
  const inner = next?.server;
  if (inner?.fetchHostname !== options.hostname || inner.port !== real.port || typeof handle !== 'function') {
    warn('its server has other properties');
    return result;
  }
  follow(options, 'hostname', options.hostname, real.port);
  follow(inner, 'fetchHostname', inner.fetchHostname, real.port);
  const within = (handler) => (req, ...more) => current.run(placeOf(req.headers), handler, req, ...more);
  return isList
    ? [within(handle), within(upgrade), ...result.slice(2)]
    : { ...result, requestHandler: within(handle), upgradeHandler: within(upgrade) };
}

/** Gives `start-server` the wrapped `initialize`, whenever it asks for `router-server`. */
function install() {
  const load = Module._load;
  const hooked = function (request, parent) {
    const exports = load.apply(this, arguments);
    if (request !== './router-server' || !/[\\/]start-server\.js$/.test(parent?.filename ?? '')) return exports;
    if (Module._load === hooked) Module._load = load;
    isHooked = true;
    // Its properties are fixed getters: one that inherits from it, instead of a change.
    return Object.create(exports, { initialize: { value: following(exports.initialize), enumerable: true } });
  };
  let isHooked = false;
  Module._load = hooked;
  return () => isHooked;
}

/** How often the numbers of answers are written down, in milliseconds. */
const PAUSE = 500;

/**
 * Counts the answers to what came through the edge, and writes them into the file `answers` beside this one: all of them,
 * and those with a status of 500 or more. That tells whether a canary is well, and whether a preview is used.
 */
function count() {
  const file = fs.openSync(path.join(__dirname, 'answers'), 'w', 0o644);
  const digits = (number) => String(number).padStart(16, '0');
  let [all, errors, timer] = [0, 0, undefined];
  const write = () => {
    timer = undefined;
    // As one piece of the same length each time: a reader finds the old numbers or the new ones.
    fs.write(file, `${digits(all)} ${digits(errors)}\n`, 0, () => {});
  };
  channel('http.server.response.finish').subscribe(({ request, response }) => {
    // The edge says whom each request is from; a probe comes from nobody.
    if (request?.headers?.['x-forwarded-for'] === undefined) return;
    all += 1;
    if (response.statusCode >= 500) errors += 1;
    timer ??= setTimeout(write, PAUSE).unref();
  });
  write();
}

/**
 * Gives each browser that gets a page a cookie that names this release, if that is wanted: the edge sends there what the page
 * asks for later. It is said by the release itself, so it is right for canaries as well, and while a deploy goes on.
 */
function nameRelease() {
  const { CORE_SKEW_COOKIE: name, CORE_RELEASE_ID: release } = process.env;
  if (!name || !release) return;
  const pair = `${name}=${release}`;
  channel('http.server.request.start').subscribe(({ request, response }) => {
    const { accept, cookie, 'x-forwarded-proto': proto } = request.headers;
    if (!accept?.includes('text/html') || cookie?.split(/; */).includes(pair)) return;
    const { writeHead } = response;
    response.writeHead = function (...all) {
      if (!this.headersSent && String(this.getHeader('content-type')).startsWith('text/html')) {
        // For as long as the browser is open.
        const secure = String(proto ?? '').includes('https') ? '; Secure' : '';
        this.appendHeader('Set-Cookie', `${pair}; Path=/; HttpOnly; SameSite=Lax${secure}`);
      }
      return writeHead.apply(this, all);
    };
  });
}

// To the server, and what the app loads, the command is what it always was: `node server.js`.
const server = path.resolve(process.argv[2]);
process.argv.splice(1, 2, server);
let isHooked = () => false;
try {
  isHooked = install();
} catch (error) {
  warn(error);
}
try {
  count();
} catch (error) {
  console.error(`core: answers are not counted: ${error}`);
}
try {
  nameRelease();
} catch (error) {
  console.error(`core: the release is not named in a cookie: ${error}`);
}
try {
  require('./actions.cjs')(path.dirname(server));
} catch (error) {
  // Not the error itself: it may have the text of the file, and so a key.
  console.error(`core: former keys of server actions are not honoured (${error?.name})`);
}
// `import`, since it is an ES module where package.json says so.
import(pathToFileURL(server).href).then(
  () => isHooked() || warn('it has no router-server'),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
