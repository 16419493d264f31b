//! The way that a service came by its releases, so that it is known which one to go back to.

use serde::{Deserialize, Serialize};

/// How many releases a trail remembers.
const LONGEST: usize = 50;

/// The releases of a service that served well, the newest last. One that was rolled away from is not on it any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trail {
    served: Vec<String>,
    /// The wanted release is one that the service goes back to.
    #[serde(default)]
    back: bool,
}

impl Trail {
    /// The release to go back to from the wanted one: the newest before it that served well.
    pub(crate) fn before(&self, wanted: &str) -> Option<&str> {
        // While the service goes back, what it leaves is still at the end.
        let at = self.served.iter().position(|one| one == wanted).filter(|_| self.back);
        let end = at.unwrap_or(self.served.len());
        self.served[..end].iter().rev().map(String::as_str).find(|one| *one != wanted)
    }

    /// Another release is wanted instead of this one: one to go back to, or a further one. Whoever goes on from where the
    /// service was going back to has left what it came from.
    pub(crate) fn turn(&mut self, from: Option<&str>, back: bool) {
        if self.back
            && !back
            && let Some(at) = from.and_then(|from| self.served.iter().position(|one| one == from))
        {
            self.served.truncate(at + 1);
        }
        self.back = back;
    }

    /// The service stays where it is: what was wanted instead failed.
    pub(crate) fn stay(&mut self) {
        self.back = false;
    }

    /// A release has taken over and was good. Returns whether that is news.
    pub(crate) fn serves(&mut self, release: &str) -> bool {
        let at = self.served.iter().position(|one| one == release);
        let is_last = at.is_some_and(|at| at + 1 == self.served.len());
        match at {
            Some(at) if self.back => self.served.truncate(at + 1),
            Some(at) if !is_last => {
                let release = self.served.remove(at);
                self.served.push(release);
            }
            Some(_) => {}
            None => self.served.push(release.to_owned()),
        }
        if self.served.len() > LONGEST {
            self.served.remove(0);
        }
        !is_last || std::mem::take(&mut self.back)
    }

    /// Whether the service goes back to the wanted release, and it does not serve yet.
    pub(crate) fn goes_back(&self) -> bool {
        self.back
    }

    /// The release that served last.
    pub(crate) fn last(&self) -> Option<&str> {
        self.served.last().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(served: &[&str]) -> Trail {
        let mut trail = Trail::default();
        for one in served {
            trail.serves(one);
        }
        trail
    }

    fn go_back(trail: &mut Trail, from: &str) -> String {
        let target = trail.before(from).unwrap().to_owned();
        trail.turn(Some(from), true);
        trail.serves(&target);
        target
    }

    #[test]
    fn twice_in_a_row_goes_two_steps() {
        let mut trail = trail(&["a", "b", "c"]);
        assert_eq!(go_back(&mut trail, "c"), "b");
        assert_eq!(go_back(&mut trail, "b"), "a");
        assert_eq!(trail.before("a"), None);
    }

    #[test]
    fn a_second_step_need_not_wait_for_the_first() {
        let mut trail = trail(&["a", "b", "c"]);
        trail.turn(Some("c"), true);
        assert_eq!(trail.before("b"), Some("a"), "b is wanted, and does not serve yet");
    }

    #[test]
    fn what_was_rolled_away_from_is_not_gone_back_to() {
        let mut trail = trail(&["a", "b", "c"]);
        go_back(&mut trail, "c");
        trail.serves("d");
        assert_eq!(trail.before("d"), Some("b"));
    }

    #[test]
    fn who_goes_on_before_the_first_step_is_over_has_left_it_all_the_same() {
        let mut trail = trail(&["a", "b", "c"]);
        trail.turn(Some("c"), true);
        // The service is back at b, which is still being observed.
        trail.turn(Some("b"), false);
        assert_eq!(trail.before("d"), Some("b"));
        assert_eq!(trail.served, ["a", "b"]);
    }

    #[test]
    fn a_deploy_of_an_old_release_is_a_step_forward() {
        let mut trail = trail(&["a", "b"]);
        assert!(trail.serves("a"));
        assert_eq!(trail.before("a"), Some("b"));
        assert!(!trail.serves("a"), "it serves already");
    }

    #[test]
    fn what_never_served_is_not_on_it() {
        let trail = trail(&["a", "b"]);
        assert_eq!(trail.before("c"), Some("b"), "c is being observed");
    }
}
