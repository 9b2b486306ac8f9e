//! Formats of others: what they wrote becomes runs of the store, and runs of the store become what they read.
//!
//! Nothing here trains, draws or asks people: a format is read into the store's own types or written from them, and
//! whatever cannot be carried over is listed, never dropped. Between stores, runs move as they are: in one file
//! ([`archive`]), or from folder to folder ([`transfer`]).

pub mod archive;
#[cfg(unix)]
mod copying;
mod findings;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
pub mod mlflow;
mod pick;
mod staging;
pub mod table;
#[cfg(test)]
mod tests;
pub mod transfer;
#[cfg(unix)]
mod yaml;

pub use findings::{Finding, Findings};
