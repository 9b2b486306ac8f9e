//! A metric that only some cells record: the others are compared, and what is left out is said.
//!
//! `valid/nsp_accuracy` of a sweep over `nsp` has no value where there are no pairs of sentences. Such a cell has finished,
//! and will never have one.

use std::collections::BTreeSet;

use super::comparison::{Cell, Comparison};

/// Cells that a sentence names.
const NAMED: usize = 3;

/// The comparison without the cells whose finished runs have not recorded its metric, with a caution that names them. Where
/// no cell has recorded it, nothing is left out.
pub fn without_unrecorded(comparison: Comparison) -> Comparison {
    let cells = comparison.cells();
    let is_recorded = |cell: &Cell<'_>| {
        cell.runs.iter().any(|run| run.series.get(&comparison.metric).is_some_and(|series| !series.is_empty()))
    };
    let is_lacking =
        |cell: &&Cell<'_>| !is_recorded(cell) && cell.runs.iter().any(|run| run.state == super::RunState::Finished);
    let lacking = cells.iter().filter(is_lacking).collect::<Vec<_>>();
    if lacking.is_empty() || !cells.iter().any(is_recorded) {
        return comparison;
    }
    // The values of one axis that go with it, where there are such: then no run of theirs will record it.
    let by_axis = comparison.axes.iter().find_map(|axis| {
        let value = |cell: &Cell<'_>| cell.key.value(&axis.name).map(str::to_owned);
        let values = lacking.iter().filter_map(|cell| value(cell)).collect::<BTreeSet<_>>();
        let is_one = |cell: &&Cell<'_>| value(cell).is_some_and(|value| values.contains(&value));
        (!cells.iter().filter(is_one).any(is_recorded)).then(|| (axis.name.clone(), values))
    });
    let keys = lacking.iter().map(|cell| cell.key.clone()).collect::<BTreeSet<_>>();
    let is_out = |cell: &&Cell<'_>| match &by_axis {
        Some((axis, values)) => cell.key.value(axis).is_some_and(|value| values.contains(value)),
        None => keys.contains(&cell.key),
    };
    let out = cells.iter().filter(is_out).map(|cell| cell.key.clone()).collect::<BTreeSet<_>>();
    let named = match &by_axis {
        Some((axis, values)) => values.iter().map(|value| format!("{axis}={value}")).collect::<Vec<_>>().join(", "),
        None => {
            let more = out.len().saturating_sub(NAMED);
            let named = out.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join("; ");
            if more > 0 { format!("{named} and {more} more") } else { named }
        }
    };
    let caution = format!(
        "`{}` is not recorded where {named}: {} of {} cells are left out, and the others compared.",
        comparison.metric,
        out.len(),
        cells.len()
    );
    let left = cells.into_iter().filter(|cell| !out.contains(&cell.key)).flat_map(|cell| cell.runs);
    let left = left.map(std::ptr::from_ref).collect::<BTreeSet<_>>();
    let is_left = comparison.runs.iter().map(|run| left.contains(&std::ptr::from_ref(run))).collect::<Vec<_>>();
    let mut comparison = comparison;
    let mut is_left = is_left.into_iter();
    comparison.runs.retain(|_| is_left.next() == Some(true));
    comparison.cautions.push(caution);
    drop_values(&mut comparison);
    comparison
}

/// Takes out the values that no run has any more, and axes of which one value is left.
fn drop_values(comparison: &mut Comparison) {
    let Comparison { axes, runs, baseline, .. } = comparison;
    for axis in axes.iter_mut() {
        axis.values.retain(|value| runs.iter().any(|run| run.axis(&axis.name) == Some(value)));
    }
    let has_baseline = |(name, value): &(String, String)| {
        axes.iter().all(|axis| axis.name != *name || axis.values.iter().any(|known| known == value))
    };
    if !baseline.iter().flatten().all(has_baseline) {
        *baseline = None;
    }
    axes.retain(|axis| axis.values.len() > 1);
    let is_axis = |name: &str| axes.iter().any(|axis| axis.name == name);
    runs.iter_mut().for_each(|run| run.axes.retain(|(name, _)| is_axis(name)));
    if let Some(baseline) = baseline {
        baseline.retain(|(name, _)| is_axis(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{fixture, marginal_effects, summarize};

    #[test]
    fn cells_that_do_not_record_a_metric_are_left_out_and_named() {
        let mut comparison = fixture::sweep();
        let accuracy = fixture::metric("valid/nsp_accuracy");
        let before = comparison.clone();
        comparison.metric = accuracy.clone();
        assert_eq!(without_unrecorded(comparison.clone()).runs.len(), 24, "nobody has it");
        for run in comparison.runs.iter_mut().filter(|run| run.axis("nsp") == Some("random")) {
            let points = run.series[&before.metric].clone();
            run.series.insert(accuracy.clone(), points);
        }
        let left = without_unrecorded(comparison.clone());
        insta::assert_snapshot!(left.cautions.join("\n"), @"`valid/nsp_accuracy` is not recorded where nsp=off: 4 of 8 cells are left out, and the others compared.");
        assert_eq!((left.runs.len(), left.cells().len(), left.axes.len()), (12, 4, 2));
        assert_eq!(left.baseline, None, "its cell does not record it");
        let summary = summarize(&left);
        assert_eq!(summary.ranking.len(), 4);
        assert_eq!(marginal_effects(&left).len(), 2);

        // No axis says which: one more cell lacks it.
        comparison.runs[0].series.insert(accuracy.clone(), before.runs[0].series[&before.metric].clone());
        for run in comparison.runs.iter_mut().filter(|run| run.axis("size") == Some("mini")) {
            run.series.remove(&accuracy);
        }
        let left = without_unrecorded(comparison);
        insta::assert_snapshot!(left.cautions.join("\n"), @"`valid/nsp_accuracy` is not recorded where size=mini mask_ratio=0.15 nsp=off; size=mini mask_ratio=0.15 nsp=random; size=mini mask_ratio=0.30 nsp=off and 2 more: 5 of 8 cells are left out, and the others compared.");
        assert_eq!(left.axes.len(), 2);
        let unchanged = without_unrecorded(before.clone());
        assert_eq!((unchanged.runs.len(), unchanged.cautions.len()), (before.runs.len(), 0));
    }
}
