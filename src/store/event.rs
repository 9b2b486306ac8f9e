//! What a run says about itself, one [`Event`] after another, and how each is spelled in JSON.
//!
//! The spelling is exact where it matters: a metric reads back with the bits that it was written with. Rust and
//! `serde_json` (with `float_roundtrip`) print the shortest decimal that does so; JSON has no spelling for what is not
//! finite, so `"NaN"`, `"inf"` and `"-inf"` stand as strings. All NaNs are one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{ContentHash, MetricName, Step, Timestamp};

/// One record of a run's log. New kinds may be added; readers skip and count the kinds that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run came into a state, and why when that is not plain.
    State {
        state: RunState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        at: Timestamp,
    },
    /// A training step was done. `chain` is the digest over the loss bits of this step and all before it.
    Step { step: Step, chain: ChainDigest, metrics: Metrics },
    /// The model was evaluated as it is after `step`.
    Evaluation { step: Step, metrics: Metrics },
    /// Something about the run as a whole: a measured rate, a count, a version. A later value replaces an earlier one.
    Fact { name: String, value: serde_json::Value },
    /// Something that a person should know but that did not stop the run.
    Warning { text: String },
    /// A checkpoint is on the disk: its file name in `checkpoints/` and the hash of its weights.
    Checkpoint { step: Step, file: String, weights: ContentHash },
    /// Training resumes from the state after `step`: what was recorded for later steps is void.
    Resumed { step: Step, at: Timestamp },
    /// A guest measured something: in the order in which it said so, without digests and without the resume rule.
    Points { points: Vec<LoggedPoint> },
    /// Parameters that a guest names after its run was made; a later value replaces an earlier one.
    Parameters { parameters: BTreeMap<String, serde_json::Value> },
}

/// What a guest measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedPoint {
    pub key: MetricName,
    pub step: i64,
    /// The guest's own time, where it says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    #[serde(serialize_with = "write_exactly", deserialize_with = "read_exactly")]
    pub value: f64,
}

impl Event {
    /// The name of every kind in JSON, in the order above.
    pub(super) const KINDS: [&str; 9] =
        ["state", "step", "evaluation", "fact", "warning", "checkpoint", "resumed", "points", "parameters"];

    /// Whether losing this record in a power cut would cost more than the steps that are redone anyway.
    pub fn is_milestone(&self) -> bool {
        matches!(self, Self::State { .. } | Self::Checkpoint { .. } | Self::Resumed { .. })
    }
}

/// Where a run is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    Planned,
    Running,
    Finished,
    Failed,
    Interrupted,
    /// Ended before its last step because others of its sweep did better; can resume from its checkpoint.
    Stopped,
    /// The log says running, but nobody holds the run's lease. Derived when looked at, never written.
    Lost,
}

impl RunState {
    /// Every state, in the order of a run's life.
    pub const ALL: [Self; 7] =
        [Self::Planned, Self::Running, Self::Finished, Self::Failed, Self::Interrupted, Self::Stopped, Self::Lost];

    /// The state as it is typed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Lost => "lost",
        }
    }

    /// How far from being finished the state is: of several runs of one specification, the nearest counts.
    pub fn distance(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Running => 1,
            Self::Interrupted | Self::Stopped | Self::Lost => 2,
            Self::Failed => 3,
            Self::Planned => 4,
        }
    }

    /// The state of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A link of the digest chain, written as 16 hexadecimal digits: equal links mean equal losses in every step so far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChainDigest(pub u64);

impl ChainDigest {
    /// The first 64 bits of a hash: enough to find the first step that differs.
    pub fn of(hash: &ContentHash) -> Self {
        Self(hash.first_u64())
    }
}

impl fmt::Display for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ChainDigest {
    type Err = InvalidChainDigest;

    fn from_str(text: &str) -> Result<Self, InvalidChainDigest> {
        let invalid = || InvalidChainDigest(text.to_owned());
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(invalid());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| invalid())
    }
}

/// Text that is not a link of a digest chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a chain digest: a chain digest is 16 lower-case hexadecimal digits")]
pub struct InvalidChainDigest(String);

impl Serialize for ChainDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <std::borrow::Cow<'de, str>>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Metrics by name in the order they were measured; a JSON object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(pub Vec<(MetricName, f64)>);

impl FromIterator<(MetricName, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (MetricName, f64)>>(metrics: I) -> Self {
        Self(metrics.into_iter().collect())
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, ExactFloat(*value))))
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Metrics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of metrics")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics, A::Error> {
                let mut metrics = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((name, ExactFloat(value))) = map.next_entry()? {
                    metrics.push((name, value));
                }
                Ok(Metrics(metrics))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

fn write_exactly<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    ExactFloat(*value).serialize(serializer)
}

fn read_exactly<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    ExactFloat::deserialize(deserializer).map(|ExactFloat(value)| value)
}

/// A float whose JSON reads back as the same bits.
struct ExactFloat(f64);

impl Serialize for ExactFloat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for ExactFloat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = f64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a number, "NaN", "inf" or "-inf""#)
            }

            fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
                Ok(value)
            }

            fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
                Ok(value as f64)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<f64, E> {
                match text {
                    "NaN" => Ok(f64::NAN),
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(Number).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through_json(value: f64) -> f64 {
        let json = serde_json::to_string(&ExactFloat(value)).unwrap();
        serde_json::from_str::<ExactFloat>(&json).unwrap_or_else(|error| panic!("{json}: {error}")).0
    }

    fn check_bits(value: f64) {
        let back = through_json(value);
        assert!(
            back.to_bits() == value.to_bits() || back.is_nan() && value.is_nan(),
            "{value:e} came back as {back:e}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn every_bit_pattern_reads_back(bits: u64) {
            check_bits(f64::from_bits(bits));
        }

        #[test]
        fn every_single_precision_loss_reads_back(bits: u32) {
            check_bits(f64::from(f32::from_bits(bits)));
        }
    }

    #[test]
    fn the_edges_read_back() {
        for value in
            [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::MIN, 1e23, 9_007_199_254_740_993.0, 0.1 + 0.2]
        {
            check_bits(value);
            check_bits(-value);
        }
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            check_bits(value);
        }
    }

    #[test]
    fn states_and_chains_round_trip_by_name() {
        for state in RunState::ALL {
            assert_eq!(RunState::from_name(&state.to_string()), Some(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!(RunState::from_name("Running"), None);
        let chain = ChainDigest(0x0123_4567_89ab_cdef);
        assert_eq!(chain.to_string().parse(), Ok(chain));
        for bad in ["", "0123456789abcde", "0123456789ABCDEF", "+123456789abcdef"] {
            assert!(bad.parse::<ChainDigest>().is_err(), "{bad} was taken for a digest");
        }
    }
}
