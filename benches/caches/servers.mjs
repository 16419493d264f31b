// Builds an app, starts servers, asks them. All of it ends with the process.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// Answers each request with the next number.
export async function upstream() {
  // Not from 0: an older build may have kept those.
  let count = Math.floor(Date.now() / 1000) % 1e6;
  const server = http.createServer((request, response) => response.end(String(++count)));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, close: () => server.close() };
}

export async function build(folder, version, patched, environment) {
  const next = path.join(folder, 'node_modules/next/dist/bin/next');
  const adapter = patched
    ? { NEXT_PRIVATE_STANDALONE: '1', NEXT_DEPLOYMENT_ID: 'release-1' }
    : { NEXT_ADAPTER_PATH: path.join(folder, '.core/adapter.mjs'), CORE_HANDLERS: path.join(folder, '.core'),
      CORE_NEXT_VERSION: version };
  const child = spawn('timeout', ['200', process.execPath, next, 'build', ...(process.env.BUNDLER ? [process.env.BUNDLER] : [])], {
    cwd: folder,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', CORE_BUILD_ROOT: folder, CORE_RELEASE_ID: 'release-1', ...adapter,
      ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // Not spawnSync: the build asks the upstream, which lives in this process.
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data));
  const status = await new Promise((resolve) => child.on('exit', resolve));
  fs.writeFileSync(path.join(folder, 'build.log'), log);
  if (status !== 0) throw new Error(`build failed, see ${folder}/build.log\n${log.slice(-1500)}`);
  const standalone = path.join(folder, '.next/standalone');
  for (const part of ['.next/static', 'public']) {
    if (fs.existsSync(path.join(folder, part))) fs.cpSync(path.join(folder, part), path.join(standalone, part), { recursive: true });
  }
  return standalone;
}

export async function start(standalone, environment, args = ['server.js']) {
  const port = await freePort();
  const child = spawn(process.execPath, args, {
    cwd: standalone,
    env: { PATH: process.env.PATH, NODE_ENV: 'production', PORT: String(port), HOSTNAME: '127.0.0.1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  const server = { port, child, log: '' };
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (server.log += data));
  server.get = (where, options) => ask(port, where, options);
  server.stop = () => new Promise((resolve) => {
    children.delete(child);
    child.once('exit', resolve);
    child.kill('SIGKILL');
  });
  for (let attempt = 0; attempt < 150; attempt++) {
    if (server.log.includes('Ready in') || server.log.includes('Ready')) return server;
    if (child.exitCode !== null) throw new Error(`server ended: ${server.log}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`server not ready: ${server.log}`);
}

const agent = new http.Agent({ keepAlive: true });

export function ask(port, where, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', path: where, method, headers, agent }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        const value = (name) => text.match(new RegExp(`\\b${name}=(\\d+)`))?.[1];
        resolve({ status: response.statusCode, headers: response.headers, cache: response.headers['x-nextjs-cache'], bytes, text, t: value('t'),
          n: value('n'), r: value('r') });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}
