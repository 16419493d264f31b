// For versions without a build adapter (before 15.5): puts the handler into a finished standalone build.
import fs from 'node:fs';
import path from 'node:path';

export function patch(folder, standalone) {
  fs.cpSync(path.join(folder, '.core'), path.join(standalone, '.core'), { recursive: true });
  const setting = '../.core/handler.cjs';
  const server = path.join(standalone, 'server.js');
  const text = fs.readFileSync(server, 'utf8');
  const line = text.split('\n').find((each) => each.startsWith('const nextConfig = {'));
  const config = JSON.parse(line.slice('const nextConfig = '.length).replace(/;?\s*$/, ''));
  fs.writeFileSync(server, text.replace(line, () => `const nextConfig = ${JSON.stringify({ ...config, cacheHandler: setting })}`));
  const manifest = path.join(standalone, '.next/required-server-files.json');
  const files = JSON.parse(fs.readFileSync(manifest, 'utf8'));
  files.config.cacheHandler = setting;
  fs.writeFileSync(manifest, JSON.stringify(files));
}
