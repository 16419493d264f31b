//! What a host may ask at any time, without a word to the engine.

use core_manifest::{ServiceName, Template};

use crate::action::Target;
use crate::ids::InstanceId;

/// A service that is to answer now, and where it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCheck {
    /// The service.
    pub service: ServiceName,
    /// The edge that is asked, and whom it reaches through its first pointer; `None` if one of the two is not ready.
    pub to: Option<(InstanceId, Target)>,
    /// The path that says whether the service is well, else the one that its clients begin with.
    pub path: Template,
}
