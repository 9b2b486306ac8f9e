//! Tables: text to the left, numbers to the right, a header, no borders.

use comfy_table::{Cell, CellAlignment, Table, presets};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// A table with these columns, and a row of cells for each item.
pub fn table<R: IntoIterator<Item = String>>(columns: &[(&str, Align)], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(columns.iter().map(|(name, align)| Cell::new(name).set_alignment(alignment(*align))));
    for row in rows {
        let cells =
            row.into_iter().zip(columns).map(|(text, (_, align))| Cell::new(text).set_alignment(alignment(*align)));
        table.add_row(cells);
    }
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

fn alignment(align: Align) -> CellAlignment {
    match align {
        Align::Left => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    }
}
