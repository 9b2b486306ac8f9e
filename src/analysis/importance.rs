//! Which axis matters, by how much, how surely: shares of the variance, by the method that the design allows.
//!
//! A full factorial, every combination of the declared axis values with the same seeds, has a blocked analysis of variance
//! with interactions. A seed that did not finish in every cell is left out as a whole, and said to be, because the table's
//! arithmetic rests on balance. A sweep with holes, with axes that do not exist everywhere, or with drawn values would let
//! that table blame an axis for what another one did; it has PED-ANOVA, which asks what sets the best quarter of the cells
//! apart.

use std::collections::BTreeMap;

use super::anova::{Row, Source, anova};
use super::comparison::{Axis, AxisKind, CellKey, Comparison, Goal};
use super::effects::{LEVEL, outcomes_by_cell};
use super::ped_anova::{BEST, Classes, classes_of, ped_anova};
use super::statistics::{Interval, holm, mean};
use crate::types::Seed;

/// PED-ANOVA says nothing about fewer cells.
const LEAST_CELLS: usize = 8;

/// The parts of the variance of the outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    pub method: Method,
    /// Axes; of a factorial also pairs of axes, higher orders, seed, noise.
    pub parts: Vec<Part>,
}

/// How importance was computed.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// Blocked analysis of variance of a full factorial.
    Anova {
        /// The seeds that the table rests on.
        seeds: Vec<Seed>,
        /// Seeds that did not finish in every cell.
        left_out: Vec<Seed>,
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
    /// Of the variance among runs of one seed, or of what sets the best cells apart; absent for the seed.
    pub share: Option<f64>,
    /// 95 %; absent where there is no noise to compare with.
    pub interval: Option<Interval>,
    /// The p of the test after Holm's correction over axes and interactions.
    pub adjusted_p: Option<f64>,
    /// The row of the variance table, for a factorial.
    pub row: Option<Row>,
}

impl Part {
    /// Whether it is an axis or an interaction that is told apart from noise.
    pub fn is_clear(&self) -> bool {
        self.adjusted_p.is_some_and(|p| p < LEVEL)
    }

    /// Whether it is what the sweep varies, and not the seed or noise.
    pub fn is_swept(&self) -> bool {
        self.row.as_ref().is_none_or(|row| !matches!(row.source, Source::Seed | Source::Noise))
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

    /// The corrected p, or for the seed the one that nothing is concluded from.
    pub fn shown_p(&self) -> Option<f64> {
        self.adjusted_p.or(self.row.as_ref()?.p)
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
        "The importance of axes is not computed yet: no seed has finished in every cell. The nearest, seed {seed}, \
         lacks {lacking} of {of} cells, such as {cell}."
    )]
    Unfinished { seed: Seed, lacking: usize, of: usize, cell: CellKey },
    #[error(
        "The importance of axes is not computed: {why}, and PED-ANOVA takes {LEAST_CELLS} cells with a finished run, not \
         {cells}. Paired effects hold all the same."
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
    let outcomes = outcomes_by_cell(comparison);
    match not_factorial(comparison, &outcomes) {
        Some(why) => of_any_design(comparison, &axes, &outcomes, why),
        None => of_factorial(comparison, &axes, &outcomes),
    }
}

type Outcomes = BTreeMap<CellKey, BTreeMap<Seed, f64>>;

fn not_factorial(comparison: &Comparison, outcomes: &Outcomes) -> Option<NotFactorial> {
    let is_declared = |key: &&CellKey| {
        comparison.axes.iter().all(|axis| key.value(&axis.name).is_some_and(|v| axis.values.iter().any(|d| d == v)))
    };
    if let Some(cell) = outcomes.keys().find(|key| !is_declared(key)) {
        return Some(NotFactorial::Conditional { cell: cell.clone() });
    }
    let of = comparison.axes.iter().try_fold(1usize, |of, axis| of.checked_mul(axis.values.len()));
    let found = outcomes.len();
    let words = of.map_or("countless".to_owned(), |of| of.to_string());
    (of != Some(found)).then_some(NotFactorial::Holes { found, of: words })
}

fn of_factorial(comparison: &Comparison, axes: &[&Axis], outcomes: &Outcomes) -> Result<Importance, NoImportance> {
    let keys = grid(&comparison.axes);
    let mut lacking = BTreeMap::<Seed, Vec<&CellKey>>::new();
    for run in &comparison.runs {
        lacking.entry(run.seed).or_insert_with_key(|seed| {
            keys.iter().filter(|key| !outcomes.get(key).is_some_and(|cell| cell.contains_key(seed))).collect()
        });
    }
    let (complete, partial): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|(_, cells)| cells.is_empty());
    if complete.is_empty() {
        let (seed, cells) = partial.iter().min_by_key(|(_, cells)| cells.len()).ok_or(NoImportance::NoAxis)?;
        let (lacking, cell) = (cells.len(), cells[0].clone());
        return Err(NoImportance::Unfinished { seed: *seed, lacking, of: keys.len(), cell });
    }
    let values = complete.iter().map(|(seed, _)| keys.iter().map(|key| outcomes[key][seed]).collect::<Vec<_>>());
    let levels = axes.iter().map(|axis| axis.values.len()).collect::<Vec<_>>();
    let rows = anova(&levels, &values.collect::<Vec<_>>());
    let seeds = |list: Vec<(Seed, Vec<&CellKey>)>| list.into_iter().map(|(seed, _)| seed).collect();
    Ok(Importance {
        parts: parts(rows, axes),
        method: Method::Anova { seeds: seeds(complete), left_out: seeds(partial) },
    })
}

/// Every combination of the values of the axes, the last axis fastest.
fn grid(axes: &[Axis]) -> Vec<CellKey> {
    let keys = axes.iter().fold(vec![Vec::new()], |keys: Vec<Vec<(String, String)>>, axis| {
        let with = |key: &Vec<(String, String)>, value: &String| {
            key.iter().cloned().chain([(axis.name.clone(), value.clone())]).collect::<Vec<_>>()
        };
        keys.iter().flat_map(|key| axis.values.iter().map(move |value| with(key, value))).collect()
    });
    keys.into_iter().map(CellKey).collect()
}

fn parts(rows: Vec<Row>, axes: &[&Axis]) -> Vec<Part> {
    let tested = |row: &Row| row.p.filter(|_| row.source != Source::Seed);
    let raw = rows.iter().filter_map(tested).collect::<Vec<_>>();
    let mut adjusted = holm(&raw).into_iter();
    let part = |row: Row| {
        let name = match &row.source {
            Source::Axes(places) => {
                places.iter().map(|&place| axes[place].name.as_str()).collect::<Vec<_>>().join(" × ")
            }
            Source::HigherOrder => "three axes and more".to_owned(),
            Source::Seed => "seed".to_owned(),
            Source::Noise => "noise".to_owned(),
        };
        let adjusted_p = tested(&row).and_then(|_| adjusted.next());
        Part { name, share: row.share, interval: row.interval, adjusted_p, row: Some(row) }
    };
    rows.into_iter().map(part).collect()
}

fn of_any_design(
    comparison: &Comparison,
    axes: &[&Axis],
    outcomes: &Outcomes,
    why: NotFactorial,
) -> Result<Importance, NoImportance> {
    let finished =
        outcomes.iter().filter_map(|(key, seeds)| Some((key, mean(&seeds.values().copied().collect::<Vec<_>>())?)));
    let finished = finished.collect::<Vec<_>>();
    if finished.len() < LEAST_CELLS {
        return Err(NoImportance::TooFewCells { why, cells: finished.len() });
    }
    let badness = finished.iter().map(|(_, mean)| if comparison.goal == Goal::Minimize { *mean } else { -mean });
    let classes = axes.iter().map(|axis| {
        let place = |key: &CellKey| axis.values.iter().position(|value| Some(value.as_str()) == key.value(&axis.name));
        let places = finished.iter().map(|(key, _)| place(key)).collect::<Vec<_>>();
        classes_of(&by_size(axis, &places), axis.kind == AxisKind::Numeric)
    });
    let leanings = ped_anova(&classes.collect::<Vec<Classes>>(), &badness.collect::<Vec<_>>());
    let adjusted = holm(&leanings.iter().map(|leaning| leaning.p).collect::<Vec<_>>());
    let parts = axes.iter().zip(leanings).zip(adjusted).map(|((axis, leaning), p)| Part {
        name: axis.name.clone(),
        share: Some(leaning.share),
        interval: Some(leaning.interval),
        adjusted_p: Some(p),
        row: None,
    });
    let method = Method::PedAnova { why, cells: finished.len(), left_out: outcomes.len() - finished.len() };
    Ok(Importance { parts: parts.collect(), method })
}

/// Places among the values in the order of their size: a random sweep declares them in the order of the draws.
fn by_size(axis: &Axis, places: &[Option<usize>]) -> Vec<Option<usize>> {
    let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
    let mut order = (0..axis.values.len()).collect::<Vec<_>>();
    if axis.kind == AxisKind::Numeric {
        order.sort_by(|&a, &b| number(&axis.values[a]).total_cmp(&number(&axis.values[b])));
    }
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &place)| rank[place] = i);
    places.iter().map(|place| place.map(|place| rank[place])).collect()
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
                return "No axis sets the best quarter of the cells apart by itself more than chance does.".to_owned();
            }
            let clear = clear.join(", ");
            return format!(
                "What sets the best quarter of the cells apart: {clear}; the rest is interactions and noise."
            );
        }
        let noise = self.parts.iter().find(|part| !part.is_swept() && part.share.is_some());
        let Some(noise) = noise else {
            let largest = swept.first().map_or(String::new(), |part| {
                format!(": {} accounts for {} of it, chance included", part.name, percent(share(part)))
            });
            return format!("With one complete seed the variance cannot be told from chance{largest}.");
        };
        let rest = format!("noise between runs {}", noise.share_in_words());
        if clear.is_empty() {
            return format!("No axis and no interaction can be told from noise ({rest}).");
        }
        format!("Variance among runs of one seed: {}; {rest}.", clear.join(", "))
    }

    /// Which method it is, why, and what it rests on: `Seeds 1, 3 as blocks; left out, because not finished in every
    /// cell: seed 2.`
    pub fn basis(&self) -> String {
        let list = |seeds: &[Seed]| seeds.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ");
        match &self.method {
            Method::Anova { seeds, left_out } => {
                let mut text = format!("Seeds {} as blocks", list(seeds));
                if seeds.len() == 1 {
                    text = format!("Seed {} alone: no interval, no test", list(seeds));
                }
                if !left_out.is_empty() {
                    text += &format!("; left out, because not finished in every cell: seed {}", list(left_out));
                }
                text + "."
            }
            Method::PedAnova { why, cells, left_out } => {
                let mut text = format!("PED-ANOVA over {cells} cells, because {why}");
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
            Method::Anova { seeds, .. } if seeds.len() > 1 => {
                "Share: omega squared of a blocked analysis of variance, among runs of one seed; what a seed does to all cells \
                 alike is no part of it. Interval: 95 %, noncentral F. p: F test, Holm-corrected over axes and interactions. A \
                 share is of what this sweep varies: other values of an axis have other shares."
                    .to_owned()
            }
            Method::Anova { .. } => {
                "Share: of the sum of squares. With one complete seed it holds chance too: no interval, no test.".to_owned()
            }
            Method::PedAnova { .. } => format!(
                "Share: how much of being among the best 1/{BEST} of the cells an axis accounts for by itself \
                 (Watanabe et al. 2023), chance taken off; numbers of many values in up to four classes of equal count; an \
                 axis that some cells lack counts where it exists. Interval: 95 %, bootstrap over cells. p: permutation test, \
                 Holm-corrected over axes. It shows association: where axes vary together, it cannot tell which is at work."
            ),
        }
    }
}

impl Part {
    /// `size 84 % (71 to 92 %)`.
    fn named_share(&self) -> String {
        format!("{} {}", self.name, self.share_in_words())
    }

    /// `84 % (71 to 92 %)`.
    pub fn share_in_words(&self) -> String {
        let range = self.interval.map(|interval| {
            format!(" ({} to {})", percent(interval.low).trim_end_matches(" %"), percent(interval.high))
        });
        self.share.map_or("\u{2013}".to_owned(), percent) + &range.unwrap_or_default()
    }
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
    use crate::analysis::{AxisKind, RunState, fixture};

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
        Seeds 1, 3 as blocks; left out, because not finished in every cell: seed 2.
        Variance among runs of one seed: size 82 % (48 to 95 %), mask_ratio 15 % (3.1 to 47 %); noise between runs 2.0 % (0.7 to 11 %).
        size | 1 | 82 % (48 to 95 %) | 0.0000 clear
        mask_ratio | 1 | 15 % (3.1 to 47 %) | 0.0001 clear
        nsp | 1 | 0.3 % (0 to 2.5 %) | 0.6000 inconclusive
        size × mask_ratio | 1 | 0 % (0 to < 0.1 %) | 1.0000 inconclusive
        size × nsp | 1 | 0 % (0 to 0.9 %) | 1.0000 inconclusive
        mask_ratio × nsp | 1 | 0 % (0 to 1.3 %) | 1.0000 inconclusive
        three axes and more | 1 | 0 % (0 to 1.4 %) | 1.0000 inconclusive
        seed | 1 | – | - 
        noise | 7 | 2.0 % (0.7 to 11 %) | -
        ");
    }

    #[test]
    fn without_a_factorial_the_method_is_another_and_says_why() {
        let holes = random_design(24);
        let table = importance(&holes).unwrap();
        let rows = table.parts.iter().map(|part| format!("{} {}", part.name, part.word()));
        let text = [table.basis(), rows.collect::<Vec<_>>().join(", ")].join("\n");
        insta::assert_snapshot!(text, @"
        PED-ANOVA over 24 cells, because of the 1152 combinations of the axis values the sweep has 24.
        lr clear, width inconclusive, nsp inconclusive
        ");
        let mut conditional = holes.clone();
        conditional.runs.iter_mut().take(3).for_each(|run| run.axes.truncate(2));
        conditional.runs[5].state = RunState::Failed;
        let basis = importance(&conditional).unwrap().basis();
        assert!(basis.starts_with("PED-ANOVA over 23 cells, because some cells lack an axis, such as lr="), "{basis}");
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
        The importance of axes is not computed: of the 8 combinations of the axis values the sweep has 6, and PED-ANOVA takes 8 cells with a finished run, not 6. Paired effects hold all the same.
        The importance of axes is not computed yet: no seed has finished in every cell. The nearest, seed 3, lacks 1 of 8 cells, such as size=tiny mask_ratio=0.15 nsp=off.
        The importance of axes is not computed: no axis has two values.
        ");
    }

    #[test]
    fn one_seed_has_shares_and_no_certainty() {
        let axes = vec![
            fixture::axis("size", &["a", "b"], AxisKind::Ordered),
            fixture::axis("nsp", &["x", "y"], AxisKind::Category),
        ];
        let table = importance(&fixture::sweep_over("one", axes, 2)).unwrap();
        assert!(table.parts.iter().all(|part| part.adjusted_p.is_none() && part.interval.is_none()));
        insta::assert_snapshot!(format!("{} {}", table.basis(), table.statement()), @"Seed 2 alone: no interval, no test; left out, because not finished in every cell: seed 1. With one complete seed the variance cannot be told from chance: size accounts for 84 % of it, chance included.");
    }
}
