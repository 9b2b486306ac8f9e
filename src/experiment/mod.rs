//! The experiment file: TOML text to an `Experiment`, every mistake reported at its span in one pass.
