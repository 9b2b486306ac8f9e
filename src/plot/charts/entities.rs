//! How well each kind of entity is found: F1 of the best cell, and of the baseline beside it.

use super::encoding::{empty_panel, seed_count};
use super::parts::dot;
use crate::analysis::{Comparison, EntityScore, entity_scores, looked_at, side};
use crate::plot::figure::{Colour, Figure, Ink, LegendItem, Mark, Owner, PlotAxis, Sample, Scale, Tick};
use crate::plot::ticks::linear_axis;

/// Room for a kind with one cell, and for each cell more.
const ROW_PT: f64 = 20.0;
const MORE_PT: f64 = 9.0;
/// How far two cells of one kind are apart.
const APART: f64 = 0.32;

/// F1 by kind of entity. Absent where no run tells it.
pub fn entities(comparison: &Comparison) -> Option<Figure> {
    let cells = comparison.cells();
    let cells = looked_at(comparison, &cells);
    let found = cells.into_iter().map(|(what, cell)| (what, cell, entity_scores(comparison, cell)));
    let found = found.filter(|(.., scores)| !scores.is_empty()).collect::<Vec<_>>();
    let kinds = rows(&found.first()?.2);
    let mut panel = empty_panel(String::new(), f1_axis(), kind_axis(&kinds));
    for (i, (_, cell, scores)) in found.iter().enumerate() {
        let shift = APART * ((found.len() - 1) as f64 / 2.0 - i as f64);
        let ink = Ink::Category(i as u8);
        let since = panel.so_far();
        for score in scores {
            let Some(row) = kinds.iter().position(|(kind, _)| *kind == score.kind) else { continue };
            let y = shift - row as f64;
            if let Some(interval) = score.estimate.interval {
                let (low, high) = (interval.low.max(0.0), interval.high.min(1.0));
                panel.marks.push(Mark::Span { y, low, high, colour: Colour::full(ink) });
            }
            let of_seed = |f1: &f64| Mark::Dot { at: (*f1, y), radius: 1.6, colour: Colour::pale(ink), filled: true };
            if score.f1.len() > 1 {
                panel.marks.extend(score.f1.iter().map(of_seed));
            }
            panel.marks.push(dot((score.estimate.mean, y), 2.9, ink, true));
        }
        panel.give(since, Owner::cell(&cell.key));
    }
    let entry = |(i, (what, cell, _)): (usize, &(&str, &crate::analysis::Cell<'_>, Vec<EntityScore>))| {
        let sample = Sample::Dot { colour: Colour::full(Ink::Category(i as u8)), filled: true };
        LegendItem::Entry { sample, text: format!("{what}: {}", cell.key) }
    };
    let counts = found.iter().flat_map(|(.., scores)| scores).map(|score| score.f1.len()).collect::<Vec<_>>();
    let texts = if side(comparison) == "test" { "test examples" } else { "held-out examples" };
    Some(Figure {
        kind: "entities",
        name: "entities".to_owned(),
        title: format!("{}: how well each kind of entity is found", comparison.experiment),
        subtitle: format!("Of the {texts}, after the last step; how many there are stands beside the kind."),
        legend: found.iter().enumerate().map(entry).collect(),
        caption: caption(&counts),
        height: 100.0 + (ROW_PT + MORE_PT * (found.len() - 1) as f64) * kinds.len() as f64,
        columns: 1,
        panels: vec![panel],
    })
}

/// The kinds with how many there are, the most frequent first.
fn rows(scores: &[EntityScore]) -> Vec<(String, f64)> {
    let mut kinds = scores.iter().map(|score| (score.kind.clone(), score.truly)).collect::<Vec<_>>();
    kinds.sort_by(|a, b| b.1.total_cmp(&a.1));
    kinds
}

fn f1_axis() -> PlotAxis {
    PlotAxis { low: -0.02, high: 1.02, ..linear_axis("F1 of entities, place and kind right", 0.0, 1.0, 5) }
}

fn kind_axis(kinds: &[(String, f64)]) -> PlotAxis {
    let tick =
        |(i, (kind, truly)): (usize, &(String, f64))| Tick { at: -(i as f64), text: format!("{kind} ({truly:.0})") };
    let low = 0.4 - kinds.len() as f64;
    let ticks = kinds.iter().enumerate().map(tick).collect();
    PlotAxis { label: String::new(), scale: Scale::Linear, low, high: 0.6, ticks, grid: false }
}

fn caption(counts: &[usize]) -> String {
    let seeds = seed_count(counts);
    if counts.iter().all(|&n| n < 2) {
        return format!("Dots: single runs; {seeds}. Without a second seed there is no interval.");
    }
    format!(
        "Dots: means, small ones single runs; {seeds}. Bars: 95 % interval of the mean over the seeds (Student's t)."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn each_kind_has_a_row_and_each_cell_a_dot_in_it() {
        let figure = entities(&fixture::answered()).unwrap();
        let panel = &figure.panels[0];
        let rows = panel.y.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>();
        assert_eq!(rows, ["PS (23)", "OG (22)", "LC (21)", "DT (20)"]);
        let dots = panel.marks.iter().filter(|mark| matches!(mark, Mark::Dot { radius, .. } if *radius > 2.0));
        assert_eq!(dots.count(), 8);
        // Baseline, PS: 15, 16 and 17 right, of 20 named and 23 there.
        let mean = 2.0 * 16.0 / 43.0;
        let is_there =
            |mark: &Mark| matches!(mark, Mark::Dot { at: (x, y), .. } if (x - mean).abs() < 1e-9 && *y == -0.16);
        assert!(panel.marks.iter().any(is_there), "{:?}", panel.marks);
        assert_eq!(panel.owned.len(), 2);
    }

    #[test]
    fn without_such_facts_there_is_no_figure() {
        assert_eq!(entities(&fixture::sweep()), None);
    }
}
