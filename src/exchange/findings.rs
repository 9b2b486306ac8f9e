//! What a person must hear of: nothing is dropped without being listed.

use serde::Serialize;

/// Something about a file, or a place in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A path below the store, or a place in its database.
    pub place: String,
    pub why: String,
}

/// Everything that did not come over as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Damaged, and left where it is; what is beside it came over.
    pub set_aside: Vec<Finding>,
    /// Sound, but of a kind that has no place on the other side.
    pub not_taken: Vec<Finding>,
    /// Came over, but not as it was said.
    pub changed: Vec<Finding>,
}

impl Findings {
    pub(super) fn set_aside(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.set_aside.push(Finding { place: place.into(), why: why.into() });
    }

    pub(super) fn not_taken(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.not_taken.push(Finding { place: place.into(), why: why.into() });
    }

    pub(super) fn changed(&mut self, place: impl Into<String>, why: impl Into<String>) {
        self.changed.push(Finding { place: place.into(), why: why.into() });
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.set_aside.append(&mut other.set_aside);
        self.not_taken.append(&mut other.not_taken);
        self.changed.append(&mut other.changed);
    }

    /// Whether everything came over as it stood.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The beginning of a text of somebody else's, for a message.
pub(super) fn shown(text: &str) -> String {
    let start: String = text.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if start.len() < text.len() { format!("{start}...") } else { start }
}
