//! What wakes the loop.

use core_engine::event::Event;
use core_manifest::ServiceName;
use core_shim::wire::KeeperReport;

use super::{reading, saving};
use crate::api::Ask;
use crate::watch::Fingerprint;

/// An input of the loop.
pub(super) enum Input {
    Event(Event),
    Ask(Ask),
    Read(Box<reading::Outcome>),
    Edited(Fingerprint),
    Written(saving::Written),
    Disk,
    Signal,
    Sweep,
    /// Whether memory is short is to be looked at.
    Look,
    /// Services are to be asked whether they answer.
    Check,
    /// What has been answered is to be looked at.
    Count,
    /// Somebody asks for a preview that sleeps.
    Ring(String),
    /// The edge of this name is to use new certificates.
    Renewed(ServiceName),
    Keeper(KeeperReport),
    KeeperSilent,
    KeeperGone,
    Lost,
}
