//! Train and valid together: whether what is learnt carries over to held-out text.

use super::curves::{extent, height_for};
use super::encoding::{Choice, Encoding, Group, Samples, empty_panel, metric_label, names};
use super::parts::line;
use crate::analysis::series::{decimate, mean_curve, smooth};
use crate::analysis::{Comparison, Point, RunData, RunState};
use crate::plot::figure::{Colour, Dash, Figure};
use crate::plot::palette::Palette;
use crate::plot::ticks::linear_axis;
use crate::types::{MetricName, metrics};

/// The weight on the past of the average that training losses are smoothed by.
const WEIGHT: f64 = 0.95;
/// The share of the steps at the start that is left out.
const START: f64 = 0.12;
const BUCKETS: usize = 300;

/// The means of a group.
struct Pair {
    valid: Vec<Point>,
    train: Vec<Point>,
}

/// The curves of `held_out` (`valid/...`) and of the same quantity on train texts (`train/...`): of a sample that evaluations
/// ask about as they do about held-out texts, or else of the batches of training, which are smoothed. Absent where one of the
/// two was not recorded.
pub fn train_and_valid(comparison: &Comparison, held_out: &MetricName, choice: &Choice) -> Option<Figure> {
    let train: MetricName = format!("train/{}", held_out.as_str().strip_prefix("valid/")?).parse().ok()?;
    let mut encoding = Encoding::new(comparison, choice, &[]);
    // Dashes tell train from valid.
    encoding.rest.extend(encoding.dash.take());
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let keys = encoding.panel_keys();
    let grouped = keys.iter().map(|(title, key)| (title.clone(), encoding.groups(&cells, key, &palette)));
    let means = |group: &Group<'_>| pair(group, held_out, &train);
    let grouped = grouped.map(|(title, groups)| {
        (title, groups.iter().filter_map(|group| Some((group.ink, group.owner(), means(group)?))).collect::<Vec<_>>())
    });
    let grouped = grouped.collect::<Vec<_>>();
    let all = || grouped.iter().flat_map(|(_, groups)| groups).flat_map(|(_, _, pair)| [&pair.valid, &pair.train]);
    let last = all().filter_map(|points| points.last()).map(|point| point.step).max()? as f64;
    let settled = all().flatten().filter(|point| point.step as f64 >= START * last).map(|point| point.value);
    let (low, high) = extent(settled)?;
    let pad = 0.06 * (high - low).max(1e-9);
    let unit = metric_label(held_out);
    let unit = unit.split_once(" (").map_or(String::new(), |(_, unit)| format!(" ({unit}"));
    let quantity = metric_label(held_out).replace("validation ", "");
    let quantity = quantity.split(" (").next().unwrap_or_default().to_owned();
    let y = linear_axis(format!("{quantity}{unit}"), low - pad, high + pad, 5);
    let panels = grouped.iter().map(|(title, groups)| {
        let mut panel = empty_panel(title.clone(), linear_axis("optimizer step", 0.0, last, 5), y.clone());
        for (ink, owner, pair) in groups {
            let points = |points: &[Point]| {
                let settled =
                    points.iter().copied().filter(|point| point.step as f64 >= START * last).collect::<Vec<_>>();
                decimate(&settled, BUCKETS).iter().map(|point| (point.step as f64, point.value)).collect::<Vec<_>>()
            };
            let (valid, train) = (points(&pair.valid), points(&pair.train));
            let since = panel.so_far();
            panel.marks.push(line(train, Colour::full(*ink), 1.1, Dash::Dotted));
            panel.marks.push(line(valid, Colour::full(*ink), 1.7, Dash::Solid));
            panel.give(since, owner.clone());
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let of_train = match metrics::is_of_train_texts(train.as_str()) {
        true => {
            "a sample of the train text, asked in the same way: by what the distance grows, that text is learnt by heart".to_owned()
        }
        false => format!(
            "the batches of training, a debiased exponential moving average with weight {WEIGHT}. Training masks by its own ratio \
             and with dropout, so that its loss may lie above"
        ),
    };
    let mut caption = format!(
        "Means over finished runs. Solid: on held-out text; dotted: on {of_train}. The first {:.0} % of the steps are left out.",
        100.0 * START
    );
    if !encoding.rest.is_empty() {
        caption += &format!(" Means are over {} too.", names(&encoding.rest));
    }
    let rows = panels.len().div_ceil(encoding.columns());
    Some(Figure {
        kind: "gap",
        legend: encoding.legend(&palette, Samples::Lines),
        name: "train-and-valid".to_owned(),
        title: format!("{}: {quantity} in training and on held-out text", comparison.experiment),
        subtitle: String::new(),
        caption,
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// The means over those finished runs of a group that recorded both; absent where none did.
fn pair(group: &Group<'_>, valid: &MetricName, train: &MetricName) -> Option<Pair> {
    let runs = group.cells.iter().flat_map(|cell| cell.runs.iter().copied());
    let runs = runs.filter(|run| run.state == RunState::Finished);
    let curves = runs.filter_map(|run| Some((of(run, valid)?, of(run, train)?)));
    let (held_out, of_train): (Vec<_>, Vec<_>) = curves.unzip();
    let weight = if metrics::is_of_train_texts(train.as_str()) { 0.0 } else { WEIGHT };
    let over = |curves: &[Vec<Point>]| mean_curve(&curves.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let smoothed = of_train.iter().map(|points| smooth(points, weight)).collect::<Vec<_>>();
    let pair = Pair { valid: over(&held_out), train: over(&smoothed) };
    (pair.valid.len() > 1 && pair.train.len() > 1).then_some(pair)
}

fn of(run: &RunData, metric: &MetricName) -> Option<Vec<Point>> {
    let points = run.series.get(metric)?.iter().copied().filter(|point| point.value.is_finite());
    Some(points.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::figure::Mark;

    #[test]
    fn every_group_has_both_curves() {
        let comparison = fixture::sweep();
        let figure = train_and_valid(&comparison, &comparison.metric, &Choice::default()).unwrap();
        let count = |dash: Dash| {
            let is = |mark: &&Mark| matches!(mark, Mark::Line { stroke, .. } if stroke.dash == dash);
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(is).count()
        };
        assert_eq!((count(Dash::Solid), count(Dash::Dotted), figure.panels.len()), (2, 2, 1));
        assert_eq!(figure.panels[0].y.label, "MLM loss (nats/token)");
    }

    /// What evaluations ask of train texts is drawn as it is, over the runs that have it.
    #[test]
    fn a_sample_of_train_texts_is_not_smoothed() {
        let mut comparison = fixture::sweep();
        let [valid, train] = ["valid/mlm_loss_mask", "train/mlm_loss_mask"].map(fixture::metric);
        for (i, run) in comparison.runs.iter_mut().enumerate() {
            let points = run.series[&comparison.metric].clone();
            let lower = points.iter().map(|point| Point { value: point.value - 1.0, ..*point }).collect();
            run.series.insert(valid.clone(), points);
            // A run of an earlier program has not recorded it.
            if i % 2 == 0 {
                run.series.insert(train.clone(), lower);
            }
        }
        comparison.metric = valid.clone();
        let figure = train_and_valid(&comparison, &valid, &Choice::default()).unwrap();
        assert!(figure.caption.contains("a sample of the train text"), "{}", figure.caption);
        let points = |wanted: Dash| {
            let of = |mark: &Mark| match mark {
                Mark::Line { points, stroke, .. } if stroke.dash == wanted => Some(points.clone()),
                _ => None,
            };
            figure.panels[0].marks.iter().filter_map(of).flatten().collect::<Vec<_>>()
        };
        let (solid, dotted) = (points(Dash::Solid), points(Dash::Dotted));
        assert!(!solid.is_empty() && solid.len() == dotted.len());
        for (held_out, of_train) in solid.iter().zip(&dotted) {
            assert!(held_out.0 == of_train.0 && (held_out.1 - of_train.1 - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn one_without_the_other_has_no_figure() {
        let mut comparison = fixture::sweep();
        let test = fixture::metric("test/mlm_loss");
        assert_eq!(train_and_valid(&comparison, &test, &Choice::default()), None);
        comparison.runs.iter_mut().for_each(|run| run.series.retain(|name, _| name.as_str().starts_with("valid/")));
        assert_eq!(train_and_valid(&comparison, &comparison.metric, &Choice::default()), None);
    }
}
