//! Which class is taken for which: a row for each class that is right, a column for each answer; the best cell, and the
//! baseline beside it.

use super::encoding::{empty_panel, seed_count};
use super::parts::{SHADES, on_shade, shade};
use crate::analysis::{Comparison, Confusions, confusions, looked_at, side};
use crate::plot::figure::{Colour, Figure, LegendItem, Mark, Owner, Panel, Sample};
use crate::plot::ticks::named_axis;

/// From so many classes on, tiles have no room for counts, and from so many for no words at all.
const COUNTS: usize = 9;
const WORDS: usize = 17;
/// Two panels stand side by side up to so many classes.
const BESIDE: usize = 4;
/// Room for a row of tiles with two lines, and with one or none.
const TALL_PT: f64 = 30.0;
const ROW_PT: f64 = 17.0;
const AROUND_PT: f64 = 110.0;

/// The confusion matrices of the best cell and the baseline. Absent where no run tells them.
pub fn confusion(comparison: &Comparison) -> Option<Figure> {
    let cells = comparison.cells();
    let cells = looked_at(comparison, &cells);
    let found = cells.into_iter().filter_map(|(what, cell)| Some((what, cell, confusions(comparison, cell)?)));
    let found = found.collect::<Vec<_>>();
    let classes = found.iter().map(|(_, _, matrix)| matrix.labels.len()).max()?;
    let panels = found.iter().map(|(what, cell, matrix)| {
        let mut panel = panel_of(format!("{what}: {}", cell.key), matrix);
        let since = panel.so_far();
        panel.marks.extend(tiles(matrix));
        panel.give(since, Owner::cell(&cell.key));
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let columns = if classes <= BESIDE { panels.len() } else { 1 };
    let rows = panels.len().div_ceil(columns) as f64;
    let row = if classes < COUNTS { TALL_PT } else { ROW_PT };
    let counts = found.iter().map(|(_, _, matrix)| matrix.n).collect::<Vec<_>>();
    let texts = if side(comparison) == "test" { "test examples" } else { "held-out examples" };
    let words = match classes {
        n if n < COUNTS => "Numbers: how many of the class had this answer, and what part of the class they are; means",
        n if n < WORDS => "Numbers: what part of the class had this answer; means",
        _ => "Shades are of means",
    };
    let colours = (0..SHADES).map(|i| Colour::full(shade(f64::from(i) / f64::from(SHADES - 1))));
    Some(Figure {
        kind: "confusion",
        name: "confusion".to_owned(),
        title: format!("{}: which class is taken for which", comparison.experiment),
        subtitle: format!("Rows: what the {texts} are. Columns: what the model says after its last step."),
        legend: vec![LegendItem::Entry {
            sample: Sample::Scale(colours.collect()),
            text: "0 to 100 % of a row".to_owned(),
        }],
        caption: format!("{words}, {}.", seed_count(&counts)),
        height: (AROUND_PT + row * classes as f64) * rows,
        columns,
        panels,
    })
}

/// The first class is on top.
fn panel_of(title: String, matrix: &Confusions) -> Panel {
    let upward = matrix.labels.iter().rev().cloned().collect::<Vec<_>>();
    empty_panel(title, named_axis("answer", &matrix.labels), named_axis("truth", &upward))
}

fn tiles(matrix: &Confusions) -> impl Iterator<Item = Mark> {
    let n = matrix.labels.len();
    (0..n).flat_map(move |truth| (0..n).map(move |answer| (truth, answer))).map(move |(truth, answer)| {
        let share = matrix.share(truth, answer);
        let text = match share {
            Some(share) if n < COUNTS => {
                format!("{}\n{}", count(matrix.counts[truth][answer]), percent(share))
            }
            Some(share) if n < WORDS => percent(share),
            None if n < WORDS => "\u{2013}".to_owned(),
            _ => String::new(),
        };
        let place = share.unwrap_or(0.0);
        Mark::Tile {
            centre: (answer as f64, (n - 1 - truth) as f64),
            width: 0.97,
            height: 0.94,
            colour: Colour::full(shade(place)),
            text,
            ink: on_shade(place),
        }
    })
}

/// A mean of counts, whole where it is.
fn count(mean: f64) -> String {
    if (mean - mean.round()).abs() < 1e-9 || mean >= 99.95 { format!("{mean:.0}") } else { format!("{mean:.1}") }
}

fn percent(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0 %".to_owned(),
        few if few < 1.0 => "< 1 %".to_owned(),
        some => format!("{some:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn rows_are_what_is_right_and_the_first_class_is_on_top() {
        let figure = confusion(&fixture::answered()).unwrap();
        assert_eq!(
            figure.panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>(),
            ["best: size=mini mask_ratio=0.30 nsp=off", "baseline: size=tiny mask_ratio=0.15 nsp=off"]
        );
        let tiles = figure.panels[1].marks.iter().filter_map(|mark| match mark {
            Mark::Tile { centre: (x, y), text, .. } => Some((*x, *y, text.replace('\n', " | "))),
            _ => None,
        });
        let tiles = tiles.collect::<Vec<_>>();
        // Runs 0, 1 and 2 of the first class: 0, 1 and 2 wrong answers of each kind.
        assert_eq!(tiles[0], (0.0, 2.0, "38 | 95 %".to_owned()));
        assert_eq!(tiles[1], (1.0, 2.0, "1 | 2 %".to_owned()));
        assert_eq!(tiles.len(), 9);
        assert!(matches!(&figure.panels[1].owned[..], [owned] if owned.marks == (0..9)));
        insta::assert_snapshot!(figure.caption, @"Numbers: how many of the class had this answer, and what part of the class they are; means, n = 3 seeds.");
    }

    #[test]
    fn without_such_facts_there_is_no_figure() {
        assert_eq!(confusion(&fixture::sweep()), None);
    }
}
