//! Which axis matters, by how much, how surely: the variance table of a comparison, or why there is none.
//!
//! The table wants a full factorial: every combination of the declared axis values, run with the same seeds. A seed that
//! did not finish in every cell is left out as a whole, and said to be, because the table's arithmetic rests on balance;
//! a sweep with holes has no table, and says so, rather than one that blames an axis for what another one did.

use std::collections::BTreeMap;

use super::anova::{Row, Source, anova};
use super::comparison::{Axis, CellKey, Comparison};
use super::effects::{LEVEL, outcomes_by_cell};
use super::statistics::holm;
use crate::types::Seed;

/// The parts of the variance of the outcome over a full factorial.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Axes, pairs of axes, higher orders, seed, noise.
    pub parts: Vec<Part>,
    /// The seeds that the table rests on.
    pub seeds: Vec<Seed>,
    /// Seeds that did not finish in every cell.
    pub left_out: Vec<Seed>,
}

/// One part of the variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `size`, `size × nsp`, `seed`, `noise`.
    pub name: String,
    pub row: Row,
    /// The p of the F test after Holm's correction over axes and interactions.
    pub adjusted_p: Option<f64>,
}

impl Part {
    /// Whether it is an axis or an interaction that is told apart from noise.
    pub fn is_clear(&self) -> bool {
        self.adjusted_p.is_some_and(|p| p < LEVEL)
    }

    /// Whether it is what the sweep varies, and not the seed or noise.
    pub fn is_swept(&self) -> bool {
        !matches!(self.row.source, Source::Seed | Source::Noise)
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

/// Why there is no table of importance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFactorial {
    #[error("The importance of axes is not computed: no axis has two values.")]
    NoAxis,
    #[error(
        "The importance of axes is not computed: the sweep is not a full factorial. Of the {of} combinations of the \
         axis values it has {found}; the first that it has not is {missing}. Paired effects hold all the same."
    )]
    Holes { found: usize, of: usize, missing: CellKey },
    #[error(
        "The importance of axes is not computed: the sweep has cells outside of the grid of its axes, such as {cell}. \
         Paired effects hold all the same."
    )]
    Conditional { cell: CellKey },
    #[error(
        "The importance of axes is not computed yet: no seed has finished in every cell. The nearest, seed {seed}, \
         lacks {lacking} of {of} cells, such as {cell}."
    )]
    Unfinished { seed: Seed, lacking: usize, of: usize, cell: CellKey },
}

/// The variance table of the comparison's metric.
///
/// # Errors
/// When the finished runs are no full factorial, in words for the reader.
pub fn importance(comparison: &Comparison) -> Result<Importance, NotFactorial> {
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    if axes.is_empty() {
        return Err(NotFactorial::NoAxis);
    }
    let outcomes = outcomes_by_cell(comparison);
    let keys = grid(&comparison.axes);
    if let Some(cell) = outcomes.keys().find(|key| !keys.contains(key)) {
        return Err(NotFactorial::Conditional { cell: cell.clone() });
    }
    if let Some(missing) = keys.iter().find(|key| !outcomes.contains_key(key)) {
        return Err(NotFactorial::Holes { found: outcomes.len(), of: keys.len(), missing: missing.clone() });
    }
    let mut lacking = BTreeMap::<Seed, Vec<&CellKey>>::new();
    for run in &comparison.runs {
        lacking.entry(run.seed).or_insert_with_key(|seed| {
            keys.iter().filter(|key| !outcomes.get(key).is_some_and(|cell| cell.contains_key(seed))).collect()
        });
    }
    let (complete, partial): (Vec<_>, Vec<_>) = lacking.into_iter().partition(|(_, cells)| cells.is_empty());
    if complete.is_empty() {
        let (seed, cells) = partial.iter().min_by_key(|(_, cells)| cells.len()).ok_or(NotFactorial::NoAxis)?;
        let (lacking, cell) = (cells.len(), cells[0].clone());
        return Err(NotFactorial::Unfinished { seed: *seed, lacking, of: keys.len(), cell });
    }
    let values = complete.iter().map(|(seed, _)| keys.iter().map(|key| outcomes[key][seed]).collect::<Vec<_>>());
    let levels = axes.iter().map(|axis| axis.values.len()).collect::<Vec<_>>();
    let rows = anova(&levels, &values.collect::<Vec<_>>());
    let seeds = |list: Vec<(Seed, Vec<&CellKey>)>| list.into_iter().map(|(seed, _)| seed).collect();
    Ok(Importance { parts: parts(rows, &axes), seeds: seeds(complete), left_out: seeds(partial) })
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
        Part { name, row, adjusted_p }
    };
    rows.into_iter().map(part).collect()
}

impl Importance {
    /// What matters, in a sentence: the parts that are told apart from noise, the greatest first.
    pub fn statement(&self) -> String {
        let mut swept = self.parts.iter().filter(|part| part.is_swept()).collect::<Vec<_>>();
        let share = |part: &Part| part.row.share.unwrap_or_default();
        swept.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let noise = self.parts.iter().find(|part| part.row.source == Source::Noise);
        let Some(noise) = noise else {
            let largest = swept.first().map_or(String::new(), |part| {
                format!(": {} accounts for {} of it, chance included", part.name, percent(share(part)))
            });
            return format!("With one complete seed the variance cannot be told from chance{largest}.");
        };
        let clear = swept.iter().filter(|part| part.is_clear()).map(|part| part.named_share()).collect::<Vec<_>>();
        let rest = format!("noise between runs {}", noise.share_in_words());
        if clear.is_empty() {
            return format!("No axis and no interaction can be told from noise ({rest}).");
        }
        format!("Variance among runs of one seed: {}; {rest}.", clear.join(", "))
    }

    /// What the table rests on: `seeds 1, 3 (blocks); left out, because not every cell finished: 2`.
    pub fn basis(&self) -> String {
        let list = |seeds: &[Seed]| seeds.iter().map(Seed::to_string).collect::<Vec<_>>().join(", ");
        let mut text = format!("Seeds {} as blocks", list(&self.seeds));
        if self.seeds.len() == 1 {
            text = format!("Seed {} alone: no interval, no test", list(&self.seeds));
        }
        if !self.left_out.is_empty() {
            text += &format!("; left out, because not finished in every cell: seed {}", list(&self.left_out));
        }
        text + "."
    }
}

impl Part {
    /// `size 84 % (71 to 92 %)`.
    fn named_share(&self) -> String {
        format!("{} {}", self.name, self.share_in_words())
    }

    /// `84 % (71 to 92 %)`.
    pub fn share_in_words(&self) -> String {
        let range = self.row.interval.map(|interval| {
            format!(" ({} to {})", percent(interval.low).trim_end_matches(" %"), percent(interval.high))
        });
        self.row.share.map_or("\u{2013}".to_owned(), percent) + &range.unwrap_or_default()
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
            format!("{} | {} | {} | {} {}", part.name, part.row.degrees, part.share_in_words(), p, part.word())
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
    fn what_is_no_full_factorial_has_no_table_and_says_why() {
        let reason = |change: &dyn Fn(&mut Comparison)| {
            let mut comparison = fixture::sweep();
            change(&mut comparison);
            importance(&comparison).map(|_| ()).unwrap_err().to_string()
        };
        let texts = [
            reason(&|c| c.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"))),
            reason(&|c| c.runs[0].axes[2].1 = "-".to_owned()),
            reason(&|c| c.runs.iter_mut().take(4).for_each(|run| run.state = RunState::Running)),
            reason(&|c| c.axes.clear()),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        The importance of axes is not computed: the sweep is not a full factorial. Of the 8 combinations of the axis values it has 6; the first that it has not is size=mini mask_ratio=0.15 nsp=random. Paired effects hold all the same.
        The importance of axes is not computed: the sweep has cells outside of the grid of its axes, such as size=tiny mask_ratio=0.15 nsp=-. Paired effects hold all the same.
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
        assert!(table.parts.iter().all(|part| part.adjusted_p.is_none() && part.row.interval.is_none()));
        insta::assert_snapshot!(format!("{} {}", table.basis(), table.statement()), @"Seed 2 alone: no interval, no test; left out, because not finished in every cell: seed 1. With one complete seed the variance cannot be told from chance: size accounts for 84 % of it, chance included.");
    }
}
