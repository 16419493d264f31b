//! A trial: a release that runs beside the live one of its service, as a service of its own (`web~pr-12`). Its requests
//! find it by a fixed set of pointers, so that nothing of the edge's configuration changes when one comes or goes.

use core_manifest::{ServiceName, name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many previews a service may have at once: the edge has so many sets of pointers for each service, from the start.
pub const PREVIEWS: u32 = 8;
/// The name of the trial that gets a share of the live requests.
pub const CANARY: &str = "canary";

/// What is tried, and with which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It has host names of its own.
    Preview {
        /// Which of the edge's sets names it, from 0.
        set: u32,
        /// Whether everybody may see it, without a password.
        is_public: bool,
        /// When it was last deployed, in seconds since 1970.
        at: i64,
    },
    /// It gets a share of the clients.
    Canary {
        /// The share, in percent: 1 to 99.
        percent: u32,
    },
}

/// The stage of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// Its release is there; the manifests are being read for it.
    Asked,
    /// It runs, or is about to.
    Running,
    /// Nobody has asked for it for a while: nothing of it runs until somebody does.
    Asleep,
    /// It gets no requests any more. It is forgotten when that is written and nothing of it runs.
    Ending,
}

/// A trial as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialWish {
    /// A preview of this name.
    Preview {
        /// Its name, which becomes a part of host names.
        name: String,
        /// Whether everybody may see it, without a password.
        is_public: bool,
        /// When it is asked for, in seconds since 1970.
        at: i64,
    },
    /// A share of the clients, in percent.
    Canary {
        /// The share: 1 to 99.
        percent: u32,
    },
}

impl TrialWish {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Preview { name, .. } => name,
            Self::Canary { .. } => CANARY,
        }
    }

    /// What the manifests are read with: which set it will have is not known yet.
    pub fn as_trial(&self) -> Trial {
        match *self {
            Self::Preview { is_public, at, .. } => Trial::Preview { set: 0, is_public, at },
            Self::Canary { percent } => Trial::Canary { percent },
        }
    }

    /// Whether it can be had, of whatever service.
    ///
    /// # Errors
    /// What is wrong with it, as text for people.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Preview { name, .. } if name == CANARY => {
                Err(format!("`{CANARY}` is no name for a preview: it is that of the release of --canary"))
            }
            Self::Canary { percent } if !(1..=99).contains(percent) => {
                Err(format!("a canary gets 1 to 99 percent of the clients, not {percent}"))
            }
            _ => name::check_trial(self.name()).map_err(|rule| format!("the name `{}` {rule}", self.name())),
        }
    }

    /// The service that runs it.
    ///
    /// # Errors
    /// As for [`TrialWish::check`].
    pub fn service(&self, parent: &ServiceName) -> Result<ServiceName, String> {
        self.check()?;
        parent.trial(self.name())
    }
}

impl Trial {
    /// How many replicas it has, of a service with so many.
    pub fn replicas(self, of: u32) -> u32 {
        match self {
            Self::Preview { .. } => 1,
            Self::Canary { percent } => (of * percent).div_ceil(100).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_has_as_many_replicas_as_its_share_needs() {
        let replicas = |percent, of| Trial::Canary { percent }.replicas(of);
        assert_eq!(
            [replicas(1, 1), replicas(5, 4), replicas(50, 4), replicas(51, 4), replicas(99, 2)],
            [1, 1, 2, 3, 2]
        );
    }

    #[test]
    fn bad_trials_are_refused() {
        let web = ServiceName::new("web").unwrap();
        let preview = |name: &str| TrialWish::Preview { name: name.into(), is_public: false, at: 0 };
        assert_eq!(preview("pr-1").service(&web).unwrap().as_str(), "web~pr-1");
        for (bad, why) in [
            (preview("canary"), "--canary"),
            (preview("Pr"), "the name `Pr` must begin"),
            (TrialWish::Canary { percent: 0 }, "1 to 99"),
            (TrialWish::Canary { percent: 100 }, "1 to 99"),
        ] {
            assert!(bad.service(&web).unwrap_err().contains(why), "{why}");
        }
    }
}
