//! Variables given in twelve ways, and where an app sees them: beside `next build` and `next start` of the same sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::common::{Said, Stack, free_port, http};
use crate::{LAYOUT, expect, well};

/// How a variable is given.
const WAYS: [&str; 12] = [
    "app's .env",
    "app's .env.local",
    "app's .env.production",
    "app's .env.production.local",
    "app's .env.development",
    "stack's .env",
    "profile, env",
    "manifest, process.env",
    "manifest, config.build.env",
    "shell of `core up`",
    "secret in process.env",
    "secret in config.build.env",
];
/// Where it is looked for.
const PLACES: [&str; 4] = ["server", "proxy", "static page", "bundle"];

/// What is seen of each way, by place: `w` for the plain variable, `p` for the public one.
type Seen = BTreeMap<(usize, &'static str), String>;

/// Prints the table. Returns whether everything is seen that `next start` sees.
pub(crate) fn table() -> Result<(), String> {
    let stack = Stack::new();
    write(&stack)?;
    let shell = [("W10", "w10"), ("NEXT_PUBLIC_W10", "p10")];
    let port = free_port();
    stack.edit("caddy", |manifest| manifest["ports"] = json!({"http": {"port": port}}));
    let mut up = stack.command(&["up", "-d", "--profile", "production", "--timeout", "300"]);
    well("core up", &Said::of(up.envs(shell).output().map_err(|error| error.to_string())?))?;
    let bundle = chunks(&stack.root.join(".releases/web/current/app/.next/static"));
    let core = look(port, &bundle)?;
    let (mut server, port, copy) = next_start(&stack, &shell)?;
    let next = expect(port, "", "static").and_then(|()| look(port, &chunks(&copy.path().join(".next/static"))));
    let _ = server.kill();
    let _ = server.wait();
    let next = next?;
    println!("| variable | {} |\n|---|---|---|---|---|", PLACES.join(" | "));
    for (way, name) in WAYS.iter().enumerate() {
        let cell = |place: &'static str| {
            let (core, next) = (&core[&(way, place)], &next[&(way, place)]);
            if core == next { core.clone() } else { format!("**{core}** ({next})") }
        };
        println!("| {name} | {} |", PLACES.map(cell).join(" | "));
    }
    println!(
        "\n`w`: the plain variable, `p`: the one whose name begins with NEXT_PUBLIC_; in brackets what `next start` sees."
    );
    well("core down", &stack.core(&["down"]))
}

/// The app in `app/`, and all files with variables.
fn write(stack: &Stack) -> Result<(), String> {
    let numbers: Vec<usize> = (1..=WAYS.len()).collect();
    let list = |form: &dyn Fn(usize) -> String| numbers.iter().map(|n| form(*n)).collect::<Vec<_>>().join(", ");
    let named = list(&|n| format!("process.env.W{n}, process.env.NEXT_PUBLIC_W{n}"));
    let package = json!({"name": "app", "private": true,
        "dependencies": {"next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1"}});
    stack.write("app/package.json", &package.to_string());
    stack.write("app/app/layout.jsx", LAYOUT);
    stack.write(
        "app/app/page.jsx",
        &format!("import Bundle from './bundle';\nexport default function Page() {{ return <div><p id=\"static\">{{JSON.stringify([{named}])}}</p><Bundle /></div>; }}\n"),
    );
    stack.write(
        "app/app/bundle.jsx",
        &format!("'use client';\nexport default function Bundle() {{ return <p>{{typeof window === 'undefined' ? '' : JSON.stringify([{named}])}}</p>; }}\n"),
    );
    stack.write(
        "app/app/vars/route.js",
        "export const dynamic = 'force-dynamic';\nexport function GET() { return Response.json(Object.entries(process.env).filter(([name]) => /^(NEXT_PUBLIC_)?W\\d+$/.test(name)).map(([, value]) => value)); }\n",
    );
    stack.write(
        "app/proxy.js",
        &format!("import {{ NextResponse }} from 'next/server';\nexport function proxy() {{ return NextResponse.json([{named}]); }}\nexport const config = {{ matcher: ['/proxied'] }};\n"),
    );
    let both = |n: usize| format!("W{n}=w{n}\nNEXT_PUBLIC_W{n}=p{n}\n");
    for (n, name) in
        [(1, ".env"), (2, ".env.local"), (3, ".env.production"), (4, ".env.production.local"), (5, ".env.development")]
    {
        stack.write(&format!("app/{name}"), &both(n));
    }
    stack.write(".env", &both(6));
    stack.write("manifests/production.json", &json!({"env": {"W7": "w7", "NEXT_PUBLIC_W7": "p7"}}).to_string());
    for (secret, value) in [("w11", "w11"), ("p11", "p11"), ("w12", "w12"), ("p12", "p12")] {
        stack.secret(secret, value);
    }
    stack.service(
        "web",
        &json!({"kind": "next",
            "config": {"app": "app", "build": {"env": {"W9": "w9", "NEXT_PUBLIC_W9": "p9",
                "W12": "${secret.w12}", "NEXT_PUBLIC_W12": "${secret.p12}"}}},
            "process": {"env": {"W8": "w8", "NEXT_PUBLIC_W8": "p8",
                "W11": "${secret.w11}", "NEXT_PUBLIC_W11": "${secret.p11}"}}}),
    );
    stack.service("caddy", &json!({"kind": "caddy"}));
    let mut npm = Command::new("npm");
    npm.args(["install", "--package-lock-only", "--no-audit", "--no-fund"]).current_dir(stack.root.join("app"));
    well("npm install", &Said::of(npm.output().map_err(|error| error.to_string())?))
}

/// `next build` and `next start` of a copy, with the variables of the shell.
fn next_start(stack: &Stack, shell: &[(&str, &str)]) -> Result<(Child, u16, tempfile::TempDir), String> {
    let copy = tempfile::tempdir().map_err(|error| error.to_string())?;
    let run = |line: &str| {
        let mut command = Command::new("bash");
        command.args(["-ec", line]).current_dir(copy.path()).envs(shell.iter().copied()).env_remove("NODE_ENV");
        well(line, &Said::of(command.output().map_err(|error| error.to_string())?))
    };
    run(&format!("cp -a '{}/app/.' . && npm ci --no-audit --no-fund && npx next build", stack.root.display()))?;
    let port = free_port();
    let mut start = Command::new("node");
    start.args(["node_modules/next/dist/bin/next", "start", "-p", &port.to_string()]).current_dir(copy.path());
    start.envs(shell.iter().copied()).env_remove("NODE_ENV").stdout(Stdio::null()).stderr(Stdio::null());
    let child = start.spawn().map_err(|error| error.to_string())?;
    Ok((child, port, copy))
}

/// All scripts below a folder, as one text.
fn chunks(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            all += &chunks(&entry.path());
        } else {
            all += &fs::read_to_string(entry.path()).unwrap_or_default();
        }
    }
    all
}

fn look(port: u16, bundle: &str) -> Result<Seen, String> {
    let ask = |path: &str| {
        let answer = http::get(&format!("http://127.0.0.1:{port}/{path}"));
        answer.filter(|(status, _)| *status == 200).map(|(_, body)| body).ok_or_else(|| format!("{path}: no answer"))
    };
    let values = |text: &str| -> Vec<String> {
        let list: Value = serde_json::from_str(text).unwrap_or_default();
        list.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    };
    let page = ask("")?.replace("&quot;", "\"");
    let page = page.split("id=\"static\">").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap_or_default();
    let (server, proxy, page) = (values(&ask("vars")?), values(&ask("proxied")?), values(page));
    let mut seen = Seen::new();
    for way in 0..WAYS.len() {
        let (w, p) = (format!("w{}", way + 1), format!("p{}", way + 1));
        let in_list = |list: &[String]| (list.contains(&w), list.contains(&p));
        let in_text = |text: &str| (text.contains(&format!("\"{w}\"")), text.contains(&format!("\"{p}\"")));
        for (place, found) in
            PLACES.into_iter().zip([in_list(&server), in_list(&proxy), in_list(&page), in_text(bundle)])
        {
            let words = match found {
                (true, true) => "w p",
                (true, false) => "w",
                (false, true) => "p",
                (false, false) => "-",
            };
            seen.insert((way, place), words.to_owned());
        }
    }
    Ok(seen)
}
