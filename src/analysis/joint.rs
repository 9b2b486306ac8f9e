//! Joint axes: settings that only ever change together are one axis, because no run can tell which of them is at work.
//!
//! A sweep that zips an optimizer with the rate that it learns well at has two keys and one contrast. The axis is called by
//! both names, `optimizer+lr`, and its values are theirs with a space, `muon 0.008`; [`settings`](super::settings) takes them
//! apart again.

use super::comparison::{Axis, AxisKind, Comparison};
use super::settings::{OF_NAMES, OF_VALUES};

impl Axis {
    /// The settings that it stands for, each with a name: one, unless it is a joint axis.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.name.split(OF_NAMES)
    }

    /// Whether somebody who says `name` means this axis.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.settings().any(|part| part == name)
    }
}

/// Makes one axis of each group of names. A group stays apart where a run lacks one of its axes, where its values are more
/// than a list, or where their spelling is no single word.
pub fn join_axes(comparison: &mut Comparison, groups: &[Vec<String>]) {
    for group in groups {
        let Some(joint) = joint_axis(comparison, group) else { continue };
        let join = |pairs: &mut Vec<(String, String)>| {
            let Some(value) = joint_value(pairs, group) else { return };
            let Some(place) = pairs.iter().position(|(name, _)| group.contains(name)) else { return };
            pairs[place] = (joint.name.clone(), value);
            pairs.retain(|(name, _)| !group.contains(name));
        };
        comparison.runs.iter_mut().for_each(|run| join(&mut run.axes));
        comparison.baseline.iter_mut().for_each(join);
        let Some(place) = comparison.axes.iter().position(|axis| group.contains(&axis.name)) else { continue };
        comparison.axes[place] = joint;
        comparison.axes.retain(|axis| !group.contains(&axis.name));
    }
}

fn joint_value(pairs: &[(String, String)], group: &[String]) -> Option<String> {
    let value = |name: &String| pairs.iter().find(|(axis, _)| axis == name).map(|(_, value)| value.as_str());
    let values = group.iter().map(value).collect::<Option<Vec<_>>>()?;
    Some(values.join(&OF_VALUES.to_string()))
}

fn joint_axis(comparison: &Comparison, group: &[String]) -> Option<Axis> {
    let axes = group.iter().map(|name| comparison.axis(name)).collect::<Option<Vec<_>>>()?;
    let is_word = |text: &String| !text.is_empty() && !text.contains([OF_NAMES, OF_VALUES]);
    if axes.len() < 2 || !axes.iter().all(|axis| is_word(&axis.name) && axis.values.iter().all(is_word)) {
        return None;
    }
    let found = comparison.runs.iter().map(|run| joint_value(&run.axes, group)).collect::<Option<Vec<_>>>()?;
    let place = |value: &String| {
        let its = value.split(OF_VALUES).zip(&axes);
        its.map(|(part, axis)| axis.values.iter().position(|known| known == part)).collect::<Vec<_>>()
    };
    let mut values = found;
    values.sort_by_cached_key(place);
    values.dedup();
    let is_ordered = axes.iter().any(|axis| axis.kind == AxisKind::Ordered);
    (values.len() <= Axis::LIST).then(|| Axis {
        name: group.join(&OF_NAMES.to_string()),
        values,
        kind: if is_ordered { AxisKind::Ordered } else { AxisKind::Category },
        also: axes.iter().flat_map(|axis| axis.also.clone()).collect(),
        redraws_luck: axes.iter().any(|axis| axis.redraws_luck),
        basis: axes.iter().filter_map(|axis| axis.basis).max(),
    })
}

/// The groups of axes, among those of these names, that every run has and whose values only change together.
pub fn changing_together(comparison: &Comparison, names: &[String]) -> Vec<Vec<String>> {
    let partition = |name: &String| {
        let values = comparison.runs.iter().map(|run| run.axis(name)).collect::<Option<Vec<_>>>()?;
        let first = |value: &&str| values.iter().position(|other| other == value);
        Some(values.iter().map(first).collect::<Vec<_>>())
    };
    let mut groups = Vec::<(Vec<Option<usize>>, Vec<String>)>::new();
    for name in names {
        let Some(partition) = partition(name) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == partition) {
            Some((_, group)) => group.push(name.clone()),
            None => groups.push((partition, vec![name.clone()])),
        }
    }
    groups.into_iter().map(|(_, group)| group).filter(|group| group.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Effect, fixture, importance, marginal_effects, summarize};

    /// A preset, and an optimizer with a rate of its own.
    fn zipped() -> Comparison {
        let axes = vec![
            fixture::axis("preset", &["nano", "micro"], AxisKind::Ordered),
            fixture::axis("optimizer", &["adamw", "muon"], AxisKind::Category),
            fixture::axis("lr", &["0.002", "0.008"], AxisKind::Numeric),
        ];
        let mut comparison = fixture::sweep_over("zipped", axes, 3);
        comparison.runs.retain(|run| (run.axis("optimizer") == Some("muon")) == (run.axis("lr") == Some("0.008")));
        fixture::fill(&mut comparison, |run| {
            let muon = if run.axis("optimizer") == Some("muon") { 0.5 } else { 0.0 };
            5.0 - muon + 0.01 * run.seed.0 as f64 * (1.0 + muon)
        });
        comparison
    }

    #[test]
    fn what_changes_together_is_one_axis_with_one_contrast() {
        let mut comparison = zipped();
        let names = comparison.axes.iter().map(|axis| axis.name.clone()).collect::<Vec<_>>();
        let groups = changing_together(&comparison, &names);
        assert_eq!(groups, [["optimizer", "lr"]]);
        join_axes(&mut comparison, &groups);
        let effects = marginal_effects(&comparison);
        let parts = importance(&comparison).unwrap().parts.into_iter().map(|part| part.name).collect::<Vec<_>>();
        let cells = comparison.cells().iter().map(|cell| cell.key.to_string()).collect::<Vec<_>>();
        let text = [
            effects.iter().map(Effect::sentence).collect::<Vec<_>>().join("\n"),
            effects.iter().map(Effect::name).collect::<Vec<_>>().join("\n"),
            parts.join(", "),
            cells.join("; "),
            summarize(&comparison).statement(),
        ];
        insta::assert_snapshot!(text.join("\n"), @r"
        preset micro instead of nano: +0.000, inconclusive.
        optimizer=muon lr=0.008 instead of optimizer=adamw lr=0.002: −0.490 ± 0.012, better.
        preset: micro − nano
        optimizer=muon lr=0.008 − optimizer=adamw lr=0.002
        preset, optimizer+lr, preset × optimizer+lr, noise
        preset=nano optimizer=adamw lr=0.002; preset=nano optimizer=muon lr=0.008; preset=micro optimizer=adamw lr=0.002; preset=micro optimizer=muon lr=0.008
        preset=nano optimizer=muon lr=0.008 best: valid/mlm_loss 4.530 ± 0.037 (n=3), 0.000 below preset=micro. These runs cannot tell it from preset=micro (5 % over the whole report).
        ");
        assert!(comparison.axes[1].is_called("lr") && comparison.axis("lr").is_none());
        assert_eq!(comparison.baseline.unwrap()[1], ("optimizer+lr".to_owned(), "adamw 0.002".to_owned()));
    }

    #[test]
    fn what_some_runs_lack_or_no_list_holds_stays_apart() {
        let mut conditional = zipped();
        conditional.runs[0].axes.truncate(2);
        let names = ["optimizer", "lr"].map(str::to_owned).to_vec();
        assert_eq!(changing_together(&conditional, &names), [[""; 0]; 0]);
        join_axes(&mut conditional, &[names]);
        assert_eq!(conditional.axes.len(), 3);
        let mut drawn = fixture::drawn(20);
        join_axes(&mut drawn, &[["lr", "dropout"].map(str::to_owned).to_vec()]);
        assert_eq!(drawn.axes.len(), 3);
    }
}
