//! W&B's offline runs: the `.wandb` files that `wandb sync` would send become runs of this store.
//!
//! A file's framing is in `log`, its records are in `record`; what becomes what of them is in `import`.

pub mod import;
mod log;
mod record;
#[cfg(test)]
mod tests;
