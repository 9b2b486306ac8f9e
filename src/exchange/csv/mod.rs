//! Tables that people have become runs of this store: points one a row or one a column, and runs one a row.
//!
//! What the columns of a table are follows from what they are called, in `columns`, and from nothing else: where that leaves a
//! choice, the table is refused, and the error says what would be understood. What becomes what is in `import`.

mod cells;
mod columns;
pub mod import;
#[cfg(test)]
mod tests;
