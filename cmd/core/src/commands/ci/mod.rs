//! `core generate-ci`

use std::fs;
use std::path::Path;

use core_host::releases::{self, Tooling};

use super::build;
use crate::cli::{CiArgs, Forge};
use crate::context::Context;
use crate::exit::Exit;
use crate::render::{self, GREEN, styled};

/// The version of Node.js that builds, if the app does not say.
const NODE: &str = "22";

const GITHUB: &str = include_str!("github.yml");
const GITLAB: &str = include_str!("gitlab.yml");

/// The steps, each the lines of a shell. What is asked of the environment is named in the templates.
const TEST: &str = "npm run test --if-present";
const CORE: &str = r#"mkdir -p "$HOME/.local/bin"
curl -fsSL --retry 3 -o "$HOME/.local/bin/core" "$CORE_URL"
echo "$CORE_SHA256  $HOME/.local/bin/core" | sha256sum -c -
chmod +x "$HOME/.local/bin/core""#;
const BUILD: &str = r#"if [ -n "${DOPPLER_TOKEN:-}" ]; then
  umask 077
  trap 'rm -f "$HOME/doppler.env"' EXIT
  printf 'user = "%s:"\n' "$DOPPLER_TOKEN" | curl -fsSL -K - -o "$HOME/doppler.env" \
    "https://api.doppler.com/v3/configs/config/secrets/download?format=docker"
  while IFS='=' read -r name value; do
    case "$name" in '' | '#'*) ;; *) export "$name=$value" ;; esac
  done < "$HOME/doppler.env"
fi
"$HOME/.local/bin/core" --root . build --service @SERVICE@ -o @SERVICE@.tar.zst"#;
const DEPLOY: &str = r#"mkdir -p "$HOME/.ssh"
chmod 700 "$HOME/.ssh"
trap 'rm -f "$HOME/.ssh/core_deploy"' EXIT
(umask 077 && printf '%s\n' "$SSH_PRIVATE_KEY" > "$HOME/.ssh/core_deploy")
if [ -n "${SSH_KNOWN_HOSTS:-}" ]; then printf '%s\n' "$SSH_KNOWN_HOSTS" >> "$HOME/.ssh/known_hosts"; fi
: "${CORE_SSH_COMMAND:=ssh -i $HOME/.ssh/core_deploy -o StrictHostKeyChecking=accept-new -o BatchMode=yes}"
export CORE_SSH_COMMAND
set --
for host in $DEPLOY_HOST; do set -- "$@" --host "$host"; done
"$HOME/.local/bin/core" --root . deploy @SERVICE@.tar.zst --service @SERVICE@ --message "$DEPLOY_MESSAGE" "$@""#;

pub(crate) fn run(context: &Context, args: &CiArgs) -> Exit {
    let paths = match context.paths() {
        Ok(paths) => paths,
        Err(exit) => return exit,
    };
    let (service, wanted) = match build::of_production(context, &paths, args.service.as_deref()) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let tooling = releases::tooling(&paths, &wanted);
    let (template, indent, place) = match args.forge {
        Forge::Github => (GITHUB, 10, ".github/workflows/deploy.yml"),
        Forge::Gitlab => (GITLAB, 6, ".gitlab-ci.yml"),
    };
    let text = fill(template, indent, &service, &tooling);
    if args.print {
        render::line(text.trim_end());
        return Exit::Ok;
    }
    let path = paths.root.join(place);
    if fs::read_to_string(&path).is_ok_and(|before| before != text) {
        render::error(&format!("{place} is there already"));
        render::help("`--print` prints what would be written");
        return Exit::Failed;
    }
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
    match written {
        Ok(()) => {
            render::note(&format!(
                "{}: {place}; its first lines say which variables it needs",
                styled(GREEN, "written")
            ));
            Exit::Ok
        }
        Err(error) => {
            render::error(&format!("{place}: {error}"));
            Exit::Failed
        }
    }
}

/// A template with its places filled; lines of steps are indented by so many spaces.
fn fill(template: &str, indent: usize, service: &str, tooling: &Tooling) -> String {
    let folder = if tooling.folder == Path::new("") { ".".to_owned() } else { tooling.folder.display().to_string() };
    let node = if tooling.node.is_empty() { NODE } else { &tooling.node };
    let steps = [
        ("@INSTALL@", tooling.install.as_str()),
        ("@TEST@", TEST),
        ("@CORE@", CORE),
        ("@BUILD@", BUILD),
        ("@DEPLOY@", DEPLOY),
    ];
    let mut text = template.to_owned();
    for (place, lines) in steps {
        let lines: Vec<String> = lines.lines().map(|line| format!("{}{line}", " ".repeat(indent))).collect();
        text = text.replace(place, &lines.join("\n"));
    }
    text.replace("@SERVICE@", service).replace("@FOLDER@", &folder).replace("@NODE@", node)
}
