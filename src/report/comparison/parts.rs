//! A comparison in parts: values that are means over other texts, or over other tokens, are not compared with each other.
//!
//! A loss of 5 nats a token under one vocabulary and 6 under a larger one say nothing about which model knows more. So a
//! sweep over the corpus or the tokenizer is shown apart for each of their values, and compared within. What has the same
//! unit for every tokenizer, `valid/bits_per_character`, is compared throughout.

use super::{floors, keys};
use crate::analysis::{Comparison, without_unrecorded};
use crate::plan::Plan;
use crate::types::MetricName;
use crate::types::metrics::{self, Basis};

/// A part of a comparison, within which values can be compared.
#[derive(Debug)]
pub struct Part {
    /// What its runs share: `vocab_size=4000`; empty where the comparison has one part.
    pub name: String,
    pub comparison: Comparison,
}

/// The comparison cut along the axes across which its metric cannot be compared, in the order of their values. Cells that do
/// not record the metric are in no part.
pub fn parts(comparison: Comparison) -> Vec<Part> {
    let comparison = without_unrecorded(comparison);
    let is_apart = |axis: &&crate::analysis::Axis| {
        let is_cut = |basis| !metrics::is_comparable_across(comparison.metric.as_str(), basis);
        axis.basis.is_some_and(is_cut)
    };
    let apart = comparison.axes.iter().filter(is_apart).cloned().collect::<Vec<_>>();
    let Some(reason) = reason(&comparison.metric, apart.iter().filter_map(|axis| Some((&*axis.name, axis.basis?))))
    else {
        return vec![Part { name: String::new(), comparison }];
    };
    let combinations = apart.iter().fold(vec![Vec::new()], |combinations: Vec<Vec<(String, String)>>, axis| {
        let with = |values: &Vec<(String, String)>, value: &String| {
            values.iter().cloned().chain([(axis.name.clone(), value.clone())]).collect::<Vec<_>>()
        };
        combinations.iter().flat_map(|values| axis.values.iter().map(move |value| with(values, value))).collect()
    });
    let part = |values: Vec<(String, String)>| {
        let is_in = |run: &crate::analysis::RunData| values.iter().all(|(axis, value)| run.axis(axis) == Some(value));
        let is_kept = |axis: &str| !values.iter().any(|(name, _)| name == axis);
        let mut part = comparison.clone();
        part.runs.retain(is_in);
        part.runs.iter_mut().for_each(|run| run.axes.retain(|(axis, _)| is_kept(axis)));
        part.axes.retain(|axis| is_kept(&axis.name));
        if let Some(baseline) = &mut part.baseline {
            baseline.retain(|(axis, _)| is_kept(axis));
        }
        part.floors = floors(&part.runs);
        let name = values.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join(" ");
        part.cautions.push(format!("Only the runs with {name}. {reason}"));
        Part { name, comparison: part }
    };
    combinations.into_iter().map(part).filter(|part| !part.comparison.runs.is_empty()).collect()
}

/// What a plan has to say about it before the first run: its metric cannot be compared across one of its axes.
pub fn forewarning(plan: &Plan, metric: &MetricName) -> Option<String> {
    let axes = plan.axes.iter().filter(|axis| axis.values.len() > 1);
    reason(metric, axes.filter_map(|axis| Some((&*axis.label, keys::basis(axis.key)?))))
}

fn reason<'a>(metric: &MetricName, axes: impl Iterator<Item = (&'a str, Basis)>) -> Option<String> {
    let apart = axes.filter(|(_, basis)| !metrics::is_comparable_across(metric.as_str(), *basis)).collect::<Vec<_>>();
    let names = apart.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    let basis = apart.iter().map(|(_, basis)| *basis).max()?;
    let what = match basis {
        Basis::Tokens => "other tokens",
        Basis::Texts => "other texts",
        Basis::Examples => "other examples",
    };
    let mut text = format!(
        "`{metric}` is a mean over {what} for each value of {names}: values are compared within each, and not across."
    );
    let by_character = &metrics::BITS_PER_CHARACTER;
    let is_of_tokens = *metric == metrics::VALID_MLM_LOSS || *metric == metrics::MLM_LOSS_MASK;
    if basis == Basis::Tokens && is_of_tokens {
        text += &format!(" `{}` has the same unit for all of them.", by_character.name());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{fixture, summarize};

    #[test]
    fn other_tokens_are_shown_apart() {
        let mut comparison = fixture::sweep();
        assert_eq!(parts(comparison.clone()).len(), 1);
        comparison.axes[0].basis = Some(Basis::Tokens);
        let found = parts(comparison.clone());
        assert_eq!(found.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["size=tiny", "size=mini"]);
        for Part { comparison: part, .. } in &found {
            let summary = summarize(part);
            assert_eq!((part.axes.len(), part.runs.len(), summary.cells.len()), (2, 12, 4));
            assert!(part.runs.iter().all(|run| run.axes.len() == 2));
            assert_eq!(part.baseline.as_ref().unwrap().len(), 2);
        }
        let raw = |comparison: &Comparison| comparison.runs.iter().map(|run| run.id.clone()).collect::<Vec<_>>();
        let together = found.iter().flat_map(|part| raw(&part.comparison)).collect::<Vec<_>>();
        assert_eq!(together, raw(&comparison), "every run is in one part");
        insta::assert_snapshot!(found[0].comparison.cautions.join("\n"), @"Only the runs with size=tiny. `valid/mlm_loss` is a mean over other tokens for each value of `size`: values are compared within each, and not across. `valid/bits_per_character` has the same unit for all of them.");
        comparison.metric = metrics::BITS_PER_CHARACTER.metric_name();
        assert_eq!(parts(comparison.clone()).len(), 1);
        comparison.axes[0].basis = Some(Basis::Texts);
        assert_eq!(parts(comparison).len(), 2);
    }
}
