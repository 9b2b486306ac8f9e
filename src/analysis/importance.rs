//! Which axis matters, by how much, how surely: shares of the variance, by the method that the design allows.
//!
//! A full grid has an analysis of variance with interactions. How sure its parts are, `verdicts` says, by the same contrasts
//! that the effects are judged by: an axis is clear where one of its values is told to be better or worse. A sweep with
//! holes, with axes that do not exist everywhere, or with drawn values would let that table blame an axis for what another
//! one did; it has rank correlations, and PED-ANOVA, which asks what sets the best quarter of the cells apart.

use super::anova::{Error, Row, Source, anova};
use super::associations::{Association, LEAST_CELLS};
use super::comparison::{CellKey, Comparison};
use super::effect::LEVEL;
use super::luck::{Design, Group};
use super::ped_anova::BEST;
use super::statistics::{Interval, mean, sample_variance};
use super::verdicts::Verdicts;

/// The parts of the variance of the outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    pub method: Method,
    /// Axes; of a factorial also pairs of axes, higher orders, noise.
    pub parts: Vec<Part>,
}

/// How importance was computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Analysis of variance of a full factorial.
    Anova {
        /// The groups of cells that are independent of each other.
        plots: usize,
        /// The most seeds that a cell has finished with.
        seeds: usize,
        /// Whether all cells ran with the same seeds.
        is_common: bool,
    },
    /// PED-ANOVA of the cells that have an outcome.
    PedAnova {
        /// Why it is no analysis of variance.
        why: NotFactorial,
        cells: usize,
        /// Cells without a finished run.
        left_out: usize,
    },
}

/// One part of the variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `size`, `size × nsp`, `seed`, `noise`.
    pub name: String,
    /// Of the variance among all runs, or of what sets the best cells apart.
    pub share: Option<f64>,
    /// 95 %; absent where there is no noise to compare with.
    pub interval: Option<Interval>,
    /// The least p of its contrasts after the correction over the whole report.
    pub adjusted_p: Option<f64>,
    /// Spearman's, of the axis's numbers with the metric; for designs that are no factorial.
    pub rank_correlation: Option<f64>,
    /// The row of the variance table, for a factorial.
    pub row: Option<Row>,
}

impl Part {
    /// Whether it is an axis or an interaction that is told apart from noise.
    pub fn is_clear(&self) -> bool {
        self.adjusted_p.is_some_and(|p| p < LEVEL)
    }

    /// Whether it is what the sweep varies, and not noise.
    pub fn is_swept(&self) -> bool {
        self.row.as_ref().is_none_or(|row| row.source != Source::Noise)
    }

    /// The verdict in a word or two.
    pub fn word(&self) -> &'static str {
        match self.adjusted_p {
            Some(_) if self.is_clear() => "clear",
            Some(_) => "inconclusive",
            None if self.is_swept() => "not tested",
            None => "",
        }
    }
}

/// Why a design is no full factorial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFactorial {
    #[error("of the {of} combinations of the axis values the sweep has {found}")]
    Holes { found: usize, of: String },
    #[error("some cells lack an axis, such as {cell}")]
    Conditional { cell: CellKey },
}

/// Why nothing is said about the importance of axes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoImportance {
    #[error("The importance of axes is not computed: no axis has two values.")]
    NoAxis,
    #[error(
        "The importance of axes is not computed yet: {lacking} of {of} cells have no finished run, such as {cell}."
    )]
    Unfinished { lacking: usize, of: usize, cell: CellKey },
    #[error(
        "The importance of axes is not computed: {why}, and PED-ANOVA takes {LEAST_CELLS} cells with a finished run, not \
         {cells}. Effects hold all the same."
    )]
    TooFewCells { why: NotFactorial, cells: usize },
}

/// What matters for the comparison's metric.
///
/// # Errors
/// When the runs are too few to say, in words for the reader.
pub fn importance(comparison: &Comparison) -> Result<Importance, NoImportance> {
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    if axes.is_empty() {
        return Err(NoImportance::NoAxis);
    }
    let verdicts = Verdicts::of(comparison);
    match not_factorial(comparison, &verdicts.design) {
        Some(why) => of_any_design(&verdicts, why),
        None => of_factorial(comparison, &verdicts),
    }
}

fn not_factorial(comparison: &Comparison, design: &Design) -> Option<NotFactorial> {
    let is_declared = |key: &&CellKey| {
        comparison.axes.iter().all(|axis| key.value(&axis.name).is_some_and(|v| axis.values.iter().any(|d| d == v)))
    };
    if let Some(cell) = design.keys.iter().find(|key| !is_declared(key)) {
        return Some(NotFactorial::Conditional { cell: cell.clone() });
    }
    let of = comparison.axes.iter().try_fold(1usize, |of, axis| of.checked_mul(axis.values.len()));
    let found = design.keys.len();
    let words = of.map_or("countless".to_owned(), |of| of.to_string());
    (of != Some(found)).then_some(NotFactorial::Holes { found, of: words })
}

fn of_factorial(comparison: &Comparison, verdicts: &Verdicts<'_>) -> Result<Importance, NoImportance> {
    let design = &verdicts.design;
    let lacking = (0..design.keys.len()).filter(|&i| design.outcomes[i].is_empty()).collect::<Vec<_>>();
    if let Some(&first) = lacking.first() {
        let (lacking, of, cell) = (lacking.len(), design.keys.len(), design.keys[first].clone());
        return Err(NoImportance::Unfinished { lacking, of, cell });
    }
    // Cells are in the order of the axes with the last fastest, and all are there.
    let levels = comparison.axes.iter().map(|axis| axis.values.len()).collect::<Vec<_>>();
    let cells = design.outcomes.iter().map(|cell| cell.values().copied().collect::<Vec<_>>()).collect::<Vec<_>>();
    let means = cells.iter().filter_map(|values| mean(values)).collect::<Vec<_>>();
    let inverse = cells.iter().map(|values| 1.0 / values.len() as f64).sum::<f64>() / cells.len() as f64;
    let variances = cells.iter().filter_map(|values| sample_variance(values)).collect::<Vec<_>>();
    let noise = mean(&variances).map(|variance| Error { variance, degrees: degrees_of_noise(design) });
    let rows = anova(&levels, &means, 1.0 / inverse, noise, |groups: &[Group]| {
        let found = groups.iter().map(|group| design.measure(std::slice::from_ref(group))?.measured);
        let found = found.collect::<Option<Vec<_>>>().filter(|found| !found.is_empty())?;
        let variances = found.iter().map(|m| m.standard_error.powi(2) / inverse).collect::<Vec<_>>();
        let degrees = found.iter().map(|m| m.degrees).fold(f64::MAX, f64::min);
        Some(Error { variance: mean(&variances)?, degrees })
    });
    let (plots, seeds, is_common) = (design.plots(), design.most_seeds(), design.is_common());
    let parts = rows
        .into_iter()
        .filter(|row| !matches!(&row.source, Source::Axes(places) if row.degrees == 0 || places.is_empty()));
    let parts = parts.map(|row| part(row, comparison, verdicts)).collect();
    Ok(Importance { parts, method: Method::Anova { plots, seeds, is_common } })
}

/// Seeds beyond the first of each independent group of cells: what one seed does to several cells counts once.
fn degrees_of_noise(design: &Design) -> f64 {
    design.seeds_by_plot().map(|seeds| seeds.saturating_sub(1) as f64).sum()
}

fn part(row: Row, comparison: &Comparison, verdicts: &Verdicts<'_>) -> Part {
    let axis = |place: usize| &comparison.axes[place].name;
    let adjusted = match &row.source {
        Source::Axes(places) if places.len() == 1 => {
            let its = verdicts.marginal.iter().filter(|effect| effect.axis.as_ref() == Some(axis(places[0])));
            its.filter_map(|effect| effect.adjusted_p).reduce(f64::min)
        }
        Source::Axes(places) => {
            let its = verdicts.interactions.iter().filter(|(axes, ..)| axes[..] == places[..]);
            its.filter_map(|(_, p, _)| *p).reduce(f64::min)
        }
        Source::HigherOrder | Source::Noise => None,
    };
    let name = match &row.source {
        Source::Axes(places) => places.iter().map(|&place| axis(place).as_str()).collect::<Vec<_>>().join(" × "),
        Source::HigherOrder => "three axes and more".to_owned(),
        Source::Noise => "noise".to_owned(),
    };
    Part {
        name,
        share: Some(row.share),
        interval: row.interval,
        adjusted_p: adjusted,
        rank_correlation: None,
        row: Some(row),
    }
}

fn of_any_design(verdicts: &Verdicts<'_>, why: NotFactorial) -> Result<Importance, NoImportance> {
    let cells = verdicts.design.outcomes.iter().filter(|outcomes| !outcomes.is_empty()).count();
    if verdicts.associations.is_empty() {
        return Err(NoImportance::TooFewCells { why, cells });
    }
    let part = |(found, p): &(Association, Option<f64>)| {
        let its = verdicts.marginal.iter().filter(|effect| effect.axis.as_ref() == Some(&found.axis));
        Part {
            name: found.axis.clone(),
            share: Some(found.share),
            interval: Some(found.interval),
            adjusted_p: p.or_else(|| its.filter_map(|effect| effect.adjusted_p).reduce(f64::min)),
            rank_correlation: found.rank_correlation,
            row: None,
        }
    };
    let left_out = verdicts.design.keys.len() - cells;
    let parts = verdicts.associations.iter().map(part).collect();
    Ok(Importance { parts, method: Method::PedAnova { why, cells, left_out } })
}

impl Importance {
    /// What matters, in a sentence: the parts that are told apart from noise, the greatest first.
    pub fn statement(&self) -> String {
        let mut swept = self.parts.iter().filter(|part| part.is_swept()).collect::<Vec<_>>();
        let share = |part: &Part| part.share.unwrap_or_default();
        swept.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let clear = swept.iter().filter(|part| part.is_clear()).map(|part| part.named_share()).collect::<Vec<_>>();
        if let Method::PedAnova { .. } = self.method {
            if clear.is_empty() {
                return "No axis goes together with the outcome more than chance does.".to_owned();
            }
            return format!("What goes together with the outcome: {}.", clear.join(", "));
        }
        let noise = self.parts.iter().find(|part| !part.is_swept());
        let Some(noise) = noise else {
            let largest = swept.first().map_or(String::new(), |part| {
                format!(": {} accounts for {} of it, chance included", part.name, percent(share(part)))
            });
            return format!("With one seed the variance cannot be told from chance{largest}.");
        };
        let rest = format!("luck between runs {}", noise.share_in_words());
        if clear.is_empty() {
            return format!("No axis and no interaction can be told from luck ({rest}).");
        }
        format!("Variance among all runs: {}; {rest}.", clear.join(", "))
    }

    /// Which method it is, why, and what it rests on.
    pub fn basis(&self) -> String {
        match &self.method {
            Method::Anova { seeds: 0 | 1, .. } => "One seed: no interval, no test.".to_owned(),
            Method::Anova { is_common: true, seeds, .. } => {
                format!("All cells share {seeds} seeds: only whole seeds are independent.")
            }
            Method::Anova { plots, seeds, .. } => {
                format!("{plots} groups of cells with up to {seeds} seeds of their own each are independent.")
            }
            Method::PedAnova { why, cells, left_out } => {
                let mut text = format!("Rank correlation and PED-ANOVA over {cells} cells, because {why}");
                if *left_out > 0 {
                    text += &format!("; left out, because no run has finished: {left_out}");
                }
                text + "."
            }
        }
    }

    /// What the shares are, how their intervals and tests come about.
    pub fn explanation(&self) -> String {
        match &self.method {
            Method::Anova { seeds: 0 | 1, .. } => {
                "Share: of the sum of squares. With one seed it holds chance too: no interval, no test.".to_owned()
            }
            Method::Anova { .. } => {
                "Share: omega squared, of the variance among all runs, what luck does to a run included. Interval: 95 %, \
                 noncentral F. An axis or an interaction is clear where one of its contrasts is, by the p that the effects \
                 have. A share is of what this sweep varies: other values of an axis have other shares."
                    .to_owned()
            }
            Method::PedAnova { .. } => format!(
                "Share: how much of being among the best 1/{BEST} of the cells an axis accounts for by itself \
                 (Watanabe et al. 2023), chance taken off; numbers of many values in up to four classes of equal count; an \
                 axis that some cells lack counts where it exists. Interval: 95 %, bootstrap over cells. p: the surer of a \
                 permutation test of the share and of Spearman's rank correlation, corrected over the report. It shows \
                 association: where axes vary together, it cannot tell which is at work."
            ),
        }
    }
}

impl Part {
    /// `size 84 % (71 to 92 %)`, or `lr (rank correlation −0.98)`.
    fn named_share(&self) -> String {
        match self.rank_correlation {
            Some(rho) => format!("{} (rank correlation {})", self.name, signed(rho)),
            None => format!("{} {}", self.name, self.share_in_words()),
        }
    }

    /// `84 % (71 to 92 %)`; `below 2.8 %` where the share is 0 and only its limit is known.
    pub fn share_in_words(&self) -> String {
        if let (Some(0.0), Some(interval)) = (self.share, self.interval) {
            return format!("below {}", percent(interval.high).trim_start_matches("< "));
        }
        let range = self.interval.map(|interval| {
            format!(" ({} to {})", percent(interval.low).trim_end_matches(" %"), percent(interval.high))
        });
        self.share.map_or("\u{2013}".to_owned(), percent) + &range.unwrap_or_default()
    }
}

/// `−0.98`.
fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "\u{2212}" } else { "+" };
    format!("{sign}{:.2}", value.abs())
}

/// `84 %`, `0.3 %`, `< 0.1 %`.
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0 %".to_owned(),
        p if p < 0.1 => "< 0.1 %".to_owned(),
        p if p < 9.95 => format!("{p:.1} %"),
        p => format!("{p:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Axis, AxisKind, RunState, fixture};
    use crate::types::Seed;

    #[test]
    fn the_table_of_a_sweep_with_a_failed_run() {
        let table = importance(&fixture::sweep()).unwrap();
        let rows = table.parts.iter().map(|part| {
            let p = part.adjusted_p.map_or("-".to_owned(), |p| format!("{p:.4}"));
            format!(
                "{} | {} | {} | {} {}",
                part.name,
                part.row.as_ref().unwrap().degrees,
                part.share_in_words(),
                p,
                part.word()
            )
        });
        let text = [table.basis(), table.statement()].into_iter().chain(rows).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(text, @"
        All cells share 3 seeds: only whole seeds are independent.
        Variance among all runs: size 84 % (0.5 to 99 %), mask_ratio 14 % (0 to 88 %); luck between runs 2.1 % (0.3 to 63 %).
        size | 1 | 84 % (0.5 to 99 %) | 0.0021 clear
        mask_ratio | 1 | 14 % (0 to 88 %) | 0.0136 clear
        nsp | 1 | below 3.4 % | 0.2526 inconclusive
        size × mask_ratio | 1 | below 0.2 % | 1.0000 inconclusive
        size × nsp | 1 | below 1.5 % | 1.0000 inconclusive
        mask_ratio × nsp | 1 | below 2.0 % | 1.0000 inconclusive
        three axes and more | 1 | 0.1 % (0 to 1.4 %) | - not tested
        noise | 2 | 2.1 % (0.3 to 63 %) | -
        ");
    }

    #[test]
    fn without_a_factorial_the_method_is_another_and_says_why() {
        let holes = random_design(24);
        let table = importance(&holes).unwrap();
        let rows = table.parts.iter().map(|part| format!("{} {}", part.name, part.word()));
        let text = [table.basis(), rows.collect::<Vec<_>>().join(", ")].join("\n");
        insta::assert_snapshot!(text, @"
        Rank correlation and PED-ANOVA over 24 cells, because of the 1152 combinations of the axis values the sweep has 24.
        lr clear, width inconclusive, nsp inconclusive
        ");
        let mut conditional = holes.clone();
        conditional.runs.iter_mut().take(3).for_each(|run| run.axes.truncate(2));
        conditional.runs[5].state = RunState::Failed;
        let basis = importance(&conditional).unwrap().basis();
        assert!(
            basis.starts_with(
                "Rank correlation and PED-ANOVA over 23 cells, because some cells lack an axis, such as lr="
            ),
            "{basis}"
        );
        assert!(basis.ends_with("left out, because no run has finished: 1."), "{basis}");
    }

    /// Learning rates and widths drawn at random, and NSP; the learning rate decides.
    fn random_design(cells: usize) -> Comparison {
        let numbers = (0..cells).map(|i| (i * 7 % cells).to_string()).collect::<Vec<_>>();
        let texts = |numbers: &[String]| numbers.to_vec();
        let mut comparison = fixture::sweep();
        let (metric, run) = (comparison.metric.clone(), comparison.runs[0].clone());
        let axis = |name: &str, values: Vec<String>, kind| Axis { values, ..fixture::axis(name, &[], kind) };
        let widths = (0..cells).map(|i| (i * 5 % cells).to_string()).collect::<Vec<_>>();
        comparison.axes = vec![
            axis("lr", texts(&numbers), AxisKind::Numeric),
            axis("width", texts(&widths), AxisKind::Numeric),
            fixture::axis("nsp", &["off", "random"], AxisKind::Category),
        ];
        comparison.runs = (0..cells)
            .map(|i| {
                let mut run = run.clone();
                let nsp = if i % 2 == 0 { "off" } else { "random" };
                run.axes = [("lr", numbers[i].as_str()), ("width", &widths[i]), ("nsp", nsp)]
                    .map(|(a, v)| (a.to_owned(), v.to_owned()))
                    .to_vec();
                let value = numbers[i].parse::<f64>().unwrap();
                run.series.insert(metric.clone(), vec![crate::analysis::Point { step: 1, value }]);
                run
            })
            .collect();
        comparison
    }

    #[test]
    fn where_nothing_can_be_said_it_says_why() {
        let reason = |change: &dyn Fn(&mut Comparison)| {
            let mut comparison = fixture::sweep();
            change(&mut comparison);
            importance(&comparison).map(|_| ()).unwrap_err().to_string()
        };
        let texts = [
            reason(&|c| c.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"))),
            reason(&|c| c.runs.iter_mut().take(4).for_each(|run| run.state = RunState::Running)),
            reason(&|c| c.axes.clear()),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        The importance of axes is not computed: of the 8 combinations of the axis values the sweep has 6, and PED-ANOVA takes 8 cells with a finished run, not 6. Effects hold all the same.
        The importance of axes is not computed yet: 1 of 8 cells have no finished run, such as size=tiny mask_ratio=0.15 nsp=off.
        The importance of axes is not computed: no axis has two values.
        ");
    }

    #[test]
    fn one_seed_has_shares_and_no_certainty() {
        let axes = vec![
            fixture::axis("size", &["a", "b"], AxisKind::Ordered),
            fixture::axis("nsp", &["x", "y"], AxisKind::Category),
        ];
        let mut comparison = fixture::sweep_over("one", axes, 2);
        comparison.runs.retain(|run| run.seed == Seed(2));
        let table = importance(&comparison).unwrap();
        assert!(table.parts.iter().all(|part| part.adjusted_p.is_none() && part.interval.is_none()));
        insta::assert_snapshot!(format!("{} {}", table.basis(), table.statement()), @"One seed: no interval, no test. With one seed the variance cannot be told from chance: size accounts for 84 % of it, chance included.");
    }
}
