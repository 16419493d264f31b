//! Names of what the engine handles: generation, slot, instance, invocation.

use std::fmt;
use std::str::FromStr;

use core_manifest::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of a topology. Each edit, scale, deploy, rollback and operator's restart makes a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The next generation.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A slot, which is a service and a replica: `web-0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The service of the slot.
    pub service: ServiceName,
    /// The replica, from 0.
    pub replica: u32,
}

/// An instance, which is one life of a slot in one generation: `web-0@7`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId {
    /// The slot of the instance.
    pub slot: SlotId,
    /// The generation in which it was created.
    pub generation: Generation,
}

/// An invocation, which is one start of an instance: `web-0@7.3`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvocationId {
    /// The instance that was started.
    pub instance: InstanceId,
    /// Number of the start, from 1.
    pub number: u32,
}

impl InstanceId {
    /// Makes the name of an instance from its parts.
    pub fn new(service: ServiceName, replica: u32, generation: Generation) -> Self {
        Self { slot: SlotId { service, replica }, generation }
    }

    /// The service of the instance.
    pub fn service(&self) -> &ServiceName {
        &self.slot.service
    }
}

macro_rules! text_form {
    ($type:ident, |$value:ident, $f:ident| $write:expr, |$text:ident| $read:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                $write
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{self}")
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str($text: &str) -> Result<Self, String> {
                $read.ok_or_else(|| format!("`{}` is not a valid {}", $text, stringify!($type)))
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

text_form!(SlotId, |slot, f| write!(f, "{}-{}", slot.service, slot.replica), |text| {
    text.rsplit_once('-').and_then(|(service, replica)| {
        Some(SlotId { service: ServiceName::made(service).ok()?, replica: replica.parse().ok()? })
    })
});

text_form!(InstanceId, |id, f| write!(f, "{}@{}", id.slot, id.generation), |text| {
    text.split_once('@').and_then(|(slot, generation)| {
        Some(InstanceId { slot: slot.parse().ok()?, generation: Generation(generation.parse().ok()?) })
    })
});

text_form!(InvocationId, |id, f| write!(f, "{}.{}", id.instance, id.number), |text| {
    text.rsplit_once('.').and_then(|(instance, number)| {
        Some(InvocationId { instance: instance.parse().ok()?, number: number.parse().ok()? })
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for text in ["web-0@7.3", "nats-hub-2@1.1", "nats-hub-2-0@1.1"] {
            let id: InvocationId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
        }
        for bad in ["web@7.1", "web-0@7", "web-0@x.1", "-0@1.1", "web-0.1"] {
            assert!(bad.parse::<InvocationId>().is_err(), "{bad}");
        }
    }
}
