//! Faults at random on real processes.
#![allow(dead_code, reason = "each program uses its own part of this")]

pub(crate) mod dice;
pub(crate) mod lines;
pub(crate) mod role;
pub(crate) mod squeeze;
pub(crate) mod tried;
