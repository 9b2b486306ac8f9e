//! MLflow's stores: folders of files (`mlruns`, of its versions 1 to 3) and SQLite databases become runs of this store, and
//! runs of this store become a folder that MLflow opens.
//!
//! A store is read through [`Source`]: what is damaged is set aside by itself and named, what has no place here is listed, and
//! everything else comes in with the bits that it has. What MLflow says of a run beside that is kept as it stands, so that
//! [`export`](export::export) gives it back.

mod database;
pub mod export;
mod export_error;
mod file_store;
pub mod import;
mod key_files;
mod line;
mod meta;
mod source;
#[cfg(test)]
mod tests;
pub mod words;
