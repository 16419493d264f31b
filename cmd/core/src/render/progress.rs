//! What `core up` shows while the stack starts: a line for each service and each download. A pipe gets a line for each
//! change.

use std::collections::BTreeMap;
use std::time::Duration;

use core_engine::folder::shown_folder;
use core_engine::phase::PhaseName;
use core_host::api::{InstanceStatus, JobStatus, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::words::progress;
use super::{DIM, GREEN, YELLOW, note, styled};
use core_host::harmless::harmless;

/// Shows the progress of a starting stack.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    lines: BTreeMap<String, ProgressBar>,
    said: BTreeMap<String, String>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bars = super::is_watched().then(MultiProgress::new);
        Self { bars, lines: BTreeMap::new(), said: BTreeMap::new() }
    }

    /// Shows the present state.
    pub(crate) fn show(&mut self, status: &Status) {
        for job in &status.jobs {
            self.job(job);
        }
        self.end_jobs(&status.jobs);
        for instance in &status.instances {
            self.instance(instance);
        }
        let known: Vec<String> = status.instances.iter().map(|instance| instance.id.clone()).collect();
        self.lines.retain(|key, bar| {
            let stays = known.contains(key) || is_folder(key);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
    }

    fn job(&mut self, job: &JobStatus) {
        let key = shown_folder(&job.folder);
        let text = format!("{} {}", job.what, progress(job.done, job.total));
        self.say(&key, &job.what, text.trim_end(), YELLOW);
        if let (Some(bar), Some(total)) = (self.lines.get(&key), job.total) {
            bar.set_length(total);
            bar.set_position(job.done);
        }
    }

    fn end_jobs(&mut self, jobs: &[JobStatus]) {
        let is_running = |key: &str| jobs.iter().any(|job| key == shown_folder(&job.folder));
        let ended: Vec<String> = self.said.keys().filter(|key| is_folder(key) && !is_running(key)).cloned().collect();
        for key in ended {
            if self.bars.is_none() && self.said.get(&key).is_some_and(|said| said != "done") {
                note(&format!("{key} done"));
            }
            self.said.insert(key.clone(), "done".into());
            if let Some(bar) = self.lines.remove(&key) {
                bar.finish_and_clear();
            }
        }
    }

    fn instance(&mut self, instance: &InstanceStatus) {
        let style = super::phase_style(instance);
        let why =
            instance.waiting_on.first().map(|waiting| waiting.message.clone()).or_else(|| instance.detail.clone());
        let why = if instance.phase == PhaseName::Ready { None } else { why };
        let word = instance.phase.word();
        let text = why.as_ref().map_or_else(|| word.to_owned(), |why| format!("{word} {}", styled(DIM, why)));
        // A pipe gets every phase, but not every message of a probe.
        let change = if matches!(instance.phase, PhaseName::Waiting | PhaseName::Probing) {
            word.to_owned()
        } else {
            text.clone()
        };
        self.say(&instance.id, &change, &text, style);
        if instance.ready
            && let Some(bar) = self.lines.get(&instance.id)
        {
            bar.disable_steady_tick();
        }
    }

    fn say(&mut self, key: &str, change: &str, text: &str, style: anstyle::Style) {
        let Some(bars) = &self.bars else {
            if self.said.get(key).map(String::as_str) != Some(change) {
                self.said.insert(key.to_owned(), change.to_owned());
                note(&format!("{key} {text}"));
            }
            return;
        };
        self.said.insert(key.to_owned(), change.to_owned());
        let bar = self.lines.entry(key.to_owned()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(0));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar.set_prefix(format!("{key:<16}"));
            bar
        });
        let is_done = style == GREEN;
        let mark = if is_done { "✓".to_owned() } else { "{spinner}".to_owned() };
        let wide = bar.length().unwrap_or(0) > 0;
        let template =
            if wide { format!("{mark} {{prefix}} {{bar:24}} {{msg}}") } else { format!("{mark} {{prefix}} {{msg}}") };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_message(styled(style, &harmless(text)));
    }

    /// Prints a line above all others.
    pub(crate) fn announce(&self, text: &str) {
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(harmless(text));
            }
            None => note(text),
        }
    }

    /// Leaves the lines on the terminal as they are.
    pub(crate) fn end(self) {
        for bar in self.lines.values() {
            bar.abandon();
        }
    }
}

/// Whether a line is about a folder that is fetched or built; instances have no dot in front.
fn is_folder(key: &str) -> bool {
    key.starts_with('.')
}
