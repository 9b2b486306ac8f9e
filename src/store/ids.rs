//! Names of runs: fresh ones, and those that a person types, which may be any unique prefix.

use super::error::StoreError;
use crate::suggest;
use crate::types::RunId;

/// How many ids an error message lists before it counts the rest.
const LISTED: usize = 8;

/// An id that no run has yet, as far as 40 random bits go; the caller tries again when it is taken.
#[expect(clippy::disallowed_methods, reason = "run ids are the one thing that must differ between two executions")]
pub(super) fn fresh() -> Result<RunId, getrandom::Error> {
    let mut bytes = [0; 5];
    getrandom::fill(&mut bytes)?;
    Ok(RunId::from_random_bytes(bytes))
}

/// The one id in `ids`, which are sorted, that begins with `prefix` (in either case).
pub(super) fn by_prefix(ids: &[RunId], prefix: &str) -> Result<RunId, StoreError> {
    let wanted = prefix.to_ascii_lowercase();
    let start = ids.partition_point(|id| id.as_str() < wanted.as_str());
    let count = match wanted.is_empty() {
        true => 0,
        false => ids[start..].iter().take_while(|id| id.as_str().starts_with(&wanted)).count(),
    };
    match &ids[start..start + count] {
        [] => Err(StoreError::UnknownRun { asked: prefix.to_owned(), nearest: nearest(ids, &wanted) }),
        [id] => Ok(id.clone()),
        many => {
            let candidates = many[..count.min(LISTED)].to_vec();
            Err(StoreError::AmbiguousRun { prefix: prefix.to_owned(), candidates, count })
        }
    }
}

/// The number of the first characters of `id` that no other id begins with, by its neighbours among all in their order: what a
/// table shows in bold.
pub fn shortest_unique_prefix<'n>(id: &RunId, neighbours: impl IntoIterator<Item = &'n str>) -> usize {
    let shared = |other: &str| id.as_str().bytes().zip(other.bytes()).take_while(|(x, y)| x == y).count();
    neighbours.into_iter().map(shared).max().map_or(1, |shared| shared + 1)
}

/// Up to three ids whose beginning is at most two typing errors away from `typed`.
fn nearest(ids: &[RunId], typed: &str) -> Vec<RunId> {
    let distance = |id: &RunId| {
        let length = typed.chars().count().clamp(1, RunId::LEN);
        suggest::distance(&id.as_str()[..length], typed)
    };
    let tolerated = typed.chars().count().saturating_sub(1).min(2);
    let mut close = ids.iter().map(|id| (distance(id), id)).filter(|(d, _)| *d <= tolerated).collect::<Vec<_>>();
    close.sort();
    close.into_iter().take(3).map(|(_, id)| id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ids that often share their beginnings.
    fn any_ids() -> impl Strategy<Value = Vec<RunId>> {
        let id = prop::collection::vec(prop::sample::select(vec!['a', 'b', '7']), RunId::LEN)
            .prop_map(|digits| digits.into_iter().collect::<String>().parse::<RunId>().unwrap());
        prop::collection::btree_set(id, 0..20).prop_map(|ids| ids.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_prefix_finds_what_a_scan_finds(ids in any_ids(), prefix in "[ab7]{1,9}") {
            let matching = ids.iter().filter(|id| id.as_str().starts_with(&prefix)).cloned().collect::<Vec<_>>();
            match by_prefix(&ids, &prefix) {
                Ok(id) => prop_assert_eq!(vec![id], matching),
                Err(StoreError::UnknownRun { .. }) => prop_assert!(matching.is_empty()),
                Err(StoreError::AmbiguousRun { candidates, count, .. }) => {
                    prop_assert!(count >= 2);
                    prop_assert_eq!(count, matching.len());
                    prop_assert_eq!(&candidates[..], &matching[..matching.len().min(LISTED)]);
                }
                Err(other) => prop_assert!(false, "{}", other),
            }
        }

        #[test]
        fn a_shortest_prefix_is_unique_and_shortest(ids in any_ids()) {
            for (at, id) in ids.iter().enumerate() {
                let before = at.checked_sub(1).map(|before| ids[before].as_str());
                let length = shortest_unique_prefix(id, before.into_iter().chain(ids.get(at + 1).map(RunId::as_str)));
                prop_assert_eq!(by_prefix(&ids, &id.as_str()[..length]).unwrap(), id.clone());
                if length > 1 {
                    prop_assert!(by_prefix(&ids, &id.as_str()[..length - 1]).is_err());
                }
            }
        }
    }

    fn check_error(typed: &str, expected: &str) {
        let mut ids = ["7h2kq9xw", "a0000000", "a0000001", "zzzzzzzz"].map(|id| id.parse().unwrap()).to_vec();
        ids.extend((0..9).map(|i| format!("bb00000{i}").parse::<RunId>().unwrap()));
        ids.sort();
        assert_eq!(by_prefix(&ids, typed).unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_say_what_could_have_been_meant() {
        check_error("7k2", "no run is called `7k2`; did you mean `7h2kq9xw`?");
        check_error("h7", "no run is called `h7`; did you mean `7h2kq9xw`?");
        check_error("mmmm", "no run is called `mmmm`; `ablate list` shows all runs");
        check_error("한글", "no run is called `한글`; `ablate list` shows all runs");
        check_error("", "no run is called ``; `ablate list` shows all runs");
        check_error("a", "`a` begins 2 run ids: `a0000000`, `a0000001`; type one more character");
        let ids = (0..8).map(|i| format!("`bb00000{i}`")).collect::<Vec<_>>().join(", ");
        check_error("BB", &format!("`BB` begins 9 run ids: {ids} and 1 more; type one more character"));
    }

    #[test]
    fn fresh_ids_differ() {
        assert_ne!(fresh().unwrap(), fresh().unwrap());
    }
}
