//! The program from outside: what a new user does with it, and what an adversary does to it.
//!
//! Every test runs the real `ablate` in a temporary folder of its own. Models are as small as the program allows, and no
//! test asserts how long anything takes.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test; clippy exempts only functions marked as tests"
)]

mod archives;
mod bad_input;
mod commands;
mod comparisons;
mod crashes;
mod damage;
mod determinism;
mod fine_tuning;
mod guests;
mod halving;
mod imports;
mod layers;
mod lengths;
mod luck;
mod mlflow_stores;
mod old_store;
mod recipes;
mod serving;
mod sharing;
mod stages;
mod stopping;
mod store_keeping;
mod support;
mod tidy;
mod tokenizer;
mod two_runs;
