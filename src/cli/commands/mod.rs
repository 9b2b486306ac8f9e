//! The commands, one file each: what it takes, and what it does.
//!
//! A new command is a file and two lines here.

mod archive;
mod bench;
mod compare;
mod cp;
mod delete;
mod demo;
mod diff;
mod doctor;
mod du;
mod explain;
mod export;
mod fill_mask;
mod fsck;
mod gc;
mod group;
mod import;
mod keys;
mod list;
mod memorisation;
mod note;
mod plan;
mod predict;
mod problems;
mod reindex;
mod rename;
mod reproduce;
mod restore;
mod resume;
mod run;
#[cfg(unix)]
mod serve;
mod show;
mod status;
mod stop;
mod tag;
mod tokenizer;
mod verify;
mod worker;

use clap::Parser;

use super::args::Global;
use super::context::Context;
use super::error::CliError;

/// Declare a sweep over small masked language models, train it, compare it honestly, reproduce any run bit for bit.
#[derive(Debug, Parser)]
#[command(name = "ablate", version, propagate_version = true, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What the program is asked to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// A first answer in about 20 seconds: a small experiment, written to demo.toml and run
    Demo(demo::Arguments),
    /// Show what an experiment file amounts to, without training
    Plan(plan::Arguments),
    /// Train what is missing of an experiment and draw the comparison
    Run(run::Arguments),
    /// How far the sweeps are that are running
    Status(status::Arguments),
    /// Ask a running sweep, or one of its runs, for a checkpoint and an orderly end
    Stop(stop::Arguments),
    /// Go on with runs that were interrupted, by their stored specifications
    Resume(resume::Arguments),
    /// List runs
    List(list::Arguments),
    /// Show everything about a run
    Show(show::Arguments),
    /// Compare two runs: settings, results, provenance
    Diff(diff::Arguments),
    /// Compare the runs of an experiment, or any runs: tables, figures, report.html
    Compare(compare::Arguments),
    /// Execute a finished run again and prove that it comes out the same
    Reproduce(reproduce::Arguments),
    /// What a trained model expects behind each [MASK] of a text
    FillMask(fill_mask::Arguments),
    /// What a model trained for a task says about the texts of a file
    Predict(predict::Arguments),
    /// Which spans of its train documents a model gives back word for word
    Memorisation(memorisation::Arguments),
    /// Train, inspect and compare tokenizers
    Tokenizer(tokenizer::Arguments),
    /// Take what other programs wrote into the store
    Import(import::Arguments),
    /// Write a trained model, or runs, for other programs
    Export(export::Arguments),
    /// Put runs and all that they stand on into one file, which a browser opens
    Archive(archive::Arguments),
    /// Prove that every bit of an archive is the one that was written
    Verify(verify::Arguments),
    /// Copy runs, and what they stand on, to another store
    Cp(cp::Arguments),
    /// Move runs to another store
    Mv(cp::Arguments),
    /// Serve the store: MLflow's clients log to it, programs read from it
    #[cfg(unix)]
    Serve(serve::Arguments),
    /// Give runs tags, or take them away
    Tag(tag::Arguments),
    /// Say something about a run
    Note(note::Arguments),
    /// Give a run a name beside its id
    Rename(rename::Arguments),
    /// Count runs to a further experiment
    Group(group::Arguments),
    /// Put runs into the trash
    Delete(delete::Arguments),
    /// Bring runs back from the trash
    Restore(restore::Arguments),
    /// Free the disk of what nothing asks for
    Gc(gc::Arguments),
    /// What the store takes on the disk
    Du(du::Arguments),
    /// Read every byte of the store, and set aside what is damaged
    Fsck(fsck::Arguments),
    /// Make the index anew from the run folders
    Reindex(reindex::Arguments),
    /// The keys of the experiment file: values, defaults, meanings
    Keys(keys::Arguments),
    /// Explain a problem by the name that an error shows
    Explain(problems::Arguments),
    /// Check this machine, this program and the store
    Doctor(doctor::Arguments),
    /// Measure training steps of known shapes on this machine
    Bench(bench::Arguments),
    /// Execute one run (what `run` starts)
    #[command(hide = true)]
    Worker(worker::Arguments),
}

impl Command {
    /// Does it.
    pub fn execute(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Demo(arguments) => demo::demo(context, arguments),
            Self::Plan(arguments) => plan::plan(context, arguments),
            Self::Run(arguments) => run::run(context, arguments),
            Self::Status(arguments) => status::status(context, arguments),
            Self::Stop(arguments) => stop::stop(context, arguments),
            Self::Resume(arguments) => resume::resume(context, arguments),
            Self::List(arguments) => list::list(context, arguments),
            Self::Show(arguments) => show::show(context, arguments),
            Self::Diff(arguments) => diff::diff(context, arguments),
            Self::Compare(arguments) => compare::compare(context, arguments),
            Self::Reproduce(arguments) => reproduce::reproduce(context, arguments),
            Self::FillMask(arguments) => fill_mask::fill_mask_of(context, arguments),
            Self::Predict(arguments) => predict::predict(context, arguments),
            Self::Memorisation(arguments) => memorisation::memorisation(context, arguments),
            Self::Tokenizer(arguments) => tokenizer::tokenizer(context, arguments),
            Self::Import(arguments) => import::import(context, arguments),
            Self::Export(arguments) => export::export(context, arguments),
            Self::Archive(arguments) => archive::archive(context, arguments),
            Self::Verify(arguments) => verify::verify(context, arguments),
            Self::Cp(arguments) => cp::transfer(context, arguments, cp::Way::Copy),
            Self::Mv(arguments) => cp::transfer(context, arguments, cp::Way::Move),
            #[cfg(unix)]
            Self::Serve(arguments) => serve::serve(context, arguments),
            Self::Tag(arguments) => tag::tag(context, arguments),
            Self::Note(arguments) => note::note(context, arguments),
            Self::Rename(arguments) => rename::rename(context, arguments),
            Self::Group(arguments) => group::group(context, arguments),
            Self::Delete(arguments) => delete::delete(context, arguments),
            Self::Restore(arguments) => restore::restore(context, arguments),
            Self::Gc(arguments) => gc::gc(context, arguments),
            Self::Du(arguments) => du::du(context, arguments),
            Self::Fsck(arguments) => fsck::fsck(context, arguments),
            Self::Reindex(arguments) => reindex::reindex(context, arguments),
            Self::Keys(arguments) => keys::keys(context, arguments),
            Self::Explain(arguments) => problems::explain_problem(context, arguments),
            Self::Doctor(arguments) => doctor::doctor(context, arguments),
            Self::Bench(arguments) => bench::bench(context, arguments),
            Self::Worker(arguments) => worker::worker(context, arguments),
        }
    }
}
