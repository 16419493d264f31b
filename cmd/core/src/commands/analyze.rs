//! `core analyze`

use std::fs;
use std::path::Path;

use core_host::releases;
use core_host::releases::payload::{Class, Level, Payload, Route, Router};

use crate::cli::AnalyzeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::render::table::{Cell, lay_out, lay_out_within};
use crate::render::{self, BOLD, DIM, RED, YELLOW, styled};

/// Columns that a narrow terminal leaves out: SIZE, SCRIPTS.
const SPARE: [usize; 2] = [4, 3];
/// How many files of `public/` are listed.
const MOST_FILES: usize = 12;

pub(crate) fn run(context: &Context, args: &AnalyzeArgs) -> Exit {
    match payload(context, args) {
        Ok(payload) if args.json => {
            render::line(&serde_json::to_string_pretty(&payload).unwrap_or_default());
            Exit::Ok
        }
        Ok(payload) => {
            show(&payload);
            Exit::Ok
        }
        Err((message, help)) => {
            render::error(&message);
            render::help(help);
            Exit::Usage
        }
    }
}

/// What is meant, looked at.
fn payload(context: &Context, args: &AnalyzeArgs) -> Result<Payload, (String, &'static str)> {
    let build = "build it there with `next build`, or name a release: `core releases` lists them";
    let of_folder = |folder: &Path| {
        let root = folder.ancestors().last().unwrap_or(folder);
        releases::analyze(folder, root, None, None, Vec::new()).map_err(|why| (why, build))
    };
    let folder = |name: &str| fs::canonicalize(name).ok().filter(|path| path.is_dir());
    if let Some(folder) = args.what.as_deref().and_then(folder) {
        return of_folder(&folder);
    }
    let service = args.service.as_deref();
    let Some(name) = &args.what else {
        let live = context.paths().ok().and_then(|paths| {
            let live = releases::list(&paths, service).releases.into_iter().find(|one| one.live)?;
            Some(releases::payload_of(&paths, &live))
        });
        let here = || of_folder(&folder(".").unwrap_or_default());
        return live.map_or_else(here, |payload| payload.map_err(|why| (why, build)));
    };
    let paths = context.paths().map_err(|_| (format!("there is no folder {name}"), build))?;
    let release = releases::find(&paths, service, name);
    let release = release.map_err(|why| (format!("{why}, and no folder of that name"), build))?;
    releases::payload_of(&paths, &release).map_err(|why| (why, build))
}

fn show(payload: &Payload) {
    let framework = &payload.framework;
    let mut head = vec![format!("Next.js {} ({})", framework.next, framework.bundler)];
    head.extend(framework.react.iter().map(|version| format!("React {version}")));
    head.extend(framework.node.iter().map(|version| format!("Node.js {version}")));
    head.extend(payload.release.iter().map(|id| format!("release {id}")));
    render::line(&styled(BOLD, &head.join(", ")));
    render::line(&styled(DIM, &setting(payload)));
    render::line("");
    let rows: Vec<Vec<Cell>> = payload.routes.iter().map(row).collect();
    let titles = ["ROUTE", "CLASS", "ROUTER", "SCRIPTS", "PAGES", ""];
    render::lines(&lay_out_within(&titles, &rows, render::width(), &SPARE).concat());
    let rules = rules(payload);
    if !rules.is_empty() {
        render::line("");
        render::lines(&lay_out(&["RULE", ""], &rules, render::width()));
    }
    render::line("");
    render::line(&files(payload));
    let variables = &payload.variables;
    for (what, names) in [("read when it runs", &variables.at_run), ("in the build", &variables.at_build)] {
        if !names.is_empty() {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            render::line(&format!("variables {what}: {}", names.join(", ")));
        }
    }
    for finding in &payload.findings {
        let (word, style) = match finding.level {
            Level::Problem => ("problem", RED),
            Level::Warning => ("warning", YELLOW),
            Level::Note => ("note", BOLD),
        };
        render::line("");
        render::line(&format!("{} {}", styled(style, &format!("{word}:")), finding.message));
        render::line(&format!(" {} {}", styled(DIM, "help:"), finding.help));
    }
}

/// The settings that are not as they come.
fn setting(payload: &Payload) -> String {
    let config = &payload.config;
    let mut said = Vec::new();
    said.extend(config.output.iter().map(|output| format!("output {output}")));
    if !config.base_path.is_empty() {
        said.push(format!("base path {}", config.base_path));
    }
    said.extend(config.asset_prefix.iter().map(|prefix| format!("assets from {prefix}")));
    said.extend(config.i18n.iter().map(|i18n| format!("languages {}", i18n.locales.join(", "))));
    let switches = [
        (config.trailing_slash, "trailing slash"),
        (config.cache_components, "cached components"),
        (config.use_cache && !config.cache_components, "'use cache'"),
        (config.images.unoptimized, "images as they are"),
    ];
    said.extend(switches.iter().filter(|(on, _)| *on).map(|(_, word)| (*word).to_owned()));
    match payload.actions.len() {
        0 => {}
        1 => said.push("1 server action".into()),
        many => said.push(format!("{many} server actions")),
    }
    said.push(format!("build {}", payload.framework.build_id));
    said.join(", ")
}

fn row(route: &Route) -> Vec<Cell> {
    let kb = |bytes: u64| format!("{} kB", bytes.div_ceil(1000));
    let again = route.prerendered.iter().filter_map(|page| page.revalidate_seconds).min();
    let class = match again {
        Some(seconds) if route.class != Class::Static => format!("{} {seconds} s", route.class.word()),
        _ => route.class.word().to_owned(),
    };
    let router = if route.router == Router::App { "app" } else { "pages" };
    let pages = match route.prerendered.len() {
        0 | 1 => String::new(),
        many => many.to_string(),
    };
    vec![
        Cell::new(route.path.clone()),
        Cell::new(class),
        Cell::new(router).style(DIM),
        Cell::new(route.script_bytes.map(kb).unwrap_or_default()).right(),
        Cell::new(pages).right(),
        Cell::new(if route.other_paths { "and other paths" } else { "" }).style(DIM),
    ]
}

fn rules(payload: &Payload) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut add = |word: &str, text: String| rows.push(vec![Cell::new(word), Cell::new(text)]);
    let when = |conditional: bool| if conditional { ", under conditions" } else { "" };
    if let Some(proxy) = &payload.proxy {
        let sources: Vec<&str> =
            proxy.matchers.iter().map(|one| one.source.as_deref().unwrap_or("everything")).collect();
        add("proxy", format!("{} ({})", sources.join(", "), proxy.runtime));
    }
    for rule in &payload.rules.redirects {
        add("redirect", format!("{} {} to {}{}", rule.status, rule.source, rule.destination, when(rule.conditional)));
    }
    for rule in &payload.rules.rewrites {
        add("rewrite", format!("{} to {}{}", rule.source, rule.destination, when(rule.conditional)));
    }
    for rule in &payload.rules.headers {
        let names: Vec<&str> = rule.headers.keys().map(String::as_str).collect();
        add("headers", format!("{} on {}{}", names.join(", "), rule.source, when(rule.conditional)));
    }
    rows
}

fn files(payload: &Payload) -> String {
    let files = &payload.files;
    let mut names: Vec<&str> = files.public.iter().map(|file| file.path.as_str()).collect();
    let more = names.len().saturating_sub(MOST_FILES);
    names.truncate(MOST_FILES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let public = if names.is_empty() { String::new() } else { format!("; public: {}{more}", names.join(", ")) };
    let kb = files.built_bytes.div_ceil(1000);
    format!("{} files for browsers, {kb} kB, {} with a hash in their names{public}", files.built, files.hashed)
}
