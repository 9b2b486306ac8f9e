//! Formats of others: what they wrote becomes runs of the store, and runs of the store become what they read.
//!
//! Nothing here trains, draws or asks people: a format is read into the store's own types or written from them, and
//! whatever cannot be carried over is listed, never dropped. Between stores, runs move as they are: in one file
//! ([`archive`]), or from folder to folder ([`transfer`]).

pub mod archive;
#[cfg(unix)]
mod copying;
#[cfg(unix)]
pub mod csv;
mod findings;
#[cfg(unix)]
mod folder;
#[cfg(unix)]
mod intake;
#[cfg(unix)]
pub mod mlflow;
mod pick;
#[cfg(unix)]
mod records;
mod staging;
pub mod table;
#[cfg(unix)]
pub mod tensorboard;
#[cfg(all(test, unix))]
mod testing;
#[cfg(test)]
mod tests;
pub mod transfer;
#[cfg(unix)]
pub mod wandb;
#[cfg(unix)]
mod wire;
#[cfg(unix)]
mod yaml;

pub use findings::{Finding, Findings};
#[cfg(unix)]
pub use intake::{ImportError, Imported, ImportedRun, KnownRun, Options};
