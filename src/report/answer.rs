//! The answer of a comparison, in four sentences and a headline: what matters, by how much, what is best, how sure.
//!
//! It says no more than the verdicts do: an axis is named as one that matters only where one of its effects is told.

use super::floors::reached;
use crate::analysis::statistics::Estimate;
use crate::analysis::{
    Comparison, Effect, RunState, Standing, Summary, cautions, importance, marginal_effects, plus_minus,
};
use crate::types::metrics::Goal;

/// Effects that a sentence names.
const NAMED: usize = 3;

/// The sentences, and what they rest on.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What a reader has to know before any result.
    pub cautions: Vec<String>,
    /// Which axes matter; absent in a sweep without axes.
    pub matters: Option<String>,
    /// The largest effects; absent where no two runs match.
    pub by_how_much: Option<String>,
    pub best: String,
    pub how_sure: String,
    /// All of it in one sentence.
    pub headline: String,
    /// Every effect of an axis, those that are told first and the larger before the smaller.
    pub effects: Vec<Effect>,
}

impl Answer {
    /// Reads the answer off the verdicts.
    pub fn of(comparison: &Comparison, summary: &Summary) -> Self {
        let mut effects = marginal_effects(comparison);
        let size = |effect: &Effect| effect.difference.map_or(0.0, |difference| difference.mean.abs());
        effects.sort_by(|a, b| b.verdict.is_told().cmp(&a.verdict.is_told()).then_with(|| size(b).total_cmp(&size(a))));
        Self {
            cautions: cautions(comparison).into_iter().chain(missed_floors(comparison)).collect(),
            matters: matters(comparison, &effects),
            by_how_much: by_how_much(comparison, &effects),
            best: best(comparison, summary),
            how_sure: how_sure(comparison, summary),
            headline: headline(comparison, summary, &effects),
            effects,
        }
    }
}

/// Floors of other metrics than that which decides, where the best run is no better: a loss may fall while nothing is learned.
fn missed_floors(comparison: &Comparison) -> impl Iterator<Item = String> {
    let others = reached(comparison).filter(|reached| reached.floor.metric != comparison.metric && reached.is_missed());
    others.filter_map(|reached| {
        let (metric, label, value) = (&reached.floor.metric, &reached.floor.label, reached.floor.in_words());
        Some(format!(
            "No run is better than {label} in {metric}: {value} without learning, {:.4} the best run.",
            reached.best?
        ))
    })
}

/// The axes of which an effect is told, the largest first, and those of which none is.
fn axes_by_effect(effects: &[Effect]) -> (Vec<&str>, Vec<&str>) {
    let (mut told, mut open) = (Vec::new(), Vec::new());
    for effect in effects {
        let Some(axis) = effect.axis.as_deref() else { continue };
        if effect.verdict.is_told() && !told.contains(&axis) {
            told.push(axis);
        }
    }
    for axis in effects.iter().filter_map(|effect| effect.axis.as_deref()) {
        if !told.contains(&axis) && !open.contains(&axis) {
            open.push(axis);
        }
    }
    (told, open)
}

fn matters(comparison: &Comparison, effects: &[Effect]) -> Option<String> {
    let metric = &comparison.metric;
    if effects.iter().all(|effect| effect.difference.is_none()) {
        // No two cells differ in one axis alone: what is known is what goes together with the outcome.
        return importance(comparison).ok().map(|found| found.statement());
    }
    let (told, open) = axes_by_effect(effects);
    let undecided = |lead: &str| match open[..] {
        [] => ".".to_owned(),
        _ => format!("{lead} {} these runs cannot tell.", listed(&open)),
    };
    Some(match told[..] {
        [] => format!("No axis can be told from luck in these runs: {}.", listed(&open)),
        [only] => format!("{only} changes {metric}{}", undecided("; of")),
        [first, ref rest @ ..] => format!("{first} changes {metric} most, then {}{}", listed(rest), undecided("; of")),
    })
}

fn by_how_much(comparison: &Comparison, effects: &[Effect]) -> Option<String> {
    let said = |effect: &Effect| {
        let size = effect.size()?;
        Some(format!("{}: {size}, {}", effect.change(), effect.word()))
    };
    let told = effects.iter().filter(|effect| effect.verdict.is_told()).collect::<Vec<_>>();
    let metric = &comparison.metric;
    if told.is_empty() {
        let largest = effects.iter().find(|effect| effect.difference.is_some())?;
        return Some(format!("The largest difference in {metric} is {}.", said(largest)?));
    }
    let named = told.iter().take(NAMED).filter_map(|effect| said(effect)).collect::<Vec<_>>().join("; ");
    let more = match told.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    Some(format!("{named}{more}."))
}

fn best(comparison: &Comparison, summary: &Summary) -> String {
    let (Some(best), Some(standing)) = (summary.best(), &summary.standing) else {
        return "No run has finished: there is nothing to compare yet.".to_owned();
    };
    let reached = best.estimate.map_or_else(String::new, |estimate| {
        let seeds = if estimate.n == 1 { "one seed".to_owned() } else { format!("{} seeds", estimate.n) };
        format!(" reaches {} {} with {seeds}", comparison.metric, plus_minus(&estimate))
    });
    let others = summary.ranking.len().saturating_sub(1);
    let standing = match standing {
        Standing::OnlyCell => "the only cell with a finished run".to_owned(),
        Standing::TooFewSeeds => "one seed cannot tell it from any other".to_owned(),
        Standing::Clear => "better than every other cell".to_owned(),
        Standing::Tied(cells) => format!("not told apart from {} of the {others} others", cells.len()),
    };
    format!("{}{reached}: {standing}.", best.key)
}

fn how_sure(comparison: &Comparison, summary: &Summary) -> String {
    let count = |state| comparison.runs.iter().filter(|run| run.state == state).count();
    let mut text = format!("{} of {} runs finished", count(RunState::Finished), comparison.runs.len());
    for state in RunState::ALL.into_iter().filter(|&state| state != RunState::Finished && count(state) > 0) {
        text += &format!(", {} {state}", count(state));
    }
    let seeds = summary.cells.iter().map(|cell| cell.estimate.map_or(0, |estimate| estimate.n));
    let (low, high) = seeds.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
    let cells = summary.cells.len();
    let seeds = match (low, high) {
        (_, 0) => return text + ".",
        (_, 1) => {
            let end =
                format!(", {cells} cells with one seed each: without a second seed nothing can be told from luck.");
            return text + &end;
        }
        (low, high) if low == high => format!("{high} seeds"),
        (low, high) => format!("{low} to {high} seeds"),
    };
    text + &format!(
        ", {cells} cells with {seeds} each; \u{b1} is half of a 95 % interval, and about one report of twenty says better \
         or worse falsely."
    )
}

fn headline(comparison: &Comparison, summary: &Summary, effects: &[Effect]) -> String {
    let Some(best) = summary.best() else { return best(comparison, summary) };
    let mean = best.estimate.as_ref().map_or_else(String::new, |estimate: &Estimate| plus_minus(estimate));
    let place = match &summary.standing {
        Some(Standing::Tied(cells)) if cells.len() == 1 => ", not told apart from one other".to_owned(),
        Some(Standing::Tied(cells)) => format!(", not told apart from {} others", cells.len()),
        Some(Standing::TooFewSeeds) => ", with one seed".to_owned(),
        _ => String::new(),
    };
    let metric = &comparison.metric;
    let cells = summary.ranking.len();
    let of = if cells > 1 { format!("best of {cells} cells") } else { "the only cell".to_owned() };
    let end = format!("{of}: {} at {mean}{place}.", best.key);
    let told = effects.iter().find(|effect| effect.verdict.is_told());
    let associated = effects.iter().all(|effect| effect.difference.is_none()) && cells > 1;
    let Some((effect, change)) = told.and_then(|effect| Some((effect, effect.difference?.mean))) else {
        return match importance(comparison).ok().filter(|_| associated) {
            Some(found) => format!("{} Of {cells} cells {} is best at {mean}{place}.", found.statement(), best.key),
            None if effects.is_empty() => format!("{metric}: {end}"),
            None => format!("No axis can be told from luck in {metric}; {end}"),
        };
    };
    let (axis, size) = (effect.axis.as_deref().unwrap_or_default(), effect.size().unwrap_or_default());
    let size = size.trim_start_matches(['+', '\u{2212}']);
    let verb = match (change < 0.0, comparison.goal) {
        (true, Goal::Minimize) => "lowers",
        (true, Goal::Maximize) => "costs",
        (false, Goal::Minimize) => "raises",
        (false, Goal::Maximize) => "improves",
    };
    let matters = if axes_by_effect(effects).0.len() > 1 { "matters most" } else { "matters" };
    let change = effect.change();
    let change = change.strip_prefix(axis).map_or(&*change, str::trim_start);
    format!("{axis} {matters}: {change} {verb} {metric} by {size}; {end}")
}

/// `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Floor, Point, fixture, summarize};
    use crate::types::Seed;

    fn sentences(comparison: &Comparison) -> String {
        let answer = Answer::of(comparison, &summarize(comparison));
        let parts =
            [answer.matters, answer.by_how_much, Some(answer.best), Some(answer.how_sure), Some(answer.headline)];
        parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_answer_names_what_is_told_and_what_is_not() {
        insta::assert_snapshot!(sentences(&fixture::sweep()), @"
        size changes valid/mlm_loss most, then mask_ratio; of nsp these runs cannot tell.
        size mini instead of tiny: −0.217 ± 0.023, better; mask_ratio 0.30 instead of 0.15: −0.092 ± 0.031, better.
        size=mini mask_ratio=0.30 nsp=off reaches valid/mlm_loss 4.655 ± 0.064 with 3 seeds: not told apart from 1 of the 7 others.
        23 of 24 runs finished, 1 failed, 8 cells with 2 to 3 seeds each; ± is half of a 95 % interval, and about one report of twenty says better or worse falsely.
        size matters most: mini instead of tiny lowers valid/mlm_loss by 0.217 ± 0.023; best of 8 cells: size=mini mask_ratio=0.30 nsp=off at 4.655 ± 0.064, not told apart from one other.
        ");
    }

    #[test]
    fn what_cannot_be_told_is_not_said() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        insta::assert_snapshot!(sentences(&comparison), @"
        No axis can be told from luck in these runs: size, mask_ratio and nsp.
        The largest difference in valid/mlm_loss is size mini instead of tiny: −0.223, inconclusive.
        size=mini mask_ratio=0.30 nsp=off reaches valid/mlm_loss 4.631 with one seed: one seed cannot tell it from any other.
        8 of 8 runs finished, 8 cells with one seed each: without a second seed nothing can be told from luck.
        No axis can be told from luck in valid/mlm_loss; best of 8 cells: size=mini mask_ratio=0.30 nsp=off at 4.631, with one seed.
        ");
        comparison.runs.iter_mut().for_each(|run| run.state = RunState::Planned);
        insta::assert_snapshot!(sentences(&comparison), @"
        No run has finished: there is nothing to compare yet.
        0 of 8 runs finished, 8 planned.
        No run has finished: there is nothing to compare yet.
        ");
    }

    /// A loss may fall while nothing is learned: that is told first.
    #[test]
    fn missed_floors_of_other_metrics_are_told_first() {
        let mut comparison = fixture::sweep();
        let accuracy = fixture::metric("valid/masked_accuracy");
        let of = |comparison: &Comparison| Answer::of(comparison, &summarize(comparison)).cautions;
        for run in &mut comparison.runs {
            run.series.insert(accuracy.clone(), vec![Point { step: 1, value: 0.25 }]);
        }
        let explanation = String::new();
        comparison.floors.push(Floor {
            range: None,
            own: Default::default(),
            metric: accuracy,
            label: "two neighbours".to_owned(),
            value: 0.2,
            error: None,
            explanation,
        });
        assert_eq!(of(&comparison), [""; 0]);
        comparison.floors.last_mut().unwrap().value = 0.5;
        assert_eq!(
            of(&comparison),
            [
                "No run is better than two neighbours in valid/masked_accuracy: 0.5000 without learning, 0.2500 the best run."
            ]
        );
    }
}
