//! Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning"): cells train to
//! a rung, and the best of each rung train on to the next.
//!
//! A cell is the unit, with all its seeds: it has come to a rung when every seed has, and its value there is the mean over
//! the seeds of the experiment's metric. Of `n` cells that came to a rung, the best `n / reduction_factor` continue as soon as
//! that many are known to be among the best; nobody waits for the last one. A cell that failed came to its rung with the
//! worst value. All here is a pure function of what is known, so that the same sweep run one job at a time, or asked again
//! after an interruption, decides alike.

use crate::plan::HalvingSpec;

/// Where one cell stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RungResults {
    /// The value at each rung that it came to, less being better; infinite where it failed before.
    pub values: Vec<f64>,
    /// It has been sent to the rung after those, or to its end.
    pub is_on_its_way: bool,
    /// It was trained to its end, or failed: there is nothing left of it to train.
    pub is_over: bool,
}

/// The best `rungs / factor` of the cells that came to `rung`, best first; equal ones in their order.
fn best(cells: &[RungResults], rung: usize, factor: usize) -> Vec<usize> {
    let mut there: Vec<usize> = (0..cells.len()).filter(|&cell| cells[cell].values.len() > rung).collect();
    there.sort_by(|&a, &b| cells[a].values[rung].total_cmp(&cells[b].values[rung]));
    there.truncate(there.len() / factor);
    there.retain(|&cell| cells[cell].values[rung].is_finite());
    there
}

/// The cell to train next: the best that may continue, from the highest rung down, else the first that has not begun.
pub fn next(cells: &[RungResults], factor: u64) -> Option<usize> {
    let is_idle = |cell: &usize| !cells[*cell].is_on_its_way && !cells[*cell].is_over;
    let top = cells.iter().map(|cell| cell.values.len()).max().unwrap_or(0);
    let promoted = (0..top).rev().find_map(|rung| {
        let waits_here = |cell: &usize| is_idle(cell) && cells[*cell].values.len() == rung + 1;
        best(cells, rung, usize::try_from(factor).unwrap_or(usize::MAX)).into_iter().find(waits_here)
    });
    let begun = promoted.or_else(|| (0..cells.len()).find(|cell| is_idle(cell) && cells[*cell].values.is_empty()));
    begun.or_else(|| last_one(cells))
}

/// Where there are too few cells for any to survive the last rung, the best of the highest rung continues once nothing else is
/// being trained, so that every sweep has a winner.
fn last_one(cells: &[RungResults]) -> Option<usize> {
    let is_finite = |cell: &RungResults| cell.values.last().is_none_or(|value| value.is_finite());
    let is_settled = |cell: &RungResults| cell.is_on_its_way || (cell.is_over && is_finite(cell));
    if cells.iter().any(is_settled) {
        return None;
    }
    let able: Vec<usize> = (0..cells.len()).filter(|&cell| !cells[cell].is_over && is_finite(&cells[cell])).collect();
    let height = |cell: usize| cells[cell].values.len();
    able.into_iter().min_by(|&a, &b| {
        let last = |cell: usize| cells[cell].values.last().copied().unwrap_or(f64::INFINITY);
        height(b).cmp(&height(a)).then(last(a).total_cmp(&last(b)))
    })
}

/// Why a cell was stopped: `rung 1, step 300: valid/mlm_loss 7.12 is number 3 of 4, and the best 1 continue`.
pub fn reason(cells: &[RungResults], cell: usize, halving: &HalvingSpec) -> String {
    let Some(rung) = cells[cell].values.len().checked_sub(1) else { return "it was not begun".to_owned() };
    let value = cells[cell].values[rung];
    if !value.is_finite() {
        return format!("stopped at rung {rung}, step {}: another run of its cell failed", halving.rung_step(rung));
    }
    let there: Vec<f64> = cells.iter().filter_map(|other| other.values.get(rung).copied()).collect();
    let place = 1 + there.iter().filter(|other| **other < value).count();
    let survivors = there.len() / usize::try_from(halving.reduction_factor).unwrap_or(usize::MAX);
    let step = halving.rung_step(rung);
    let value = if halving.maximize { -value } else { value };
    let (metric, n) = (&halving.metric, there.len());
    format!(
        "stopped at rung {rung}, step {step}: {metric} {value:.4} is number {place} of {n}, and the best {survivors} continue"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Trains cells whose value at a rung is given, `jobs` at a time, each taking as long as `pace` says.
    fn simulate(losses: &[Vec<f64>], factor: u64, jobs: usize, pace: &[usize]) -> Vec<RungResults> {
        let mut cells = vec![RungResults::default(); losses.len()];
        let mut working: Vec<(usize, usize)> = Vec::new();
        for tick in 0.. {
            while working.len() < jobs {
                let Some(cell) = next(&cells, factor) else { break };
                cells[cell].is_on_its_way = true;
                working.push((tick + pace[cell % pace.len()], cell));
            }
            if working.is_empty() {
                return cells;
            }
            let done: Vec<usize> = working.iter().filter(|(end, _)| *end <= tick).map(|(_, cell)| *cell).collect();
            working.retain(|(end, _)| *end > tick);
            for cell in done {
                cells[cell].is_on_its_way = false;
                let rung = cells[cell].values.len();
                match losses[cell].get(rung) {
                    Some(&value) => cells[cell].values.push(value),
                    None => cells[cell].is_over = true,
                }
            }
        }
        unreachable!("the ticks do not end")
    }

    #[test]
    fn one_at_a_time_nine_cells_leave_three_and_one() {
        let losses: Vec<Vec<f64>> = (0..9).map(|cell| vec![f64::from(9 - cell); 2]).collect();
        let cells = simulate(&losses, 3, 1, &[1]);
        let came_to = |rung: usize| cells.iter().filter(|cell| cell.values.len() > rung).count();
        // Cells get better in their order, so that each third one continues when it is seen, and so does the best in the end.
        assert_eq!(came_to(0), 9);
        assert!((3..=7).contains(&came_to(1)), "{}", came_to(1));
        assert!(cells[8].is_over, "the best cell was trained to its end");
        let losses: Vec<Vec<f64>> = (0..9).map(|cell| vec![f64::from(cell); 2]).collect();
        let cells = simulate(&losses, 3, 1, &[1]);
        assert_eq!(cells.iter().filter(|cell| cell.values.len() > 1).count(), 3);
        assert_eq!(cells.iter().position(|cell| cell.is_over), Some(0));
    }

    #[test]
    fn a_failed_cell_never_goes_on() {
        let losses = vec![vec![f64::INFINITY; 2]; 6];
        assert!(simulate(&losses, 2, 1, &[1]).iter().all(|cell| cell.values.len() == 1));
    }

    #[test]
    fn the_reason_tells_the_rung_the_value_and_the_place() {
        let metric = "valid/mlm_loss".parse().unwrap();
        let halving = HalvingSpec { min_steps: 100, reduction_factor: 3, metric, maximize: false };
        let results = |values: &[f64]| RungResults { values: values.to_vec(), ..RungResults::default() };
        let cells = [results(&[7.1, 6.5]), results(&[7.3]), results(&[7.2]), results(&[])];
        insta::assert_snapshot!(reason(&cells, 1, &halving), @"stopped at rung 0, step 100: valid/mlm_loss 7.3000 is number 3 of 3, and the best 1 continue");
        insta::assert_snapshot!(reason(&cells, 3, &halving), @"it was not begun");
        let cells = [results(&[f64::INFINITY]), results(&[7.3])];
        insta::assert_snapshot!(reason(&cells, 0, &halving), @"stopped at rung 0, step 100: another run of its cell failed");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// When nothing is left to train, every cell was begun, and of each rung at least the best share continued, whoever
        /// was slow; who continued was among the best share of those that had come by then, which no later one undoes.
        #[test]
        fn the_best_of_every_rung_go_on(
            losses in prop::collection::vec(prop::collection::vec(0.0f64..1.0, 3), 1..30),
            factor in 2u64..5, jobs in 1usize..5, pace in prop::collection::vec(1usize..6, 1..5),
        ) {
            let cells = simulate(&losses, factor, jobs, &pace);
            prop_assert!(cells.iter().all(|cell| !cell.values.is_empty()));
            prop_assert!(cells.iter().any(|cell| cell.is_over));
            for (rung, _) in losses[0].iter().enumerate() {
                let there: Vec<usize> = (0..cells.len()).filter(|&cell| cells[cell].values.len() > rung).collect();
                let survived = |cell: usize| cells[cell].values.len() > rung + 1 || cells[cell].is_over;
                for &cell in &there {
                    let better = there.iter().filter(|&&other| losses[other][rung] < losses[cell][rung]).count();
                    let is_best = better < there.len() / factor as usize;
                    prop_assert!(!is_best || survived(cell), "cell {} of rung {}", cell, rung);
                }
                let on = there.iter().filter(|&&cell| survived(cell)).count();
                prop_assert!(on <= there.len() && on >= there.len() / factor as usize);
            }
        }
    }
}
