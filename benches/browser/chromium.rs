//! The browsers, which one process of Node.js keeps open (`session.mjs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{PATIENCE, browser, checkout};
use crate::sheet::Outcome;
use crate::stage::Stage;
use crate::visits::Visit;

/// How long nobody looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// That process. The browsers end with it.
pub(crate) struct Chromium {
    process: Child,
    /// Where orders go; closed, it ends.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Chromium {
    /// Starts it with the Node.js of the stack.
    ///
    /// # Errors
    /// When there is no Node.js.
    pub(crate) fn start(stage: &Stage) -> Result<Self, String> {
        let node = stage.node()?;
        let path = format!("{}:{}", node.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        let program = node.join("bin/node").display().to_string();
        let npm = node.join("lib/node_modules/npm/bin/npm-cli.js").display().to_string();
        browser::install(&path, &[&program, &npm]);
        let script = checkout().join("benches/browser/session.mjs").display().to_string();
        let mut command = browser::command(&path, &[&program, &script, &stage.url()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take().ok_or("it has no output")?);
        Ok(Self { process, orders, answers: BufReader::new(answers) })
    }

    /// The version of the browser.
    ///
    /// # Errors
    /// When none can be started.
    pub(crate) fn version(&mut self) -> Result<String, String> {
        Ok(self.ask(&json!({"do": "version"}))?["version"].as_str().unwrap_or("?").to_owned())
    }

    /// Opens a tab for each check, while `release` is live.
    ///
    /// # Errors
    /// When a page is not whole.
    pub(crate) fn open(&mut self, name: &str, release: usize) -> Result<(), String> {
        self.ask(&json!({"do": "open", "name": name, "release": release.to_string()})).map(|_| ())
    }

    /// Carries out the checks in the tabs that were opened under this name.
    ///
    /// # Errors
    /// When the browser fails; a check that fails is an outcome.
    pub(crate) fn check(&mut self, name: &str, live: usize) -> Result<Vec<Outcome>, String> {
        let answer = self.ask(&json!({"do": "check", "name": name, "live": live.to_string()}))?;
        answer["results"].as_array().into_iter().flatten().map(Outcome::read).collect()
    }

    /// Visits the start page with the browser that keeps its cache.
    ///
    /// # Errors
    /// When the page or one of its files fails.
    pub(crate) fn visit(&mut self, release: usize) -> Result<Visit, String> {
        Visit::read(&self.ask(&json!({"do": "visit", "release": release.to_string()}))?)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When it ends badly.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.orders = None;
        let status = self.process.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the browser ended with {status}")) }
    }

    fn ask(&mut self, order: &Value) -> Result<Value, String> {
        let gone = |error: std::io::Error| format!("the browser has ended: {error}");
        let orders = self.orders.as_mut().ok_or("the browser has ended")?;
        writeln!(orders, "{order}").map_err(gone)?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(gone)?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("the browser said {line:?}: {error}"))?;
        answer["error"].as_str().map_or(Ok(answer.clone()), |error| Err(error.to_owned()))
    }
}

impl Drop for Chromium {
    /// It closes its browsers when its orders end; it is killed only if it does not.
    fn drop(&mut self) {
        self.orders = None;
        let until = Instant::now() + PATIENCE;
        while self.process.try_wait().is_ok_and(|status| status.is_none()) {
            if Instant::now() > until {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            std::thread::park_timeout(PAUSE);
        }
    }
}
