// Serves an export as Next's documentation says ("Static Exports", Deploying): the file, else the page of the folder,
// else 404.html. A folder without its slash is sent on to the one with it, as every server of files does.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

const TYPES = {
  html: 'text/html; charset=utf-8',
  txt: 'text/plain; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  xml: 'application/xml',
};
const [folder, port] = process.argv.slice(2);
const isFile = (path) => existsSync(path) && statSync(path).isFile();

createServer((request, answer) => {
  const [path, query] = request.url.split('?');
  let name;
  try {
    name = normalize(join(folder, decodeURIComponent(path)));
  } catch {
    return answer.writeHead(400).end();
  }
  const send = (status, file) => {
    const type = TYPES[file.split('.').pop()] ?? 'application/octet-stream';
    answer.writeHead(status, { 'content-type': type, 'content-length': statSync(file).size });
    return request.method === 'HEAD' ? answer.end() : createReadStream(file).pipe(answer);
  };
  if (!name.startsWith(folder)) return answer.writeHead(400).end();
  if (isFile(name)) return send(200, name);
  if (isFile(join(name, 'index.html'))) {
    if (path.endsWith('/')) return send(200, join(name, 'index.html'));
    return answer.writeHead(308, { location: `${path}/${query === undefined ? '' : `?${query}`}` }).end();
  }
  return send(404, join(folder, '404.html'));
}).listen(Number(port), '127.0.0.1');
