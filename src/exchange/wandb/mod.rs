//! W&B's offline runs: the `.wandb` files that `wandb sync` would send become runs of this store.
//!
//! Where files are is in `search`, a file's framing in `log`, its records are in `record`, what they say was measured in `logged`;
//! what becomes what of them is in `import`.

pub mod import;
mod log;
mod logged;
mod record;
mod search;
#[cfg(test)]
mod tests;
