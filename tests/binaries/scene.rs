//! A stack with an app, and a `node` that only plays one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::common::{Stack, put_program};
use crate::shelf::{shelf, stack};

/// Plays node: notes what it is run for; builds by copying; serves by waiting.
const NODE: &str = r#"#!/bin/sh
case "$1" in
--version) echo v20.20.2; exit ;;
*npm-cli.js)
    shift
    echo "npm $* ${MY_TOKEN:-without}" | sed 's/ --[a-z-]*\(=[a-z]*\)\{0,1\}//g' >> "$NOTES"
    mkdir -p node_modules/next && echo '{"version": "16.4.6"}' > node_modules/next/package.json
    [ -e record ] && cp record node_modules/.package-lock.json
    exit 0 ;;
*server.js)
    cd "$(dirname "$1")"
    [ -e crashes ] && exit 1
    if [ -e writes ]; then
        cat page >> db.sqlite && touch "uploads/$(cat page)" && touch .next/entry && echo written
        touch beside || echo refused
    fi
    echo "serving $(cat page)"; sleep 1000; exit ;;
esac
echo "build" >> "$NOTES"
[ -e lists ] && find . -type f -not -path './node_modules/*' | sort > "$NOTES.files"
[ -e whose ] && echo "$(id -u) $(id -G) $HOME" >> "$NOTES"
[ -e fails ] && echo "the page has a fault" >&2 && exit 3
[ -e hangs ] && echo $$ > "$NOTES.pid" && sleep 1000
# Grows until somebody minds; a helper that has left the group lives as long.
[ -e eats ] && setsid sleep 1000 & echo $! > "$NOTES.helper"
if [ -e eats ]; then head -c 600m /dev/zero | tail || exit 1; fi
[ -e tells ] && echo "NEXT_PUBLIC_WORD=$NEXT_PUBLIC_WORD BUILD_WORD=$BUILD_WORD" >> "$NOTES"
to=.next/standalone
[ -e deeper ] && to="$to/$(basename "$(dirname "$PWD")")/$(basename "$PWD")"
mkdir -p "$to" .next/static .next/cache
cp page "$to/page"
[ -e writes ] && cp writes "$to/writes"
[ -e crashes ] && cp crashes "$to/crashes"
[ -e serverless ] || echo server > "$to/server.js"
echo static > .next/static/file
"#;

pub(crate) struct Scene {
    pub(crate) stack: Stack,
    pub(crate) notes: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stack = stack();
        let beside = stack.root.clone();
        let scene = Self::of(stack, "app", &beside);
        scene.stack.write("app/package.json", "{}");
        scene.stack.write("app/package-lock.json", "{}");
        scene.stack.write("app/page", "one");
        scene
    }

    /// An app in the folder `app` of a stack; node and its notes are in the folder `beside`.
    pub(crate) fn of(stack: Stack, app: &str, beside: &Path) -> Self {
        let (node, notes) = (beside.join("node"), beside.join("notes"));
        put_program(&node.join("bin/node"), NODE);
        put_program(&node.join("lib/node_modules/npm/bin/npm-cli.js"), "");
        let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let stack = stack.env("PATH", &path).env("NOTES", &notes.display().to_string());
        stack.service(
            "web",
            &json!({"binaries": [{"name": "app", "source": "next-build", "path": app},
                    {"name": "node", "source": "path", "version": ">=20"}],
                "process": {"command": "${dep.node}", "args": ["${dep.app}/server.js"]}}),
        );
        Self { stack, notes }
    }

    /// What node was run for, but for serving.
    pub(crate) fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.notes).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The releases; expects that nothing else is there but what builds share, and the link to the live one.
    #[track_caller]
    pub(crate) fn releases(&self) -> Vec<String> {
        assert!(shelf(&self.stack.root).iter().all(|name| name == ".cache"), "{:?}", shelf(&self.stack.root));
        let entries = fs::read_dir(self.stack.root.join(".releases/web")).into_iter().flatten().flatten();
        let mut all: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        all.retain(|name| ![".cache", ".lock", "current"].contains(&name.as_str()));
        all.sort();
        assert!(all.iter().all(|name| name.starts_with("20")), "{all:?}");
        all
    }

    /// The folder of the server of a release.
    pub(crate) fn server(&self, release: &str) -> PathBuf {
        self.stack.root.join(".releases/web").join(release).join("app")
    }

    /// Which release the link for people names.
    pub(crate) fn live(&self) -> String {
        let link = fs::read_link(self.stack.root.join(".releases/web/current")).expect("a link");
        link.display().to_string()
    }
}
