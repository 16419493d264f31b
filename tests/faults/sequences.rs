//! A few of the random sequences; `cargo bench --bench faults` runs many.

use crate::common::trials::Test;

pub(crate) const TESTS: &[Test] = &[];
