// The files of the small apps that check.mjs and paths.mjs build.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const LAYOUT = `export default function Layout({ children }) { return <html><body>{children}</body></html>; }`;
const UPSTREAM = "`http://127.0.0.1:${process.env.UPSTREAM}/n`";

// Cache tags, ISR by time, dynamic paths, the pages router, an edge route and an image.
const classic = (major) => ({
  'app/layout.js': LAYOUT,
  'app/page.js': 'export default function Page() { return <p>{`t=${Date.now()}`}</p>; }',
  'app/short/page.js': `export const revalidate = 2;
export default function Page() { return <p>{\`t=\${Date.now()}\`}</p>; }`,
  'app/tagged/page.js': `export default async function Page() {
  const n = await (await fetch(${UPSTREAM}, { next: { tags: ['data'], revalidate: 3600 } })).text();
  return <p>{\`t=\${Date.now()} n=\${n}\`}</p>;
}`,
  'app/live/page.js': `export const dynamic = 'force-dynamic';
export default async function Page() {
  const n = await (await fetch(${UPSTREAM} + '?live', { cache: 'force-cache', next: { tags: ['live'], revalidate: 3600 } })).text();
  return <p>{\`t=\${Date.now()} n=\${n}\`}</p>;
}`,
  'app/blog/layout.js': 'export default function Layout({ children }) { return <main>{children}</main>; }',
  'app/blog/[slug]/page.js': `export const revalidate = 3600;
export function generateStaticParams() { return [{ slug: 'one' }]; }
export default async function Page({ params }) {
  const { slug } = await params;
  return <p>{\`t=\${Date.now()} slug=\${slug}\`}</p>;
}`,
  'app/api/static/route.js': `export const dynamic = 'force-static';
export const revalidate = 3600;
export function GET() { return new Response(\`t=\${Date.now()}\`, { headers: { 'x-mine': 'yes' } }); }`,
  'app/api/tag/route.js': `import { revalidateTag } from 'next/cache';
export const dynamic = 'force-dynamic';
export function GET(request) {
  const query = new URL(request.url).searchParams;
  const profile = query.get('profile');
  revalidateTag(query.get('tag'), profile ? (profile.startsWith('{') ? JSON.parse(profile) : profile) : undefined);
  return new Response('done');
}`,
  'app/api/path/route.js': `import { revalidatePath } from 'next/cache';
export const dynamic = 'force-dynamic';
export function GET(request) {
  const query = new URL(request.url).searchParams;
  revalidatePath(query.get('path'), query.get('type') ?? undefined);
  return new Response('done');
}`,
  'app/api/edge/route.js': `export const runtime = 'edge';
export function GET() { return new Response('edge'); }`,
  'pages/legacy/[id].js': `export default function Page({ t, id }) { return <p>{\`t=\${t} id=\${id}\`}</p>; }
export const getStaticPaths = () => ({ paths: [{ params: { id: '1' } }], fallback: 'blocking' });
export const getStaticProps = ({ params }) => params.id === 'none' ? { notFound: true, revalidate: 3600 }
  : params.id === 'away' ? { redirect: { destination: '/short', permanent: false }, revalidate: 3600 }
  : { props: { t: Date.now(), id: params.id }, revalidate: 3600 };`,
  'pages/api/revalidate.js': `export default async function handler(request, response) {
  await response.revalidate(request.query.path);
  response.end('done');
}`,
  'public/p.png': png(64),
  'next.config.js': major < 15
    ? `const root = __dirname;
module.exports = { output: 'standalone', generateBuildId: async () => 'build-of-14', compress: false,
  experimental: { outputFileTracingRoot: root } };`
    : 'module.exports = {};',
});

// 'use cache' with tags, read by a prerendered page, a dynamic page and a page with a server action.
const cached = () => ({
  'next.config.js': 'module.exports = { cacheComponents: true };',
  'lib/items.js': `import { cacheTag, cacheLife } from 'next/cache';
export async function items() {
  'use cache';
  cacheTag('items');
  cacheLife('hours');
  const n = await (await fetch(${UPSTREAM} + '?items')).text();
  return \`n=\${n}\`;
}
export async function remote() {
  'use cache: remote';
  cacheTag('far');
  cacheLife('hours');
  const n = await (await fetch(${UPSTREAM} + '?far')).text();
  return \`r=\${n}\`;
}`,
  'app/layout.js': LAYOUT,
  'app/page.js': `import { items } from '../lib/items';
export default async function Page() { return <p>{await items()}</p>; }`,
  'app/live/page.js': `import { Suspense } from 'react';
import { connection } from 'next/server';
import { items, remote } from '../../lib/items';
async function Now() { await connection(); return <p>{await items()} <b>{await remote()}</b></p>; }
export default function Page() { return <Suspense fallback={<i>wait</i>}><Now /></Suspense>; }`,
  'app/form/page.js': `import { Suspense } from 'react';
import { connection } from 'next/server';
import { updateTag, refresh } from 'next/cache';
import { items } from '../../lib/items';
async function change() { 'use server'; updateTag('items'); }
async function Now() { await connection(); return <form action={change}><p>{await items()}</p><button>go</button></form>; }
export default function Page() { return <Suspense fallback={<i>wait</i>}><Now /></Suspense>; }`,
  'app/api/tag/route.js': `import { revalidateTag } from 'next/cache';
export async function GET(request) {
  const query = new URL(request.url).searchParams;
  const profile = query.get('profile');
  revalidateTag(query.get('tag'), profile ? (profile.startsWith('{') ? JSON.parse(profile) : profile) : undefined);
  return new Response('done');
}`,
  'app/api/path/route.js': `import { revalidatePath } from 'next/cache';
export async function GET(request) {
  const query = new URL(request.url).searchParams;
  revalidatePath(query.get('path'), query.get('type') ?? undefined);
  return new Response('done');
}`,
});

// Pages for any path, each rendered when it is first asked for, and kept: `paths.mjs` asks for many. Each has as much text as a
// small article.
const paths = () => ({
  'next.config.js': 'module.exports = {};',
  'app/layout.js': LAYOUT,
  'app/[slug]/page.js': `export const revalidate = 3600;
export function generateStaticParams() { return []; }
export default async function Page({ params }) {
  const { slug } = await params;
  return <main><p>{\`t=\${Date.now()} slug=\${slug}.\`}</p>{Array.from({ length: 20 }, (_, n) => <p key={n}>{\`\${slug} \`.repeat(20)}</p>)}</main>;
}`,
});

// A form whose action has a bound value, on a page of each request and on one of the build.
const form = (first) => `${first}
import { redirect } from 'next/navigation';
export default function Page() {
  const bound = 'bound'.toUpperCase();
  async function say(form) {
    'use server';
    redirect('/said/' + bound + '/' + form.get('word'));
  }
  return <form action={say}><input name="word" /></form>;
}`;
const keys = (major) => ({
  'app/layout.js': LAYOUT,
  'app/page.js': 'export default function Page() { return <p>home</p>; }',
  'app/form/page.js': form("export const dynamic = 'force-dynamic';"),
  'app/fixed/page.js': form(''),
  'next.config.js': classic(major)['next.config.js'],
});

// A grey square.
function png(side) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [size, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    size.writeUInt32BE(data.length);
    sum.writeUInt32BE(zlib.crc32 ? zlib.crc32(body) : crc(body));
    return Buffer.concat([size, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const rows = Buffer.alloc(side * (side + 1), 128);
  for (let row = 0; row < side; row++) rows[row * (side + 1)] = 0;
  return Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), chunk('IHDR', head),
    chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function crc(bytes) {
  let value = ~0;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (0xedb88320 & -(value & 1));
  }
  return ~value >>> 0;
}

// Writes an app, with core's files as core copies them before a build.
export function writeApp(folder, name, major, core) {
  const files = { classic, cached, paths, keys }[name](major);
  fs.rmSync(path.join(folder, '.next'), { recursive: true, force: true });
  for (const part of ['app', 'pages', 'lib', 'public', '.core']) {
    fs.rmSync(path.join(folder, part), { recursive: true, force: true });
  }
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  fs.mkdirSync(path.join(folder, '.core'));
  const handlers = path.join(core, 'handlers');
  for (const file of fs.readdirSync(handlers)) {
    if (file.endsWith('.cjs')) fs.copyFileSync(path.join(handlers, file), path.join(folder, '.core', file));
  }
  fs.copyFileSync(path.join(core, 'adapter.mjs'), path.join(folder, '.core/adapter.mjs'));
}
