//! The commands, one file each.

mod bench;
mod compare;
mod diff;
mod doctor;
mod explain;
mod export;
mod fill_mask;
mod import;
mod list;
mod memorisation;
mod plan;
mod predict;
mod reproduce;
mod run;
mod show;
mod tokenizer;
mod worker;

pub use bench::bench;
pub use compare::compare;
pub use diff::diff;
pub use doctor::doctor;
pub use export::export;
pub use fill_mask::fill_mask_of;
pub use import::import;
pub use list::list;
pub use memorisation::memorisation;
pub use plan::plan;
pub use predict::predict;
pub use reproduce::reproduce;
pub use run::run;
pub use show::show;
pub use tokenizer::tokenizer;
pub use worker::worker;
