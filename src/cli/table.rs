//! Tables: text to the left, numbers to the right, a header, no borders. On a terminal, text gives way where a row would
//! not fit; a pipe gets everything.

use super::columns::{cut, visible_width};
use super::printer::terminal_width;

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text, which is cut where the terminal is too narrow.
    Left,
    /// Numbers, which are never cut.
    Right,
}

/// Columns between two cells.
const GAP: usize = 2;
/// Text is not cut to less than this.
const SHORTEST: usize = 8;

/// A table with these columns, and a row of cells for each item.
pub fn table<R: IntoIterator<Item = String>>(columns: &[(&str, Align)], rows: impl IntoIterator<Item = R>) -> String {
    table_within(terminal_width(), columns, rows)
}

/// A table of so many columns of a terminal, where it is for one.
fn table_within<R: IntoIterator<Item = String>>(
    room: Option<usize>,
    columns: &[(&str, Align)],
    rows: impl IntoIterator<Item = R>,
) -> String {
    let one_line = |cell: String| if cell.contains('\n') { cell.replace('\n', " ") } else { cell };
    let rows = rows.into_iter().map(|row| row.into_iter().map(one_line).collect::<Vec<_>>()).collect::<Vec<_>>();
    let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    let mut widths = vec![0; columns.len()];
    for row in rows.iter().chain([&header]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(visible_width(cell));
        }
    }
    if let Some(room) = room {
        let is_text = columns.iter().map(|(_, align)| *align == Align::Left).collect::<Vec<_>>();
        fit(&mut widths, &is_text, room);
    }
    let line = |row: &Vec<String>| {
        let cell = |((text, (_, align)), &width): ((&String, &(&str, Align)), &usize)| {
            let text = cut(text, width);
            let padding = " ".repeat(width.saturating_sub(visible_width(&text)));
            match align {
                Align::Left => format!("{text}{padding}"),
                Align::Right => format!("{padding}{text}"),
            }
        };
        let cells = row.iter().zip(columns).zip(&widths).map(cell).collect::<Vec<_>>();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    [&header].into_iter().chain(&rows).map(line).collect::<Vec<_>>().join("\n")
}

/// Narrows the widest columns of text, one after the other, until a row fits into `room` or all are as short as may be.
fn fit(widths: &mut [usize], is_text: &[bool], room: usize) {
    let needed = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
    while needed(widths) > room {
        let able = (0..widths.len()).filter(|&i| is_text[i] && widths[i] > SHORTEST);
        let Some(widest) = able.max_by_key(|&i| (widths[i], i)) else { return };
        widths[widest] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pipe_gets_every_word() {
        let long = "a cell that is longer than any terminal is wide ".repeat(6);
        let columns = [("run", Align::Left), ("n", Align::Right)];
        let text = table_within(None, &columns, [[long.clone(), "12".to_owned()]]);
        assert!(text.contains(long.trim_end()) && text.starts_with("run"));
        let rows = [["a", "1"], ["bcd", "10"]].map(|row| row.map(str::to_owned));
        assert_eq!(table_within(None, &columns, rows), "run   n\na     1\nbcd  10");
    }

    #[test]
    fn a_terminal_gets_rows_that_fit() {
        let long = "a cell that is longer than any terminal is wide ".repeat(6);
        let columns = [("run", Align::Left), ("n", Align::Right), ("cell", Align::Left)];
        let text = table_within(Some(40), &columns, [["abcdefgh".to_owned(), "12".to_owned(), long]]);
        assert!(text.lines().all(|line| visible_width(line) <= 40) && text.contains("abcdefgh  12  a cell"), "{text}");
    }

    proptest! {
        /// A row fits, unless numbers and the shortest texts alone are too wide; numbers keep their width, and no text is
        /// cut more than it must be.
        #[test]
        fn text_gives_way_and_numbers_do_not(
            columns in prop::collection::vec((1usize..60, any::<bool>()), 1..10), room in 20usize..200,
        ) {
            let (before, is_text): (Vec<usize>, Vec<bool>) = columns.into_iter().unzip();
            let mut widths = before.clone();
            fit(&mut widths, &is_text, room);
            let total = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
            let is_shortest = |i: usize| !is_text[i] || widths[i] <= SHORTEST;
            prop_assert!(total <= room || (0..widths.len()).all(is_shortest));
            for i in 0..widths.len() {
                prop_assert!(widths[i] <= before[i] && (is_text[i] || widths[i] == before[i]));
                prop_assert!(widths[i] >= before[i].min(SHORTEST));
            }
            if widths != before {
                prop_assert!(total + 1 >= room, "{} of {} columns are used", total, room);
            }
        }
    }
}
