//! Laws that hold for every chart: of sweeps of one to nine axes, drawn ones, halves of them, and of nothing at all.

use std::collections::BTreeSet;

use super::*;
use crate::analysis::{AxisKind, RunState, fixture};
use crate::plot::figure::{Colour, Ink, LegendItem, Mark, Sample, Scale};

/// Sweeps of all sorts, each with a name.
pub(in crate::plot) fn every_sweep() -> Vec<(&'static str, Comparison)> {
    let ratio = |values: &[&str]| fixture::axis("mask_ratio", values, AxisKind::Numeric);
    let size = fixture::axis("size", &["aiffel-1m", "aiffel-4m"], AxisKind::Ordered);
    let nsp = fixture::axis("nsp", &["off", "random"], AxisKind::Category);
    let schedule = fixture::axis("schedule", &["linear", "cosine"], AxisKind::Category);
    let copies = fixture::axis("masking", &["dynamic", "static", "copies-10"], AxisKind::Category);
    let two = || ratio(&["0.15", "0.30"]);
    let four = vec![size.clone(), two(), nsp.clone(), schedule.clone()];
    let mut unfinished = fixture::sweep();
    unfinished.runs.iter_mut().for_each(|run| run.state = RunState::Running);
    let mut once = fixture::sweep();
    for run in &mut once.runs {
        run.series.values_mut().for_each(|points| *points = points.last().copied().into_iter().collect());
    }
    let mut holes = fixture::sweep();
    holes.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
    let mut own_luck = fixture::sweep_over("own-luck", four.clone(), 2);
    fixture::own_luck(&mut own_luck, &["size", "mask_ratio", "nsp"]);
    let many =
        (0..11).map(|i| fixture::axis(&format!("some_long_setting_{i}"), &["first", "second"], AxisKind::Category));
    let mut wide = fixture::sweep_over("wide", many.collect(), 1);
    wide.runs = wide.runs.into_iter().step_by(37).collect();
    wide.baseline = None;
    wide.experiment = format!("corpus_hash={}", "0123456789abcdef".repeat(5));
    vec![
        ("three axes", fixture::sweep()),
        ("one axis", fixture::sweep_over("ratios", vec![ratio(&["0.10", "0.15", "0.20", "0.30", "0.40", "0.50"])], 5)),
        ("two axes, one seed", fixture::sweep_over("pair", vec![size.clone(), two()], 1)),
        ("four axes, two seeds", fixture::sweep_over("quickstart", four, 2)),
        ("five axes", fixture::sweep_over("five", vec![size, two(), nsp, schedule, copies], 1)),
        ("no axis", fixture::sweep_over("alone", vec![], 2)),
        ("seeds of their own", own_luck),
        ("unfinished", unfinished),
        ("one evaluation", once),
        ("holes", holes),
        ("one scale", over_a_scale()),
        ("drawn", drawn()),
        ("many axes", wide),
        ("drawn cells", fixture::drawn(24)),
        ("sizes", fixture::sized(5)),
        ("answers", fixture::answered()),
        (
            "map",
            fixture::sweep_over(
                "map",
                vec![ratio(&["0.10", "0.20", "0.40"]), fixture::axis("nsp", &["off", "random"], AxisKind::Category)],
                2,
            ),
        ),
    ]
}

/// One axis of twelve rates, each twice as high.
fn over_a_scale() -> Comparison {
    let rates = (0..12).map(|i| format!("{:e}", 1e-4 * 2_f64.powi(i))).collect::<Vec<_>>();
    let rates = rates.iter().map(String::as_str).collect::<Vec<_>>();
    let mut comparison = fixture::sweep_over("rates", vec![fixture::axis("lr", &rates, AxisKind::Numeric)], 2);
    for run in &mut comparison.runs {
        let place = rates.iter().position(|rate| Some(*rate) == run.axis("lr")).unwrap() as f64;
        let end = 5.0 + 0.02 * (place - 7.0).powi(2) + 0.01 * run.seed.0 as f64;
        for (name, points) in run.series.iter_mut().filter(|(name, _)| name.as_str().ends_with("mlm_loss")) {
            let lift = if name.as_str().starts_with("train/") { 0.1 } else { 0.0 };
            points.iter_mut().for_each(|point| point.value = end + lift + 3.0 * (-(point.step as f64) / 400.0).exp());
        }
    }
    comparison
}

/// Twenty cells with a rate, a decay, a depth and a word each.
fn drawn() -> Comparison {
    let texts = |f: &dyn Fn(i32) -> f64| (0..20).map(|i| format!("{:e}", f(i))).collect::<Vec<_>>();
    let rates = texts(&|i| 1e-4 * 1.37_f64.powi(i * 7 % 20));
    let decays = texts(&|i| 1e-3 * 1.21_f64.powi(i * 11 % 20));
    let axis = |name: &str, values: &[String]| {
        fixture::axis(name, &values.iter().map(String::as_str).collect::<Vec<_>>(), AxisKind::Numeric)
    };
    let axes = vec![
        fixture::axis("num_hidden_layers", &["1", "2", "3"], AxisKind::Numeric),
        axis("lr", &rates),
        axis("weight_decay", &decays),
        fixture::axis("nsp", &["off", "random"], AxisKind::Category),
    ];
    let mut comparison = fixture::sweep_over("drawn", vec![axes[0].clone()], 7);
    comparison.runs.truncate(20);
    comparison.baseline = None;
    for (i, run) in comparison.runs.iter_mut().enumerate() {
        run.axes.push(("lr".to_owned(), rates[i].clone()));
        run.axes.push(("weight_decay".to_owned(), decays[i].clone()));
        run.axes.push(("nsp".to_owned(), ["off", "random"][i % 2].to_owned()));
        let lift = (rates[i].parse::<f64>().unwrap() / 2e-3).ln().powi(2) / 2.0;
        let metric = fixture::metric("valid/mlm_loss");
        run.series.get_mut(&metric).unwrap().iter_mut().for_each(|point| point.value += lift);
    }
    comparison.axes = axes;
    comparison
}

/// The figures of all of them.
pub(in crate::plot) fn every_figure() -> Vec<Figure> {
    every_sweep().iter().flat_map(|(_, sweep)| standard_figures(sweep, &Choice::default())).collect()
}

/// Calls `check` with each figure and the sweep that it is of.
fn for_every_figure(check: impl Fn(&str, &Comparison, &Figure)) {
    for (name, sweep) in every_sweep() {
        for figure in standard_figures(&sweep, &Choice::default()) {
            check(&format!("{} of {name}", figure.name), &sweep, &figure);
        }
    }
}

/// Coordinates, as far as a mark has them.
type Place = (Option<f64>, Option<f64>);

/// All places of a mark, and whether they are the ends of an interval.
fn places(mark: &Mark) -> (Vec<Place>, bool) {
    let both = |points: &[(f64, f64)]| points.iter().map(|&(x, y)| (Some(x), Some(y))).collect::<Vec<_>>();
    match mark {
        Mark::Line { points, .. } => (both(points), false),
        Mark::Band { low, high, .. } => ([both(low), both(high)].concat(), false),
        Mark::Dot { at, .. } | Mark::Cross { at, .. } | Mark::Note { at, .. } | Mark::Tag { at, .. } => {
            (both(&[*at]), false)
        }
        Mark::Interval { x, low, high, .. } => (both(&[(*x, *low), (*x, *high)]), true),
        Mark::Span { y, low, high, .. } => (both(&[(*low, *y), (*high, *y)]), true),
        Mark::Floor { y, .. } => (vec![(None, Some(*y))], false),
        Mark::Zero { x } => (vec![(Some(*x), None)], false),
        Mark::Tile { centre, .. } => (both(&[*centre]), false),
    }
}

/// Nothing is cut off, and a bar ends clearly before the frame.
#[test]
fn everything_that_is_drawn_lies_within_the_axes() {
    for_every_figure(|name, _, figure| {
        for (panel, mark) in figure.panels.iter().flat_map(|panel| panel.marks.iter().map(move |mark| (panel, mark))) {
            let (places, is_interval) = places(mark);
            let room = if is_interval { 0.01 } else { 0.0 };
            let inside = |axis: &crate::plot::figure::PlotAxis, value: f64, room: f64| {
                let room = if axis.scale == Scale::Log10 { 0.0 } else { room * (axis.high - axis.low) };
                let slack = 1e-9 * (axis.high - axis.low).abs();
                value >= axis.low + room - slack && value <= axis.high - room + slack
            };
            for (x, y) in places {
                let across = matches!(mark, Mark::Span { .. });
                let fine = x.is_none_or(|x| inside(&panel.x, x, if across { room } else { 0.0 }))
                    && y.is_none_or(|y| inside(&panel.y, y, if across { 0.0 } else { room }));
                assert!(fine, "{name}: {mark:?} within {:?} and {:?}", panel.x, panel.y);
            }
        }
    });
}

/// A number on an axis of numbers is drawn at itself.
#[test]
fn a_value_stands_at_its_place() {
    for_every_figure(|name, sweep, figure| {
        let axis = figure.name.strip_prefix("final-by-").and_then(|axis| sweep.axis(axis));
        let Some(axis) = axis.filter(|axis| axis.kind == AxisKind::Numeric) else { return };
        let values = axis.values.iter().map(|value| value.parse::<f64>().unwrap()).collect::<Vec<_>>();
        for mark in figure.panels.iter().flat_map(|panel| &panel.marks) {
            if let Mark::Dot { at: (x, _), .. } | Mark::Interval { x, .. } = mark {
                assert!(values.contains(x), "{name}: {x}");
            }
        }
    });
}

/// Whoever sees a colour finds what it means: in the legend, or in a text beside it.
#[test]
fn every_colour_is_explained() {
    let is_hue = |colour: &Colour| matches!(colour.ink, Ink::Category(_) | Ink::Ramp { .. });
    for_every_figure(|name, _, figure| {
        let mut told = BTreeSet::new();
        for item in &figure.legend {
            let LegendItem::Entry { sample, .. } = item else { continue };
            match sample {
                Sample::Line(stroke) | Sample::LineAndDot { stroke, .. } => told.extend([stroke.colour.ink]),
                Sample::Dot { colour, .. } | Sample::Cross(colour) => told.extend([colour.ink]),
                Sample::Scale(colours) => told.extend(colours.iter().map(|colour| colour.ink)),
                Sample::Floor => {}
            }
        }
        let has_scale =
            figure.legend.iter().any(|item| matches!(item, LegendItem::Entry { sample: Sample::Scale(_), .. }));
        for panel in &figure.panels {
            let mut told = told.clone();
            told.extend(panel.labels.iter().map(|label| label.colour.ink));
            let used = panel.marks.iter().filter_map(|mark| match mark {
                Mark::Line { stroke, .. } => Some(stroke.colour),
                Mark::Band { colour, .. }
                | Mark::Dot { colour, .. }
                | Mark::Cross { colour, .. }
                | Mark::Interval { colour, .. }
                | Mark::Span { colour, .. }
                | Mark::Note { colour, .. }
                | Mark::Tag { colour, .. } => Some(*colour),
                Mark::Floor { .. } | Mark::Zero { .. } | Mark::Tile { .. } => None,
            });
            let used = used.filter(is_hue).map(|colour| colour.ink).collect::<BTreeSet<_>>();
            // One colour says nothing, and a scale explains what lies between its colours.
            let is_told = |ink: &Ink| told.contains(ink) || has_scale && matches!(ink, Ink::Ramp { .. });
            assert!(used.len() < 2 || used.iter().all(is_told), "{name}: {used:?} beside {told:?}");
        }
    });
}

#[test]
fn captions_speak_of_bars_where_there_are_some() {
    for_every_figure(|name, _, figure| {
        let is_bar = |mark: &Mark| matches!(mark, Mark::Interval { .. } | Mark::Span { .. });
        let has_bars = figure.panels.iter().flat_map(|panel| &panel.marks).any(is_bar);
        let speaks = figure.caption.contains("Bars") || figure.caption.contains("bars");
        assert!(has_bars == speaks || figure.kind == "importance", "{name}: {}", figure.caption);
    });
}

#[test]
fn logarithmic_axes_have_three_ticks_and_names_are_unique() {
    for (name, sweep) in every_sweep() {
        let figures = standard_figures(&sweep, &Choice::default());
        let names = figures.iter().map(|figure| figure.name.as_str()).collect::<BTreeSet<_>>();
        assert_eq!(names.len(), figures.len(), "{name}");
        for figure in &figures {
            let axes = figure.panels.iter().flat_map(|panel| [&panel.x, &panel.y]);
            for axis in axes.filter(|axis| axis.scale == Scale::Log10 && !axis.ticks.is_empty()) {
                assert!(axis.ticks.len() >= 3, "{} of {name}: {axis:?}", figure.name);
            }
        }
    }
}

/// What is of a run, a cell or a setting says so, each thing once; what is of an axis, or of a pair of values, cannot.
#[test]
fn marks_say_whose_they_are() {
    // A schedule that all runs have is of nobody in particular.
    let of_axes = ["importance", "effects", "schedules"];
    for_every_figure(|name, sweep, figure| {
        for panel in &figure.panels {
            let ranges = panel.owned.iter().map(|owned| owned.marks.clone()).filter(|range| !range.is_empty());
            let mut owned = vec![0; panel.marks.len()];
            ranges.for_each(|range| owned[range].iter_mut().for_each(|times| *times += 1));
            assert!(owned.iter().all(|times| *times < 2), "{name}: {owned:?}");
            // With one axis, what is shared by cells of all its values has no setting.
            let is_free = of_axes.contains(&figure.kind) || sweep.axes.len() < 2;
            assert!(is_free || owned.contains(&1), "{name}, {}", panel.title);
        }
    });
}

/// A leader begins where a line ends.
#[test]
fn labels_name_ends_of_lines_or_rows() {
    for_every_figure(|name, _, figure| {
        for panel in &figure.panels {
            for label in &panel.labels {
                let is_end =
                    |mark: &Mark| matches!(mark, Mark::Line { points, .. } if points.last() == Some(&label.at));
                let is_row = panel.y.ticks.iter().any(|tick| tick.at == label.at.1);
                assert!(is_row || panel.marks.iter().any(is_end), "{name}: {label:?}");
            }
        }
    });
}

/// What one evaluation gave is seen.
#[test]
fn no_curve_is_empty() {
    for_every_figure(|name, _, figure| {
        for panel in figure.panels.iter().filter(|_| figure.kind == "curves") {
            let is_seen = |mark: &Mark| match mark {
                Mark::Line { points, .. } => points.len() > 1,
                Mark::Dot { .. } => true,
                _ => false,
            };
            assert!(panel.marks.iter().any(is_seen), "{name}, {}", panel.title);
        }
    });
}

#[test]
fn a_sweep_has_its_figures_and_names_are_unique() {
    let figures = standard_figures(&fixture::sweep(), &Choice::default());
    let names = figures.iter().map(|figure| figure.name.as_str()).collect::<Vec<_>>();
    assert_eq!(
        names,
        [
            "effects",
            "importance",
            "final-by-size",
            "against-baseline",
            "marginal-means",
            "interactions",
            "paired-seeds",
            "curves-valid-mlm_loss",
            "curves-valid-mlm_loss-by-compute",
            "curves-valid-mlm_loss-by-time",
            "train-and-valid",
            "pareto-parameters",
            "pareto-compute",
            "pareto-time",
            "loss-by-parameters",
            "loss-by-time",
            "final-by-mask_ratio",
            "final-by-nsp",
            "curves-train-mlm_loss",
            "schedules",
            "timeline",
        ]
    );
}

/// What was judged once is compared by that, and watched on held-out examples.
#[test]
fn a_metric_of_the_last_step_has_the_curves_of_its_sister() {
    let mut comparison = fixture::sweep();
    let test: MetricName = "test/mlm_loss".parse().unwrap();
    for run in &mut comparison.runs {
        let last = run.last(&comparison.metric).into_iter().collect();
        run.series.insert(test.clone(), last);
    }
    comparison.metric = test;
    let names = standard_figures(&comparison, &Choice::default()).into_iter().map(|figure| figure.name);
    let curves: Vec<_> = names.filter(|name| name.starts_with("curves-")).collect();
    assert_eq!(curves[..2], ["curves-valid-mlm_loss", "curves-valid-mlm_loss-by-compute"]);
    for run in &mut comparison.runs {
        run.series.retain(|metric, _| metric.as_str().starts_with("test/"));
    }
    assert_eq!(watched(&comparison), comparison.metric);
}

#[test]
fn nothing_finished_still_has_its_curves() {
    let mut comparison = fixture::sweep();
    comparison.runs.iter_mut().for_each(|run| run.state = RunState::Running);
    let figures = standard_figures(&comparison, &Choice::default());
    let of_running = |name: &str| name.starts_with("curves") || ["schedules", "timeline"].contains(&name);
    assert!(figures.iter().all(|figure| of_running(&figure.name)));
    assert!(!figures.is_empty());
}

#[test]
fn a_scale_is_answered_by_its_slice_and_a_grid_by_its_effects() {
    let first = |sweep: &Comparison| {
        let figures = standard_figures(sweep, &Choice::default());
        figures.iter().take(2).map(|figure| figure.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(first(&fixture::sweep()), ["effects", "importance"]);
    assert_eq!(first(&over_a_scale())[0], "final-by-lr");
    assert_eq!(first(&drawn()), ["final-by-lr", "importance"]);
}

/// A task's runs have curves of what they were judged by while they trained, and of their training loss.
#[test]
fn fine_tuning_has_its_curves() {
    let mut comparison = fixture::sweep();
    for run in &mut comparison.runs {
        let valid = run.series.remove(&fixture::metric("valid/mlm_loss")).unwrap();
        let train = run.series.remove(&fixture::metric("train/mlm_loss")).unwrap();
        run.series.insert(fixture::metric("test/accuracy"), vec![valid[valid.len() - 1]]);
        run.series.insert(fixture::metric("valid/accuracy"), valid);
        run.series.insert(fixture::metric("train/loss"), train);
    }
    comparison.metric = fixture::metric("test/accuracy");
    let names = standard_figures(&comparison, &Choice::default()).into_iter().map(|figure| figure.name);
    let curves = names.filter(|name| name.starts_with("curves-") && !name.contains("-by-")).collect::<Vec<_>>();
    assert_eq!(curves, ["curves-valid-accuracy", "curves-train-loss"]);
}
