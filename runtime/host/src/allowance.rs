//! How many names that no route has may get a certificate: those of previews that there are, and those of customers. The edge asks
//! on a socket of its own, once it has found the preview, or the app has said yes: CAs have limits, and whoever points names at this
//! host must not use them up.

use std::collections::BTreeMap;
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

#[derive(Debug)]
struct State {
    /// The data folder of the edge.
    storage: PathBuf,
    customers: Count,
    previews: Count,
}

impl Default for State {
    fn default() -> Self {
        let up_to = |per_hour| Count { per_hour, names: BTreeMap::new() };
        Self { storage: PathBuf::new(), customers: up_to(0), previews: up_to(PREVIEWS) }
    }
}

/// New names of one kind, and when each was first asked for.
#[derive(Debug)]
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
    /// From now on, so many new names of customers in an hour may get a certificate, of an edge with this data folder; 0 means
    /// none.
    pub(crate) fn set(&self, per_hour: u32, storage: PathBuf) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.customers.per_hour = per_hour;
        state.storage = storage;
    }

    /// Whether a name may have a certificate. Reads a folder, and may block.
    fn admits(&self, whose: Whose, name: &str, now: Instant) -> bool {
        if !is_name(name) {
            return false;
        }
        let storage = self.0.lock().unwrap_or_else(PoisonError::into_inner).storage.clone();
        let has_one = has_certificate(&storage, name);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match whose {
            Whose::Customers => &mut state.customers,
            Whose::Previews => &mut state.previews,
        };
        count.admits(name, has_one, now)
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
        let mut count = Count { per_hour: 2, names: BTreeMap::new() };
        let mut admits =
            |name: &str, has_one: bool, later: u64| count.admits(name, has_one, now + Duration::from_secs(later));
        assert!(admits("a.example", false, 0) && admits("b.example", false, 1) && admits("a.example", false, 2));
        assert!(!admits("c.example", false, 3));
        assert!(admits("d.example", true, 3), "it has one");
        assert!(admits("c.example", false, 3601), "an hour is over");
        count.per_hour = 0;
        assert!(!count.admits("a.example", true, now));
    }

    #[test]
    fn previews_and_customers_are_counted_apart() {
        let allowance = Allowance::default();
        let admits = |whose, name: &str| allowance.admits(whose, name, Instant::now());
        assert!(!admits(Whose::Customers, "a.example"), "nobody has said that there may be some");
        for number in 0..PREVIEWS {
            assert!(admits(Whose::Previews, &format!("pr-{number}.a.example")));
        }
        assert!(!admits(Whose::Previews, "one-more.a.example"));
        allowance.set(1, PathBuf::new());
        assert!(admits(Whose::Customers, "a.example"));
        assert!(!admits(Whose::Previews, "../x") && !admits(Whose::Customers, "localhost"));
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
