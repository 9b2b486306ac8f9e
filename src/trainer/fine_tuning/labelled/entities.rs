//! Entities from tags, strictly by IOB2: an entity begins with `B-X` and continues with `I-X` of the same type; an `I-X` that
//! follows neither is no part of any. This is `seqeval` in its mode `strict` with the scheme `IOB2` (Nakayama 2018).

use std::ops::Range;

use super::tagged::kind;

/// An entity of a text: its places and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entity<'t> {
    pub start: usize,
    pub end: usize,
    pub kind: &'t str,
}

impl Entity<'_> {
    /// The places of its tags.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// The entities of a text, in its order.
pub fn entities<'t>(tags: &[&'t str]) -> Vec<Entity<'t>> {
    let mut entities: Vec<Entity<'t>> = Vec::new();
    let mut is_open = false;
    for (place, tag) in tags.iter().enumerate() {
        match kind(tag) {
            Some(kind) if tag.starts_with("B-") => {
                entities.push(Entity { start: place, end: place + 1, kind });
                is_open = true;
            }
            Some(kind) if is_open && entities.last().is_some_and(|entity| entity.kind == kind) => {
                if let Some(entity) = entities.last_mut() {
                    entity.end = place + 1;
                }
            }
            _ => is_open = false,
        }
    }
    entities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tags: &str) -> Vec<(usize, usize, String)> {
        let tags: Vec<&str> = tags.split(' ').collect();
        entities(&tags).into_iter().map(|entity| (entity.start, entity.end, entity.kind.to_owned())).collect()
    }

    #[test]
    fn entities_begin_with_b_and_go_on_with_their_own_i() {
        let of = |start, end, kind: &str| (start, end, kind.to_owned());
        assert_eq!(found("B-PS I-PS O B-OG"), [of(0, 2, "PS"), of(3, 4, "OG")]);
        assert_eq!(found("B-PS B-PS I-PS"), [of(0, 1, "PS"), of(1, 3, "PS")]);
        assert_eq!(found("O I-PS I-PS"), []);
        assert_eq!(found("B-PS I-OG I-PS"), [of(0, 1, "PS")]);
        assert_eq!(found("B-PS O I-PS"), [of(0, 1, "PS")]);
    }
}
