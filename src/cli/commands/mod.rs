//! The commands, one file each.

mod bench;
mod compare;
mod diff;
mod doctor;
mod explain;
mod list;
mod plan;
mod reproduce;
mod run;
mod show;
mod worker;

pub use bench::bench;
pub use compare::compare;
pub use diff::diff;
pub use doctor::doctor;
pub use list::list;
pub use plan::plan;
pub use reproduce::reproduce;
pub use run::run;
pub use show::show;
pub use worker::worker;
