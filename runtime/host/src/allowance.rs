//! Which names that no route has may get a certificate: those of previews, and so many more an hour. The edge asks on a socket of
//! its own, for names of customers once the app has said yes: CAs have limits, and whoever points names at this host must not
//! use them up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use core_manifest::network::is_host_name;
use core_stack::drivers;
use serde::Deserialize;
use tokio::net::UnixListener;

use crate::api;

/// In which so many new names may get one.
const WINDOW: Duration = Duration::from_secs(3600);

/// How many names of previews may get one in a window: Let's Encrypt issues 50 a week for all names below a domain.
const PREVIEWS: u32 = 10;

/// What is counted, and up to which number. Another supervisor begins anew.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowance(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The data folder of the edge.
    storage: PathBuf,
    customers: Count,
    previews: Count,
    /// The names of previews that there are.
    alive: BTreeSet<String>,
}

/// New names of one kind, and when each was first asked for.
#[derive(Debug, Default)]
struct Count {
    per_hour: u32,
    names: BTreeMap<String, Instant>,
}

/// Whose name it is.
#[derive(Clone, Copy)]
enum Whose {
    Customers,
    Previews,
}

#[derive(Deserialize)]
struct Question {
    domain: String,
}

impl Allowance {
    /// From now on, so many new names of customers in an hour may get a certificate (0 means none), and these of previews, of an
    /// edge with this data folder.
    pub(crate) fn set(&self, per_hour: u32, previews: BTreeSet<String>, storage: PathBuf) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.storage = storage;
        state.customers.per_hour = per_hour;
        state.previews.per_hour = PREVIEWS;
        state.alive = previews;
    }

    /// Whether a name may have a certificate. Reads a folder, and may block.
    fn admits(&self, whose: Whose, name: &str, now: Instant) -> bool {
        let storage = {
            let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever invents names costs no look at the disk.
            if matches!(whose, Whose::Previews) && !state.alive.contains(name) {
                return false;
            }
            state.storage.clone()
        };
        let has_one = is_name(name) && has_certificate(&storage, name);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admits(whose, name, has_one, now)
    }
}

impl State {
    fn admits(&mut self, whose: Whose, name: &str, has_one: bool, now: Instant) -> bool {
        let count = match whose {
            Whose::Customers => &mut self.customers,
            Whose::Previews if self.alive.contains(name) => &mut self.previews,
            Whose::Previews => return false,
        };
        is_name(name) && count.admits(name, has_one, now)
    }
}

impl Count {
    fn admits(&mut self, name: &str, has_one: bool, now: Instant) -> bool {
        if self.per_hour == 0 {
            return false;
        }
        self.names.retain(|_, since| now.duration_since(*since) < WINDOW);
        // One that is there is renewed, and one that was asked for may take several tries.
        if has_one || self.names.contains_key(name) {
            return true;
        }
        let has_room = self.names.len() < self.per_hour as usize;
        if has_room {
            tracing::info!("{name} may get a certificate");
            self.names.insert(name.to_owned(), now);
        } else {
            tracing::warn!("{name} gets no certificate now: {} new names had one in the last hour", self.per_hour);
        }
        has_room
    }
}

/// Whether a CA can issue for this: a folder is looked for by it as well.
fn is_name(text: &str) -> bool {
    is_host_name(text) && text.contains('.')
}

/// Whether Caddy keeps a certificate for a name: `certificates/<ca>/<name>/`.
fn has_certificate(storage: &Path, name: &str) -> bool {
    let cas = fs::read_dir(storage.join("certificates")).into_iter().flatten().flatten();
    cas.into_iter().any(|ca| ca.path().join(name).join(format!("{name}.crt")).is_file())
}

/// Answers the edge; it never returns.
pub(crate) async fn serve(listener: UnixListener, allowance: Allowance) {
    let answer = |whose: Whose| {
        let allowance = allowance.clone();
        move |Query(Question { domain }): Query<Question>| async move {
            let name = domain.to_ascii_lowercase();
            let admits = tokio::task::spawn_blocking(move || allowance.admits(whose, &name, Instant::now())).await;
            if admits.unwrap_or(false) { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS }
        }
    };
    let app =
        Router::new().route(drivers::PREVIEW_PATH, get(answer(Whose::Previews))).fallback(answer(Whose::Customers));
    api::serve(listener, app).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_names_are_counted() {
        let now = Instant::now();
        let mut state = State { customers: Count { per_hour: 2, ..Count::default() }, ..State::default() };
        let mut admits = |name: &str, has_one: bool, later: u64| {
            state.admits(Whose::Customers, name, has_one, now + Duration::from_secs(later))
        };
        assert!(admits("a.example", false, 0) && admits("b.example", false, 1) && admits("a.example", false, 2));
        assert!(!admits("c.example", false, 3));
        assert!(admits("d.example", true, 3), "it has one");
        assert!(admits("c.example", false, 3601), "an hour is over");
        assert!(!admits("../x", false, 9000) && !admits("localhost", false, 9000));
        state.customers.per_hour = 0;
        assert!(!state.admits(Whose::Customers, "a.example", true, now));
    }

    #[test]
    fn only_previews_that_there_are_get_one() {
        let allowance = Allowance::default();
        let folder = tempfile::tempdir().unwrap();
        allowance.set(0, ["pr-1.a.example".to_owned()].into(), folder.path().to_owned());
        let admits = |name: &str| allowance.admits(Whose::Previews, name, Instant::now());
        assert!(admits("pr-1.a.example") && !admits("pr-2.a.example"));
        allowance.set(0, BTreeSet::new(), folder.path().to_owned());
        assert!(!admits("pr-1.a.example"));
    }

    #[test]
    fn what_caddy_keeps_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("certificates/ca-dir/a.example");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("a.example.crt"), "").unwrap();
        assert!(has_certificate(folder.path(), "a.example"));
        assert!(!has_certificate(folder.path(), "b.example"));
    }
}
