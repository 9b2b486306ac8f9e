//! Paired seeds: runs that differ in one axis and share all else, luck included, joined by lines.

use std::collections::BTreeMap;

use super::curves::{extent, height_for};
use super::encoding::{empty_panel, metric_label};
use super::finals::quantity;
use super::parts::{dot, line};
use crate::analysis::statistics::mean;
use crate::analysis::{Axis, Comparison};
use crate::plot::figure::{Colour, Dash, Figure, Ink, LegendItem, Owner, Panel, PlotAxis, Sample, Stroke};
use crate::plot::ticks::{linear_axis, named_axis, signed};
use crate::types::Seed;

/// Fewer pairs are read off a table.
const LEAST_PAIRS: usize = 3;
/// More values are curves and not pairs.
const MOST_VALUES: usize = 5;
const MOST_PANELS: usize = 6;

/// The outcomes of one seed in one setting of the other axes, by place on the axis.
struct Pair {
    setting: Setting,
    values: Vec<f64>,
}

/// The values of the other axes.
type Setting = Vec<(String, String)>;
/// The outcomes of each seed, as far as they are there.
type Seeds = BTreeMap<Seed, Vec<Option<f64>>>;

/// One panel for each axis along which seeds are shared. Absent where there is none: luck is then drawn anew.
pub fn paired_seeds(comparison: &Comparison) -> Option<Figure> {
    let is_list = |axis: &&Axis| (2..=MOST_VALUES).contains(&axis.values.len()) && !axis.is_continuous();
    let paired = comparison.axes.iter().filter(is_list).map(|axis| (axis, pairs(comparison, axis)));
    let paired = paired.filter(|(_, pairs)| pairs.len() >= LEAST_PAIRS).take(MOST_PANELS).collect::<Vec<_>>();
    let (low, high) =
        extent(paired.iter().flat_map(|(_, pairs)| pairs.iter().flat_map(|pair| pair.values.iter().copied())))?;
    let pad = 0.06 * (high - low).max(1e-9);
    let unit = metric_label(&comparison.metric).split_once(" (").map_or(String::new(), |(_, unit)| format!(" ({unit}"));
    let mut y = linear_axis(format!("against the setting{unit}"), low - pad, high + pad, 5);
    for tick in &mut y.ticks {
        let decimals = tick.text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        tick.text = if tick.at.abs() < 1e-12 { "0".to_owned() } else { signed(tick.at, decimals) };
    }
    let panels = paired.iter().map(|(axis, pairs)| panel(comparison, axis, pairs, &y)).collect::<Vec<_>>();
    let columns = panels.len().min(3);
    Some(Figure {
        kind: "paired",
        legend: legend(),
        name: "paired-seeds".to_owned(),
        title: format!("{}: final {} of seeds that cells share", comparison.experiment, quantity(comparison)),
        subtitle: "Each line: one seed in one setting of the other axes.".to_owned(),
        caption: "Differences of the metric from the mean over all seeds and values of the setting. Lines \
                  of one seed in several settings may share its luck and are not independent; the effects count them by \
                  the design of the seeds."
            .to_owned(),
        height: if panels.len() <= columns { 240.0 } else { height_for(2) },
        columns,
        panels,
    })
}

fn legend() -> Vec<LegendItem> {
    let looks = [
        (Ink::Category(0), 1.2, "better at the last value than at the first"),
        (Ink::Category(1), 1.2, "worse"),
        (Ink::Text, 2.0, "mean over all lines"),
    ];
    let entry = |(ink, width, words): (Ink, f64, &str)| LegendItem::Entry {
        sample: Sample::Line(Stroke { colour: Colour::full(ink), width, dash: Dash::Solid }),
        text: words.to_owned(),
    };
    looks.map(entry).to_vec()
}

/// The seeds that finished at every value of `axis`, for each setting of the other axes, less the setting's mean.
fn pairs(comparison: &Comparison, axis: &Axis) -> Vec<Pair> {
    let mut settings = BTreeMap::<Setting, Seeds>::new();
    for run in &comparison.runs {
        let others = comparison.axes.iter().filter(|other| other.name != axis.name);
        let value = |other: &Axis| (other.name.clone(), run.axis(&other.name).unwrap_or_default().to_owned());
        let setting = others.map(value).collect();
        let place = axis.values.iter().position(|value| run.axis(&axis.name) == Some(value));
        if let (Some(place), Some(outcome)) = (place, run.outcome(&comparison.metric)) {
            let seeds = settings.entry(setting).or_default();
            seeds.entry(run.seed).or_insert_with(|| vec![None; axis.values.len()])[place].get_or_insert(outcome);
        }
    }
    let of_setting = |(setting, seeds): (Setting, Seeds)| {
        let whole = seeds.into_values().filter_map(|values| values.into_iter().collect::<Option<Vec<f64>>>());
        let whole = whole.collect::<Vec<_>>();
        let middle = mean(&whole.concat()).unwrap_or(0.0);
        let pair = move |values: Vec<f64>| Pair {
            setting: setting.clone(),
            values: values.into_iter().map(|value| value - middle).collect(),
        };
        whole.into_iter().map(pair)
    };
    settings.into_iter().flat_map(of_setting).collect()
}

fn panel(comparison: &Comparison, axis: &Axis, pairs: &[Pair], y: &PlotAxis) -> Panel {
    let is_better = |pair: &Pair| comparison.goal.prefers(pair.values[pair.values.len() - 1], pair.values[0]);
    let better = pairs.iter().filter(|pair| is_better(pair)).count();
    let title = format!("{}: {better} of {} better", axis.name, pairs.len());
    let mut x = named_axis(&axis.name, &axis.values);
    x.label.clear();
    let mut panel = empty_panel(title, x, y.clone());
    let points = |pair: &[f64]| pair.iter().enumerate().map(|(i, &value)| (i as f64, value)).collect::<Vec<_>>();
    for pair in pairs {
        let ink = if is_better(pair) { Ink::Category(0) } else { Ink::Category(1) };
        let since = panel.so_far();
        panel.marks.push(line(points(&pair.values), Colour::full(ink), 0.8, Dash::Solid));
        panel.marks.extend(points(&pair.values).into_iter().map(|at| dot(at, 1.7, ink, true)));
        if !pair.setting.is_empty() {
            panel.give(since, Owner::Settings(pair.setting.clone()));
        }
    }
    let means =
        (0..axis.values.len()).filter_map(|i| mean(&pairs.iter().map(|pair| pair.values[i]).collect::<Vec<_>>()));
    let means = means.collect::<Vec<_>>();
    panel.marks.push(line(points(&means), Colour::full(Ink::Text), 2.0, Dash::Solid));
    panel.marks.extend(points(&means).into_iter().map(|at| dot(at, 2.8, Ink::Text, true)));
    panel
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::figure::Mark;

    #[test]
    fn every_shared_seed_is_a_line() {
        let figure = paired_seeds(&fixture::sweep()).unwrap();
        // One of 24 runs failed: each axis has 12 pairs, and lost one.
        let titles = figure.panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>();
        assert!(titles[0].starts_with("size: 11 of 11") && titles[1].starts_with("mask_ratio: "), "{titles:?}");
        for panel in &figure.panels {
            let lines = panel.marks.iter().filter(|mark| matches!(mark, Mark::Line { .. })).count();
            assert_eq!(lines, 12, "eleven and the mean");
        }
    }

    #[test]
    fn seeds_of_their_own_are_no_pairs() {
        let mut comparison = fixture::sweep();
        fixture::own_luck(&mut comparison, &["size", "mask_ratio", "nsp"]);
        assert_eq!(paired_seeds(&comparison), None);
    }

    #[test]
    fn what_does_not_redraw_luck_is_paired() {
        let mut comparison = fixture::sweep();
        fixture::own_luck(&mut comparison, &["size", "mask_ratio"]);
        let figure = paired_seeds(&comparison).unwrap();
        assert_eq!((figure.panels.len(), figure.panels[0].title.starts_with("nsp: ")), (1, true));
    }
}
