//! Means with their bars, ready to be drawn: what all charts of final values share.
//!
//! A bar is for comparing: two that do not overlap differ beyond the 95 % interval of their difference, so that bars and
//! verdicts agree. It is drawn whole or not at all.

use std::collections::BTreeMap;

use super::encoding::seed_count;
use crate::analysis::statistics::Interval;
use crate::analysis::{CellKey, Comparison, Means, is_full_grid};
use crate::plot::figure::{Colour, Ink, Mark, Owner, Panel};

/// Above so many means each has its own interval: comparing all pairs of them is not what a reader does.
const MOST_COMPARED: usize = 60;
/// A bar longer than so many times the range of the single runs is left out: it would hide what it is about.
const LONGEST: f64 = 2.0;

/// The mean of some cells, its bar and the single runs.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    pub mean: f64,
    pub bar: Option<Interval>,
    /// The single runs of a mean over more than one.
    pub runs: Vec<f64>,
    pub n: usize,
    owner: Owner,
}

/// The means of a chart, and what its caption has to say of them.
#[derive(Clone, Debug)]
pub(super) struct Estimates {
    /// One for each part; absent where no run has finished.
    pub drawn: Vec<Option<Drawn>>,
    is_compared: bool,
    omitted: usize,
    /// Whether some mean is over several cells of which not all have the same number of seeds.
    is_partial: bool,
    /// Whether some mean is over several cells, and others lack the like of some of them.
    has_holes: bool,
}

impl Estimates {
    /// Of `parts`, each the cells that one mean is over.
    pub fn of(comparison: &Comparison, parts: &[Vec<CellKey>]) -> Self {
        let means = Means::of(comparison);
        let found = parts.iter().map(|keys| means.of_cells(keys)).collect::<Vec<_>>();
        let is_compared = (2..=MOST_COMPARED).contains(&found.iter().flatten().count());
        let own = || found.iter().map(|estimate| estimate.and_then(|estimate| estimate.interval)).collect();
        let bars: Vec<Option<Interval>> = if is_compared { means.against_each_other(parts) } else { own() };
        let cells = comparison.cells();
        let outcomes = cells.iter().map(|cell| (&cell.key, cell.outcomes(&comparison.metric)));
        let outcomes = outcomes.collect::<BTreeMap<_, _>>();
        let runs = |keys: &Vec<CellKey>| {
            keys.iter()
                .filter_map(|key| outcomes.get(key))
                .flat_map(|seeds| seeds.values().copied())
                .collect::<Vec<_>>()
        };
        let drawn = found.iter().zip(bars).zip(parts).map(|((estimate, bar), keys)| {
            let runs = runs(keys);
            let runs = if runs.len() > 1 { runs } else { Vec::new() };
            let owner = Owner::cells(cells.iter().filter(|cell| keys.contains(&cell.key)));
            estimate.map(|estimate| Drawn { mean: estimate.mean, bar, runs, n: estimate.n, owner })
        });
        let mut drawn = drawn.collect::<Vec<_>>();
        let limit = LONGEST * range(&drawn);
        let mut omitted = 0;
        for one in drawn.iter_mut().flatten() {
            if one.bar.is_some_and(|bar| bar.high - bar.low > limit) {
                (one.bar, omitted) = (None, omitted + 1);
            }
        }
        let counts = drawn.iter().flatten().map(|one| one.n).collect::<Vec<_>>();
        let is_partial = counts.iter().max() != counts.iter().min() && parts.iter().any(|keys| keys.len() > 1);
        let has_holes = parts.iter().any(|keys| keys.len() > 1) && !is_full_grid(comparison);
        Self { drawn, is_compared, omitted, is_partial, has_holes }
    }

    /// Every height that is drawn.
    pub fn heights(&self) -> impl Iterator<Item = f64> {
        self.drawn.iter().flatten().flat_map(|one| {
            let bar = one.bar.into_iter().flat_map(|bar| [bar.low, bar.high]);
            one.runs.iter().copied().chain([one.mean]).chain(bar)
        })
    }

    /// Every height that is drawn where single runs are not.
    pub fn heights_without_runs(&self) -> impl Iterator<Item = f64> {
        self.drawn.iter().flatten().flat_map(|one| {
            let bar = one.bar.into_iter().flat_map(|bar| [bar.low, bar.high]);
            bar.chain([one.mean])
        })
    }

    /// The caption of several panels without single runs, each of which is compared by itself.
    pub fn caption_of_all(all: &[Self]) -> String {
        let drawn = all.iter().flat_map(|one| &one.drawn).flatten();
        let drawn = drawn.map(|one| Some(one.alone())).collect();
        let is_compared = all.iter().any(|one| one.is_compared);
        let omitted = all.iter().map(|one| one.omitted).sum();
        let is_partial = all.iter().any(|one| one.is_partial);
        let has_holes = all.iter().any(|one| one.has_holes);
        let mut caption = Self { drawn, is_compared, omitted, is_partial, has_holes }.caption("");
        if all.len() > 1 {
            caption = caption.replace("Bars compare:", "Bars compare within a panel:");
        }
        caption
    }

    /// What dots and bars mean, and how many seeds they rest on.
    pub fn caption(&self, over: &str) -> String {
        let counts = self.drawn.iter().flatten().map(|one| one.n).collect::<Vec<_>>();
        let (seeds, has_runs) = (seed_count(&counts), self.drawn.iter().flatten().any(|one| !one.runs.is_empty()));
        let mut caption = match (over, has_runs) {
            ("", false) if counts.iter().all(|&n| n < 2) => "Dots: single runs".to_owned(),
            ("", _) => "Dots: means".to_owned(),
            (over, _) => format!("Dots: means over {over}"),
        };
        caption += if has_runs { ", small ones single runs" } else { "" };
        caption += &format!("; {seeds}.");
        let has_bars = self.drawn.iter().flatten().any(|one| one.bar.is_some());
        if has_bars && self.is_compared {
            caption += " Bars compare: two that do not overlap differ beyond the 95 % interval of their difference.";
        } else if has_bars {
            caption += " Bars: 95 % interval of the mean.";
        } else if self.omitted == 0 {
            caption += " Without a second seed there is no interval.";
        }
        if self.is_partial {
            caption += " A seed counts where it finished in every cell of a mean.";
        }
        if self.has_holes {
            caption += " Not every combination was run: means are over the cells that there are, the effects over matched ones.";
        }
        if self.omitted > 0 {
            let what = if has_bars { "Some intervals are" } else { "Intervals are" };
            caption += &format!(" {what} longer than the picture with so few seeds, and left out ({}).", self.omitted);
        }
        caption
    }
}

impl Drawn {
    /// The same without its single runs.
    pub fn alone(&self) -> Self {
        Self { runs: Vec::new(), ..self.clone() }
    }

    /// Adds the bar, the mean and the single runs on top of it, at one place.
    pub fn draw(&self, x: f64, (ink, filled): (Ink, bool), panel: &mut Panel) {
        let (colour, since) = (Colour::full(ink), panel.so_far());
        if let Some(bar) = self.bar {
            panel.marks.push(Mark::Interval { x, low: bar.low, high: bar.high, colour });
        }
        panel.marks.push(Mark::Dot { at: (x, self.mean), radius: 2.9, colour, filled });
        let run = |&y: &f64| Mark::Dot { at: (x, y), radius: 1.5, colour: Colour::pale(ink), filled: true };
        panel.marks.extend(self.runs.iter().map(run));
        panel.give(since, self.owner.clone());
    }
}

/// From the lowest run or mean to the highest.
fn range(drawn: &[Option<Drawn>]) -> f64 {
    let values = drawn.iter().flatten().flat_map(|one| one.runs.iter().copied().chain([one.mean]));
    let (low, high) = super::curves::extent(values).unwrap_or_default();
    high - low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, fixture, marginal_effects};
    use crate::types::Seed;

    fn by_value(comparison: &Comparison, axis: usize) -> Estimates {
        let axis = &comparison.axes[axis];
        let keys = comparison.cells().into_iter().map(|cell| cell.key).collect::<Vec<_>>();
        let with = |value: &String| keys.iter().filter(|key| key.value(&axis.name) == Some(value)).cloned().collect();
        Estimates::of(comparison, &axis.values.iter().map(with).collect::<Vec<_>>())
    }

    #[test]
    fn bars_part_where_the_difference_is_told() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.state = crate::analysis::RunState::Finished);
        for (axis, effect) in marginal_effects(&comparison).iter().enumerate() {
            let estimates = by_value(&comparison, axis);
            let bars = estimates.drawn.iter().map(|one| one.as_ref().unwrap().bar.unwrap()).collect::<Vec<_>>();
            let apart = bars[0].high < bars[1].low || bars[1].high < bars[0].low;
            assert_eq!(apart, !effect.interval().unwrap().contains(0.0), "{}", effect.name());
            assert!(estimates.caption("").contains("Bars compare"), "{}", estimates.caption(""));
        }
    }

    #[test]
    fn a_bar_is_whole_or_not_there() {
        let axes = vec![fixture::axis("nsp", &["off", "random"], AxisKind::Category)];
        let mut comparison = fixture::sweep_over("noisy", axes, 2);
        // The two seeds disagree on the sign: the interval of their difference is 13 times as wide as the picture.
        fixture::fill(&mut comparison, |run| {
            let sign = if run.seed == Seed(1) { 1.0 } else { -1.0 };
            if run.axis("nsp") == Some("off") { sign } else { -sign }
        });
        let estimates = by_value(&comparison, 0);
        assert!(estimates.drawn.iter().flatten().all(|one| one.bar.is_none()));
        assert!(estimates.caption("").ends_with("longer than the picture with so few seeds, and left out (2)."));
        comparison.runs.retain(|run| run.seed == Seed(1));
        assert_eq!(
            by_value(&comparison, 0).caption(""),
            "Dots: single runs; n = 1 seed. Without a second seed there is no interval."
        );
    }
}
