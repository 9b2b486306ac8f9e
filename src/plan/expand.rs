//! The sweep algebra: an experiment's axes to the points of its sweep, in a fixed order.
//!
//! Expansion is a pipeline: it begins with one point that fixes nothing, and each stage maps all points so far to new
//! ones. `[sweep.grid]` is the first stage and, so far, the only one; a further stage (pairs, conditions, exclusions,
//! added rows) is a function of the same shape and a line in [`STAGES`]. Replicates come after all stages and are no axis.

use crate::experiment::{Axis, Experiment, Setting};

/// One cell's values: for each axis in force there, the axis and one of its values, in the order of the axes.
pub type Point<'e> = Vec<(&'e Axis, &'e Setting)>;

type Stage = for<'e> fn(&'e Experiment, Vec<Point<'e>>) -> Vec<Point<'e>>;

const STAGES: &[Stage] = &[grid];

/// The points of the sweep; one point without axes when nothing is swept.
pub fn expand(experiment: &Experiment) -> Vec<Point<'_>> {
    STAGES.iter().fold(vec![Vec::new()], |points, stage| stage(experiment, points))
}

/// How many points the grid has, or nothing when the number is beyond counting.
pub fn grid_size(experiment: &Experiment) -> Option<usize> {
    experiment.axes.iter().try_fold(1usize, |size, axis| size.checked_mul(axis.values.len()))
}

/// The cartesian product with all axes: the first axis varies slowest, values in the order of the file.
fn grid<'e>(experiment: &'e Experiment, points: Vec<Point<'e>>) -> Vec<Point<'e>> {
    experiment.axes.iter().fold(points, |points, axis| {
        let with_each_value =
            |point: &Point<'e>| axis.values.iter().map(|value| with(point, axis, value)).collect::<Vec<_>>();
        points.iter().flat_map(with_each_value).collect()
    })
}

fn with<'e>(point: &Point<'e>, axis: &'e Axis, value: &'e Setting) -> Point<'e> {
    let mut point = point.clone();
    point.push((axis, value));
    point
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::experiment;

    const KEYS: [(&str, &str); 4] = [
        ("objective.mask_ratio", "0.{}"),
        ("train.batch_size", "{}"),
        ("tokenizer.vocab_size", "10{}"),
        ("train.eval_every", "{}"),
    ];

    fn file(lengths: &[usize], order: &[usize]) -> String {
        let axes: String = order
            .iter()
            .map(|&i| {
                let values: Vec<String> = (1..=lengths[i]).map(|v| KEYS[i].1.replace("{}", &v.to_string())).collect();
                format!("\"{}\" = [{}]\n", KEYS[i].0, values.join(", "))
            })
            .collect();
        format!("[experiment]\nname = \"x\"\n[data]\ncorpus = \"demo\"\n[sweep.grid]\n{axes}")
    }

    fn points(text: &str) -> Vec<Vec<(String, String)>> {
        let draft = experiment::read(text, "x.toml", &[]).expect("TOML");
        assert!(draft.diagnostics.is_empty(), "{:?}", draft.diagnostics);
        let shown = |point: Point<'_>| {
            point.iter().map(|(axis, setting)| (axis.key.name.to_owned(), setting.value.to_string())).collect()
        };
        let expanded = expand(&draft.experiment);
        assert_eq!(grid_size(&draft.experiment), Some(expanded.len()));
        expanded.into_iter().map(shown).collect()
    }

    proptest! {
        #[test]
        fn the_grid_is_the_product_in_any_order_of_the_file(
            lengths in prop::collection::vec(1usize..5, 4),
            order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
            used in 0usize..=4,
        ) {
            let order = &order[..used];
            let expanded = points(&file(&lengths, order));
            let count: usize = order.iter().map(|&i| lengths[i]).product();
            prop_assert_eq!(expanded.len(), count);
            let mut sorted: Vec<usize> = order.to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(&expanded, &points(&file(&lengths, &sorted)));
            // Brute force: count an odometer of all four axes up, in the order of the key table.
            let in_table = [2, 0, 1, 3].into_iter().filter(|i| order.contains(i)).collect::<Vec<_>>();
            for (n, point) in expanded.iter().enumerate() {
                let mut rest = n;
                for (position, &i) in in_table.iter().enumerate().rev() {
                    let value = rest % lengths[i] + 1;
                    rest /= lengths[i];
                    let text = KEYS[i].1.replace("{}", &value.to_string());
                    prop_assert_eq!(&point[position], &(KEYS[i].0.to_owned(), text));
                }
            }
        }
    }
}
