//! What a reader has to know before any result: that nothing was learned, or that the judge was also the teacher.

use super::comparison::{Cell, Comparison, Floor};
use super::means::Means;

/// Sentences to be read first; none for a comparison without such faults.
pub fn cautions(comparison: &Comparison) -> Vec<String> {
    let mut said = comparison.cautions.clone();
    if comparison.metric.as_str().starts_with("test/") {
        said.push(format!(
            "Cells are chosen by {}, which is measured on the test data: the best one looks better than it is. Choose by a \
             metric of the held-out part, and read the test data once.",
            comparison.metric
        ));
    }
    let means = Means::of(comparison);
    let cells = comparison.cells();
    let found = cells.iter().filter_map(|cell| Some((cell, means.of_cell(&cell.key)?.mean))).collect::<Vec<_>>();
    said.extend(comparison.floors_of(&comparison.metric).filter_map(|floor| below(comparison, floor, &found)));
    said
}

fn below(comparison: &Comparison, floor: &Floor, found: &[(&Cell<'_>, f64)]) -> Option<String> {
    let is_passed = |floor: &Floor, (cell, mean): &(&Cell<'_>, f64)| {
        floor.is_passed_by(*mean, cell.runs.iter().copied(), comparison.goal)
    };
    let worse = found.iter().filter(|cell| !is_passed(floor, cell)).count();
    let (label, value) = (&floor.label, floor.in_words());
    // A lower floor that cells have left behind: something was learned.
    let lower = |all: bool| {
        comparison.floors_of(&comparison.metric).find(|floor| match all {
            true => found.iter().all(|cell| is_passed(floor, cell)),
            false => found.iter().any(|cell| is_passed(floor, cell)),
        })
    };
    let nothing = format!("No cell is better than {label} ({value}), which costs no learning");
    match worse {
        0 => None,
        _ if worse < found.len() => Some(format!(
            "{worse} of {} cells are no better than {label} ({value}), which costs no learning{}.",
            found.len(),
            if floor.is_one() { "" } else { "; each is held against its own" }
        )),
        _ => Some(match (lower(true), lower(false)) {
            (Some(passed), _) => format!("{nothing}, though all are better than {}.", passed.label),
            (None, Some(passed)) => format!("{nothing}, though some are better than {}.", passed.label),
            (None, None) => format!("{nothing}: differences are between failures."),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn what_lies_between_two_floors_is_no_failure() {
        let mut comparison = fixture::sweep();
        let mut strict = comparison.floors[0].clone();
        (strict.label, strict.value) = ("two neighbours".to_owned(), 4.0);
        comparison.floors.push(strict);
        insta::assert_snapshot!(cautions(&comparison).join("\n"), @"No cell is better than two neighbours (4.0000), which costs no learning, though all are better than unigram entropy.");
    }

    #[test]
    fn floors_and_test_data_are_told_first() {
        let mut comparison = fixture::sweep();
        assert!(cautions(&comparison).is_empty());
        comparison.floors[0].value = 4.8;
        let mut some = cautions(&comparison);
        // The held-out sample explains what is better by less.
        comparison.floors[0].error = Some(0.08);
        some.extend(cautions(&comparison));
        comparison.floors[0].error = None;
        comparison.floors[0].value = 4.0;
        comparison.runs.iter_mut().for_each(|run| {
            let points = run.series[&comparison.metric].clone();
            run.series.insert(fixture::metric("test/loss"), points);
        });
        comparison.metric = fixture::metric("test/loss");
        comparison.floors[0].metric = fixture::metric("test/loss");
        insta::assert_snapshot!([some, cautions(&comparison)].concat().join("\n"), @"
        4 of 8 cells are no better than unigram entropy (4.8000), which costs no learning.
        6 of 8 cells are no better than unigram entropy (4.800 ± 0.080), which costs no learning.
        Cells are chosen by test/loss, which is measured on the test data: the best one looks better than it is. Choose by a metric of the held-out part, and read the test data once.
        No cell is better than unigram entropy (4.0000), which costs no learning: differences are between failures.
        ");
    }
}
