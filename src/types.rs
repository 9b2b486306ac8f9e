//! Newtypes that every module shares, and nothing else: ids, hashes, the digest chain, steps, seeds, metric names. The metrics
//! that training records are in [`metrics`], how the answers of a task fall out in [`answers`].
//!
//! A value of one of these types is valid by construction: the constructor is the only place that checks. The
//! content hash lives here too, because specs, corpora, tokenizers, weights and the digest chain are all named by it.

pub mod answers;
pub mod metrics;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A BLAKE3 hash of some content, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Hashes `bytes` at once.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 12 hexadecimal digits: enough to tell contents apart in a table or a file name.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }

    /// The first 64 bits, where a number has to stand for the content.
    pub fn first_u64(&self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("invariant: a hash has 32 bytes"))
    }

    /// The raw bytes, for chaining into a further hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hashes content that arrives in pieces; [`ContentHash::of`] of the concatenation gives the same hash.
#[derive(Default)]
pub struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    /// Starts on no content.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    /// The hash of all pieces so far.
    pub fn finish(&self) -> ContentHash {
        ContentHash(*self.0.finalize().as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { kind: "hash", text: text.to_owned(), rule: "64 lower-case hexadecimal digits" };
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

/// The hash of a run's canonical specification: equal hashes mean the same run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpecHash(pub ContentHash);

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for SpecHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.parse().map(Self)
    }
}

/// The name of one run: eight random characters, typed in lower case, without the look-alikes i, l, o and u.
///
/// Ids are random rather than ordered by time, so that the runs of one sweep differ in their first characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(String);

impl RunId {
    /// Characters in an id.
    pub const LEN: usize = 8;
    const ALPHABET: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    /// An id from 40 random bits; the caller owns the randomness.
    pub fn from_random_bytes(bytes: [u8; 5]) -> Self {
        let bits = bytes.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        let digit = |i: usize| char::from(Self::ALPHABET[(bits >> (5 * i) & 31) as usize]);
        Self((0..Self::LEN).map(digit).collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `prefix` could begin an id: used to tell a mistyped id from an unknown one.
    pub fn is_prefix(prefix: &str) -> bool {
        !prefix.is_empty() && prefix.len() <= Self::LEN && prefix.bytes().all(|b| Self::ALPHABET.contains(&b))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let rule = "eight characters of 0-9 and a-z without i, l, o and u";
        if text.len() != Self::LEN || !Self::is_prefix(text) {
            return Err(InvalidName { kind: "run id", text: text.to_owned(), rule });
        }
        Ok(Self(text.to_owned()))
    }
}

/// A count of optimizer steps. Step `n` is the state after `n` updates; the first update makes step 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(pub u64);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The seed of every random draw of a run; replicates of a cell differ in nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A metric's name. Ours are `group/name` in lower case: `train/loss`, `valid/mlm_loss`, `time/tokens_per_s`; a guest's is
/// whatever one line of text it likes.
///
/// The group `time` holds what the clock says; every other group is under the determinism contract.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MetricName(String);

impl MetricName {
    /// Characters of a name at most: what tracking protocols admit.
    const LONGEST: usize = 250;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether two executions of one spec must agree on this metric bit for bit.
    pub fn is_deterministic(&self) -> bool {
        metrics::is_deterministic(&self.0)
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for MetricName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_name =
            !text.trim().is_empty() && text.chars().count() <= Self::LONGEST && !text.contains(char::is_control);
        let rule = "a line of at most 250 characters that is not empty";
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName { kind: "metric", text: text.to_owned(), rule })
        }
    }
}

/// A hash over every deterministic number recorded so far: two runs with equal chains agreed at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(ContentHash);

impl Chain {
    /// The chain before the first step of a specification.
    pub fn start(spec: SpecHash) -> Self {
        Self(spec.0)
    }

    /// The chain as a checkpoint holds it.
    pub fn resume(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// The hash so far.
    pub fn hash(&self) -> ContentHash {
        self.0
    }

    /// Adds what was recorded at `step`: names and bits, but for what is not in the chain.
    pub fn extend(&mut self, step: Step, metrics: &[metrics::Measurement]) {
        self.extend_named(step, metrics.iter().map(|(metric, value)| (metric.name(), *value)));
    }

    /// [`extend`](Self::extend) with what a log has, which may be of an older program.
    pub fn extend_named<'n>(&mut self, step: Step, metrics: impl IntoIterator<Item = (&'n str, f64)>) {
        let mut hasher = ContentHasher::new();
        hasher.update(self.0.as_bytes()).update(&step.0.to_le_bytes());
        for (name, value) in metrics.into_iter().filter(|(name, _)| metrics::is_deterministic(name)) {
            hasher.update(name.as_bytes()).update(&[0]).update(&value.to_bits().to_le_bytes());
        }
        self.0 = hasher.finish();
    }
}

/// A moment in UTC, to the millisecond, written as RFC 3339 (`2026-01-31T09:30:00.250Z`). Whoever owns a clock makes one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp {
    unix_millis: i64,
}

impl Timestamp {
    /// The moment so many milliseconds after 1970-01-01T00:00:00Z, held within the years 0 to 9999.
    pub fn from_unix_millis(unix_millis: i64) -> Self {
        Self { unix_millis: unix_millis.clamp(-62_167_219_200_000, 253_402_207_200_000) }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        self.unix_millis
    }

    /// Seconds from `earlier` to this moment; negative when the order is the other way.
    pub fn secs_since(self, earlier: Self) -> f64 {
        (self.unix_millis - earlier.unix_millis) as f64 / 1e3
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = jiff::Timestamp::from_millisecond(self.unix_millis).map_err(|_| fmt::Error)?;
        write!(f, "{moment:.3}")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let moment: jiff::Timestamp = text.parse().map_err(|_| InvalidName {
            kind: "time",
            text: text.to_owned(),
            rule: "written like 2026-01-31T09:30:00.250Z",
        })?;
        Ok(Self::from_unix_millis(moment.as_millisecond()))
    }
}

/// Text that does not name what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}: a {kind} is {rule}")]
pub struct InvalidName {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

/// Serialises a type by its `Display` and `FromStr`, so that every file shows the same text as every message.
macro_rules! serde_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(ContentHash, RunId, MetricName, Timestamp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_reject_look_alikes() {
        let id = RunId::from_random_bytes([0xff, 0, 0x12, 0x34, 0x56]);
        assert_eq!(id.as_str().len(), RunId::LEN);
        assert_eq!(id.as_str().parse(), Ok(id));
        for bad in ["", "abc", "ABCDEFGH", "abcdefgi", "abcdefghj"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad} was taken for a run id");
        }
    }

    #[test]
    fn hashes_round_trip_and_pieces_hash_like_the_whole() {
        let whole = ContentHash::of(b"one two");
        assert_eq!(ContentHasher::new().update(b"one ").update(b"two").finish(), whole);
        assert_eq!(whole.to_string().parse(), Ok(whole));
        assert!("12".parse::<ContentHash>().is_err());
    }

    #[test]
    fn timestamps_round_trip_as_rfc_3339() {
        let moment = Timestamp::from_unix_millis(1_769_851_800_250);
        assert_eq!(moment.to_string(), "2026-01-31T09:30:00.250Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!(Timestamp::from_unix_millis(i64::MAX).to_string().len(), moment.to_string().len());
    }

    /// Runs that were recorded before a metric was known have the chain of those recorded since.
    #[test]
    fn a_metric_that_came_later_is_not_in_the_chain() {
        let chain = |metrics: &[(&str, f64)]| {
            let mut chain = Chain::start(SpecHash(ContentHash::of(b"spec")));
            chain.extend_named(Step(3), metrics.iter().copied());
            chain.hash()
        };
        let (loss, later) = (("valid/mlm_loss", 2.0), ("valid/bits_per_character", 1.0));
        assert_eq!(chain(&[loss, later]), chain(&[loss]));
        assert_eq!(chain(&[loss, ("train/mlm_loss_mask", 1.0), ("train/accuracy_kept", 0.5)]), chain(&[loss]));
        assert_ne!(chain(&[("valid/mlm_loss", 2.5), later]), chain(&[loss]));
        assert_eq!(chain(&[("time/tokens_per_s", 9.0), loss]), chain(&[loss]));
    }

    #[test]
    fn only_the_clock_is_outside_the_contract() {
        let name = |text: &str| text.parse::<MetricName>().expect("a valid name");
        assert!(name("valid/mlm_loss").is_deterministic());
        assert!(!name("time/tokens_per_s").is_deterministic());
        assert_eq!(name("val loss (한국어)").as_str(), "val loss (한국어)");
        for bad in ["", "  ", "a\nb", "\u{1b}[31m", &"x".repeat(251)] {
            assert!(bad.parse::<MetricName>().is_err(), "{bad} was taken for a metric");
        }
    }
}
