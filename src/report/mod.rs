//! Report: what the program knows, as values that a command prints and a server sends, each with one spelling.
//!
//! [`comparison`] joins a plan or a query with the store; [`answer`] says in sentences what it came to; [`drawing`] writes
//! its figures and its [`page`], [`tables`] and [`captions`] what a paper takes beside them, and [`kept`] keeps what was
//! drawn before; [`listing`], [`record`], [`difference`], [`planned`], [`explanation`] and [`sweep`] are the answers of the commands
//! that look, [`archived`] the page of an archive, [`find`] is how runs are named, [`estimate`] how long they will take, and [`json`] how numbers are spelled that
//! JSON has none for. Nothing here knows a terminal or a
//! clock. Field names are stable: fields are added, and none changes its meaning.

pub mod answer;
pub mod archived;
pub mod captions;
pub mod comparison;
pub mod difference;
pub mod drawing;
mod error;
pub mod estimate;
pub mod explanation;
pub mod find;
pub mod floors;
pub mod format;
pub mod json;
pub mod kept;
pub mod listing;
pub mod page;
pub mod planned;
pub mod record;
pub mod spelling;
pub mod sweep;
pub mod tables;
mod wanted;

pub use error::ReportError;
pub use wanted::Wanted;

#[cfg(test)]
mod contradictions;
#[cfg(test)]
mod tests;
