//! Projects of every shape, as their authors wrote them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::common::{Said, Stack};
use crate::{LAYOUT, well};

/// The version of Next.js that projects have which are written here.
const NEXT: [(&str, &str); 3] = [("next", "16.4.6"), ("react", "19.3.1"), ("react-dom", "19.3.1")];

/// A project.
pub(crate) struct Shape {
    /// What it is.
    pub(crate) name: &'static str,
    /// Writes it into a folder.
    pub(crate) write: fn(&Stack) -> Result<(), String>,
    /// A page of it, and what the page says, in both modes; or what `core init` says where nothing can be run.
    pub(crate) ends: Ends,
}

/// How it ends.
pub(crate) enum Ends {
    /// A page answers.
    Page(&'static str, &'static str),
    /// Nothing is there to run: what `core init` says.
    Refused(&'static str),
}

/// All of them.
pub(crate) const SHAPES: [Shape; 12] = [
    Shape { name: "create-next-app --empty", write: empty_template, ends: Ends::Page("", "Hello world!") },
    Shape {
        name: "its default template, with next/font/local",
        write: default_template,
        ends: Ends::Page("", "<html"),
    },
    Shape { name: "create-t3-app", write: t3, ends: Ends::Page("", "Create <span") },
    Shape {
        name: "pages router, i18n, rewrites, basePath, middleware",
        write: pages,
        ends: Ends::Page("shop/de/alias", "seite de"),
    },
    Shape { name: "workspace of npm", write: npm, ends: Ends::Page("", "from the ui package") },
    Shape { name: "workspace of pnpm", write: pnpm, ends: Ends::Page("", "from the ui package") },
    Shape { name: "workspace of Yarn 1", write: yarn, ends: Ends::Page("", "from the ui package") },
    Shape { name: "workspace of Yarn 4", write: berry, ends: Ends::Page("", "from the ui package") },
    Shape { name: "workspace of Bun", write: bun, ends: Ends::Page("", "from the ui package") },
    Shape { name: "Express with a Procfile", write: express, ends: Ends::Page("", "hello from express") },
    Shape {
        name: "docker-compose.yml with Postgres and a web build",
        write: compose,
        ends: Ends::Page("", "beside a database"),
    },
    Shape { name: "an empty folder", write: |_| Ok(()), ends: Ends::Refused("nothing was found here") },
];

/// Runs a shell line in a folder.
fn shell(folder: &Path, line: &str) -> Result<(), String> {
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", line]).current_dir(folder).env("CI", "1").env_remove("NODE_ENV");
    well(line, &Said::of(command.output().map_err(|error| error.to_string())?))
}

/// What a generator makes in a new folder `made`, at the root of the stack.
fn generate(stack: &Stack, line: &str) -> Result<(), String> {
    let beside = tempfile::tempdir().map_err(|error| error.to_string())?;
    shell(beside.path(), line)?;
    shell(beside.path(), &format!("cp -a made/. '{}'", stack.root.display()))
}

fn empty_template(stack: &Stack) -> Result<(), String> {
    generate(stack, "npx --yes create-next-app@16.4.3 made --yes --empty --use-npm --disable-git")?;
    // Sources of its own below a folder that is called like that of the manifests.
    stack.write("services/mail.ts", "export const mail = 1;\n");
    Ok(())
}

fn default_template(stack: &Stack) -> Result<(), String> {
    generate(stack, "npx --yes create-next-app@16.4.3 made --yes --use-npm --disable-git")?;
    let font = "npm pack --silent geist@1.7.0 && tar xzf geist-*.tgz package/dist/fonts/geist-sans/Geist-Variable.woff2 && mv package/dist/fonts/geist-sans/Geist-Variable.woff2 app/font.woff2 && rm -r package geist-*.tgz";
    shell(&stack.root, font)?;
    stack.write(
        "app/layout.tsx",
        "import localFont from 'next/font/local';\nimport './globals.css';\nconst font = localFont({ src: './font.woff2' });\nexport default function Layout({ children }: { children: React.ReactNode }) {\n  return <html lang=\"en\" className={font.className}><body>{children}</body></html>;\n}\n",
    );
    Ok(())
}

fn t3(stack: &Stack) -> Result<(), String> {
    let flags = "--noGit --CI --trpc --tailwind --drizzle --appRouter --dbProvider sqlite";
    generate(stack, &format!("npx --yes create-t3-app@7.40.0 made {flags}"))?;
    // Its font is fetched from Google by each build, which this machine cannot do.
    let font = "sed -i -e '/next.font.google/d' -e '/^const geist = Geist({/,/^});/d' -e 's/ className={`${geist.variable}`}//' src/app/layout.tsx";
    shell(&stack.root, font)?;
    shell(&stack.root, "npm run db:push")
}

fn pages(stack: &Stack) -> Result<(), String> {
    package(stack, "package.json", "shop", &[]);
    stack.write(
        "next.config.js",
        "module.exports = {
  basePath: '/shop', i18n: { locales: ['en', 'de'], defaultLocale: 'en' },
  async rewrites() { return [{ source: '/alias', destination: '/about' }]; },
  async redirects() { return [{ source: '/old', destination: '/about', permanent: true }]; },
  async headers() { return [{ source: '/about', headers: [{ key: 'x-by', value: 'config' }] }]; },
};\n",
    );
    stack.write("pages/index.jsx", "export default function Page() { return <p>start</p>; }\n");
    stack.write(
        "pages/about.jsx",
        "export async function getServerSideProps({ locale }) { return { props: { locale } }; }\nexport default function Page({ locale }) { return <p>{`seite ${locale}`}</p>; }\n",
    );
    stack.write(
        "proxy.js",
        "import { NextResponse } from 'next/server';\nexport function proxy() { const answer = NextResponse.next(); answer.headers.set('x-proxy', '1'); return answer; }\nexport const config = { matcher: ['/about'] };\n",
    );
    lock(stack, "npm install --package-lock-only --no-audit --no-fund")
}

/// An app in `apps/web` that uses a package in `packages/ui`.
fn workspace(stack: &Stack, own: &str, lists: bool) {
    let mut whole = json!({"name": "all", "private": true});
    if lists {
        whole["workspaces"] = json!(["apps/*", "packages/*"]);
    }
    stack.write("package.json", &whole.to_string());
    package(stack, "apps/web/package.json", "web", &[("@acme/ui", own)]);
    stack.write("apps/web/next.config.js", "module.exports = { transpilePackages: ['@acme/ui'] };\n");
    stack.write("apps/web/app/layout.jsx", LAYOUT);
    stack.write(
        "apps/web/app/page.jsx",
        "import { word } from '@acme/ui';\nexport default function Page() { return <p>{word}</p>; }\n",
    );
    stack.write("packages/ui/package.json", r#"{"name": "@acme/ui", "version": "1.0.0", "main": "index.js"}"#);
    stack.write("packages/ui/index.js", "export const word = 'from the ui package';\n");
}

fn package(stack: &Stack, path: &str, name: &str, more: &[(&str, &str)]) {
    let dependencies: serde_json::Map<_, _> =
        NEXT.iter().chain(more).map(|(name, version)| ((*name).to_owned(), json!(version))).collect();
    let package = json!({"name": name, "version": "1.0.0", "private": true, "dependencies": dependencies});
    stack.write(path, &package.to_string());
}

/// Makes the lock file, and leaves no packages.
fn lock(stack: &Stack, line: &str) -> Result<(), String> {
    shell(&stack.root, line)?;
    for folder in ["node_modules", "apps/web/node_modules", "packages/ui/node_modules"] {
        let _ = fs::remove_dir_all(stack.root.join(folder));
    }
    Ok(())
}

fn npm(stack: &Stack) -> Result<(), String> {
    workspace(stack, "*", true);
    lock(stack, "npm install --package-lock-only --no-audit --no-fund")
}

fn pnpm(stack: &Stack) -> Result<(), String> {
    workspace(stack, "workspace:*", false);
    stack.write("pnpm-workspace.yaml", "packages:\n  - apps/*\n  - packages/*\n");
    lock(stack, "npx --yes pnpm@10 install --lockfile-only")
}

fn yarn(stack: &Stack) -> Result<(), String> {
    workspace(stack, "*", true);
    lock(stack, "npx --yes yarn@1 install --ignore-scripts")
}

fn berry(stack: &Stack) -> Result<(), String> {
    workspace(stack, "workspace:*", true);
    let yarn = "npx --yes --package=@yarnpkg/cli-dist@4 yarn install --mode=update-lockfile --no-immutable";
    lock(stack, &format!("YARN_NODE_LINKER=node-modules {yarn}"))
}

fn bun(stack: &Stack) -> Result<(), String> {
    workspace(stack, "workspace:*", true);
    lock(stack, "npx --yes bun@1 install --lockfile-only --ignore-scripts")
}

fn compose(stack: &Stack) -> Result<(), String> {
    package(stack, "package.json", "web", &[]);
    stack.write("app/layout.jsx", LAYOUT);
    stack.write("app/page.jsx", "export default function Page() { return <p>beside a database</p>; }\n");
    stack.write("Dockerfile", "FROM node:22\nCOPY . .\nRUN npm ci && npm run build\nCMD [\"npm\", \"start\"]\n");
    stack.write(
        "docker-compose.yml",
        "services:\n  db:\n    image: postgres:16\n    ports: [\"5432:5432\"]\n  web:\n    build: .\n    ports: [\"3000:3000\"]\n    depends_on: [db]\n",
    );
    lock(stack, "npm install --package-lock-only --no-audit --no-fund")
}

fn express(stack: &Stack) -> Result<(), String> {
    stack.write("package.json", r#"{"name": "x", "private": true, "dependencies": {"express": "5.1.0"}}"#);
    stack.write(
        "server.js",
        "require('express')().get('/', (_, to) => to.send('hello from express')).listen(process.env.PORT, '127.0.0.1');\n",
    );
    stack.write("Procfile", "web: node server.js\n");
    shell(&stack.root, "npm install --no-audit --no-fund")
}
