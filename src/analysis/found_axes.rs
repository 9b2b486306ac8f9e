//! Axes for runs that no file declares together: what differs between their settings.
//!
//! A setting is an axis where it has more than one value among the runs. Settings that always change together are one
//! axis: no run can tell which of them is at work. What somebody swept is an axis of its own at first, for drawn values all
//! change together; `joint` has the rest of that. Runs that share the values of all axes are one cell.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{Axis, AxisKind};

/// An axis that was found, with its value in every run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundAxis {
    /// The settings that change together, what was swept first and then in the order of the settings; the first one names
    /// the axis.
    pub keys: Vec<String>,
    /// The value of the first setting in each run; absent where the run does not have the setting.
    pub values: Vec<Option<String>>,
}

/// The axes of runs with these settings, each a list of key and value, of which some were `swept`; axes are in the order of
/// `keys`.
pub fn find_axes(keys: &[String], swept: &BTreeSet<String>, runs: &[BTreeMap<String, String>]) -> Vec<FoundAxis> {
    let mut axes = Vec::<FoundAxis>::new();
    let mut by_classes = BTreeMap::<Vec<usize>, usize>::new();
    let (first, second) = keys.iter().partition::<Vec<_>, _>(|key| swept.contains(*key));
    for key in first.into_iter().chain(second) {
        let values = runs.iter().map(|run| run.get(key).cloned()).collect::<Vec<_>>();
        let classes = classes(&values);
        if classes.iter().all(|&class| class == 0) {
            continue;
        }
        let place = *by_classes.entry(classes).or_insert(axes.len());
        match axes.get_mut(place).filter(|_| !swept.contains(key)) {
            Some(axis) => axis.keys.push(key.clone()),
            None => axes.push(FoundAxis { keys: vec![key.clone()], values }),
        }
    }
    axes.sort_by_key(|axis| axis.keys.iter().filter_map(|key| keys.iter().position(|k| k == key)).min());
    axes
}

/// Each value as the number of the first run that has it among the different values: equal lists change together.
fn classes(values: &[Option<String>]) -> Vec<usize> {
    let mut seen = BTreeMap::new();
    values
        .iter()
        .map(|value| {
            let next = seen.len();
            *seen.entry(value).or_insert(next)
        })
        .collect()
}

impl FoundAxis {
    /// The axis under these names for its settings, numbers in their order and words in that of the alphabet.
    pub fn named(&self, names: &[String]) -> Axis {
        let mut values = self.values.iter().flatten().cloned().collect::<Vec<_>>();
        values.sort();
        values.dedup();
        let numbers = values.iter().map(|value| value.parse::<f64>().ok()).collect::<Option<Vec<_>>>();
        let kind = if numbers.is_some() { AxisKind::Numeric } else { AxisKind::Category };
        let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
        if kind == AxisKind::Numeric {
            values.sort_by(|a, b| number(a).total_cmp(&number(b)));
        }
        let (name, also) =
            names.split_first().map_or((String::new(), Vec::new()), |(n, rest)| (n.clone(), rest.to_vec()));
        Axis { name, values, kind, also, redraws_luck: true, basis: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(text: &str) -> BTreeMap<String, String> {
        text.split_whitespace()
            .filter_map(|leaf| leaf.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn keys(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_differs_is_an_axis_and_what_changes_together_is_one() {
        let runs = [
            "size=10 inner=40 mask=0.3 nsp=off",
            "size=20 inner=80 mask=0.3 nsp=off",
            "size=20 inner=80 mask=0.3 nsp=swap pairs=2",
        ];
        let axes = find_axes(&keys("size inner mask nsp pairs"), &BTreeSet::new(), &runs.map(run));
        let shown = axes.iter().map(|axis| format!("{} {:?}", axis.keys.join("+"), axis.named(&axis.keys).values));
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
        size+inner ["10", "20"]
        nsp+pairs ["off", "swap"]
        "#);
        assert_eq!(find_axes(&keys("size mask"), &BTreeSet::new(), &[run("size=1 mask=2"), run("size=1 mask=2")]), []);
    }

    #[test]
    fn what_was_swept_is_an_axis_of_its_own() {
        let runs = ["inner=40 size=10 lr=1", "inner=80 size=20 lr=2"].map(run);
        let swept = BTreeSet::from(["size", "lr"].map(str::to_owned));
        let axes = find_axes(&keys("inner size lr"), &swept, &runs);
        let found = axes.iter().map(|axis| axis.keys.join("+")).collect::<Vec<_>>();
        assert_eq!(found, ["size+inner", "lr"]);
    }

    #[test]
    fn numbers_are_in_their_order() {
        let axis = find_axes(&keys("lr"), &BTreeSet::new(), &["lr=10", "lr=9", "lr=1e-3"].map(run))
            .remove(0)
            .named(&keys("lr"));
        assert_eq!((axis.values, axis.kind), (keys("1e-3 9 10"), AxisKind::Numeric));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Two runs are in one cell of the found axes exactly where all their settings agree.
        #[test]
        fn cells_are_runs_with_equal_settings(raw in prop::collection::vec(prop::collection::vec(0u8..3, 4), 1..8)) {
            let names = keys("a b c d");
            let run = |values: &Vec<u8>| {
                let some = names.iter().zip(values).filter(|(_, value)| **value > 0);
                some.map(|(name, value)| (name.clone(), value.to_string())).collect::<BTreeMap<_, _>>()
            };
            let runs = raw.iter().map(run).collect::<Vec<_>>();
            let axes = find_axes(&names, &BTreeSet::new(), &runs);
            for (i, j) in (0..runs.len()).flat_map(|i| (0..runs.len()).map(move |j| (i, j))) {
                let same_cell = axes.iter().all(|axis| axis.values[i] == axis.values[j]);
                prop_assert_eq!(same_cell, runs[i] == runs[j]);
            }
            let listed = axes.iter().map(|axis| axis.keys.len()).sum::<usize>();
            let differing = names.iter().filter(|name| runs.iter().any(|run| run.get(*name) != runs[0].get(*name)));
            prop_assert_eq!(listed, differing.count());
        }
    }
}
