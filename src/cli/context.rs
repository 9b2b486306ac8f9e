//! What every command works with: the printer, the store, and an experiment file read and planned.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::args::{ExperimentFile, Global};
use super::error::{CliError, print_diagnostics};
use super::printer::{Printer, Style};
use crate::clock;
#[cfg(unix)]
use crate::exchange::Findings;
use crate::experiment::{Diagnostics, Experiment, Source};
use crate::plan::{self, CorpusFacts, CorpusRef, ExamplesFacts, ExamplesRef, LookUp, Plan, RunSpec, StageSpec};
use crate::report::find::find_run;
use crate::report::format;
use crate::runner::data_sources::{DataSources, SearchPath};
use crate::runner::trained::{self, Trained, TrainedError, Which};
use crate::runner::{corpora, examples};
use crate::store::{Index, RunQuery, RunRow, RunState, Store, StoreError, StoredRun, Trash};
use crate::types::ContentHash;

/// The surroundings of a command.
#[derive(Clone, Debug)]
pub struct Context {
    pub printer: Printer,
    pub runs: PathBuf,
    pub data_root: PathBuf,
    /// What the person typed.
    pub command: Vec<String>,
}

/// An experiment file, read and planned.
#[derive(Debug)]
pub struct Loaded {
    pub experiment: Experiment,
    pub plan: Plan,
    /// Where the files that it names are looked up.
    pub search: SearchPath,
}

impl Context {
    /// Takes the options apart once.
    pub fn new(global: &Global) -> Self {
        let command = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
        let (runs, data_root) = (global.runs.clone(), global.data.clone());
        Self { printer: Printer::new(global), runs, data_root, command }
    }

    /// The store, made when it is not there.
    pub fn store(&self) -> Result<Store, CliError> {
        Ok(self.store_at(&self.runs)?)
    }

    /// Another store, made when it is not there.
    pub fn store_at(&self, root: &Path) -> Result<Store, StoreError> {
        let store = Store::open(root)?;
        Ok(match cache_folder() {
            Some(cache) => store.with_cache(&cache),
            None => store,
        })
    }

    /// The store, for a command that only looks: one that is not there is reported, not made.
    pub fn existing_store(&self) -> Result<Store, CliError> {
        if !self.runs.exists() {
            let runs = self.runs.display();
            let text =
                format!("there is no run store at `{runs}`; `ablate run FILE` makes one, `--runs DIR` names another");
            return Err(CliError::request(text));
        }
        self.store()
    }

    /// The index of the store, after it has read what changed; of many runs it says how far it is.
    pub fn index(&self, store: &Store) -> Result<Index, CliError> {
        Ok(Index::open_at_times(store, clock::now(), &mut |done, all| self.say_reading(done, all))?)
    }

    /// Says how many runs were read, where reading them takes a while.
    pub fn say_reading(&self, done: usize, all: usize) {
        const MANY: usize = 2_000;
        if all > MANY && done.is_multiple_of(MANY - MANY % 256) {
            self.printer.status(Style::Hint, "Reading", format!("{done} of {all} runs"));
        }
    }

    /// Says now and then how many bytes of how many are done, where that takes a while.
    pub fn bytes_told(&self, verb: &'static str) -> impl FnMut(u64, u64) {
        /// What is done in a second or two is not spoken of.
        const OFTEN: u64 = 512 << 20;

        let (printer, mut said) = (self.printer, 0);
        move |done, all| {
            if all > OFTEN && done / OFTEN > said {
                said = done / OFTEN;
                let text = format!("{}B of {}B", format::si(done as f64), format::si(all as f64));
                printer.status(Style::Hint, verb, text);
            }
        }
    }

    /// The runs that the words of a query find, none of which may be all.
    pub fn found(&self, store: &Store, words: &[String], trash: Trash) -> Result<(Index, Vec<RunRow>), CliError> {
        let query = RunQuery::parse(&words.join(" "), clock::now())?;
        let query = if query.trash == Trash::Without { query.from_trash(trash) } else { query };
        let mut index = self.index(store)?;
        let rows = index.query(&query)?;
        self.say_unreadable(&index);
        if query.words().any(|word| word == "latest") {
            index.is_every_run_read()?;
        }
        if rows.is_empty() {
            let elsewhere = index.query(&query.clone().from_trash(Trash::With))?.len();
            let text = match (elsewhere, query.trash) {
                (0, _) | (_, Trash::With) => "`ablate list` shows all runs".to_owned(),
                (_, Trash::Without) => {
                    let runs = format::plural(elsewhere, "run");
                    format!("{runs} of the trash would; `ablate restore` brings runs back")
                }
                (_, Trash::Only) => {
                    format!("{} outside of the trash would", format::plural(elsewhere, "run"))
                }
            };
            return Err(CliError::request(format!("no run matches `{}`; {text}", query.text())));
        }
        Ok((index, rows))
    }

    /// Names the runs that an index could not read, which are in none of its answers.
    pub fn say_unreadable(&self, index: &Index) {
        for (run, error) in index.unreadable() {
            let advice = if error.is_damage() { "; `ablate fsck --repair` sets the run aside" } else { "" };
            self.printer.status(Style::Caution, "Warning", format!("run {run} is left out: {error}{advice}"));
        }
    }

    /// Names what did not come over as it stands, all of it.
    #[cfg(unix)]
    pub fn say_findings(&self, findings: &Findings) {
        let kinds =
            [("Set aside", &findings.set_aside), ("Not taken", &findings.not_taken), ("Changed", &findings.changed)];
        for (verb, found) in kinds {
            found.iter().for_each(|one| {
                self.printer.status(Style::Caution, verb, format!("{}: {}", one.place, one.why));
            });
        }
    }

    /// Reads an experiment file with all that it builds on; every mistake is an error, oddities are said.
    pub fn read(&self, arguments: &ExperimentFile) -> Result<Experiment, CliError> {
        let path = &arguments.file;
        let text = read_text(path).map_err(CliError::Request)?;
        let mut bases = Bases::of(path);
        let load = &mut |base: &str, by: &str| bases.load(base, by);
        let experiment = plan::read(&text, &path.display().to_string(), &arguments.sets, load)?;
        let warnings = Diagnostics::new(experiment.source.clone(), experiment.warnings.clone());
        if !self.printer.quiet {
            print_diagnostics(&warnings, &self.printer);
        }
        Ok(experiment)
    }

    /// Reads an experiment file and plans it.
    pub fn load(&self, arguments: &ExperimentFile) -> Result<Loaded, CliError> {
        let experiment = self.read(arguments)?;
        let experiment_dir =
            std::path::absolute(&arguments.file).ok().and_then(|path| path.parent().map(Path::to_owned));
        let search = SearchPath { experiment_dir, data_root: self.data_root.clone() };
        let plan = plan::plan_with(&experiment, &mut Surroundings { context: self, search: &search })?;
        Ok(Loaded { experiment, plan, search })
    }

    /// The plan of a text as an experiment file of this folder.
    pub fn planned_from(&self, text: &str) -> Result<Plan, Diagnostics> {
        let nobody = &mut |base: &str, _: &str| Err(format!("`{base}` is not looked for"));
        let experiment = plan::read(text, "the file", &[], nobody)?;
        let search = SearchPath { experiment_dir: std::env::current_dir().ok(), data_root: self.data_root.clone() };
        plan::plan_with(&experiment, &mut Surroundings { context: self, search: &search })
    }

    /// What stored runs are made of; the store is made when it is not there.
    pub fn sources(&self) -> Result<DataSources, CliError> {
        let search = SearchPath { experiment_dir: None, data_root: self.data_root.clone() };
        Ok(DataSources { search, store: self.store()? })
    }

    /// What the runs of an experiment are made of; the store is made when it is not there.
    pub fn sources_of(&self, loaded: &Loaded) -> Result<DataSources, CliError> {
        Ok(DataSources { search: loaded.search.clone(), store: self.store()? })
    }

    /// The model that a run trained.
    pub fn trained(&self, run: &StoredRun, which: Which) -> Result<Trained, CliError> {
        run.planned()?;
        trained::load(run, which, &self.sources()?).map_err(|error| match error {
            TrainedError::NoCheckpoint { .. } => CliError::request(error),
            _ => CliError::work(error),
        })
    }

    /// The model that a run pretrained.
    pub fn pretrained(&self, run: &StoredRun, which: Which) -> Result<Trained, CliError> {
        Self::check_pretrained(run)?;
        self.trained(run, which)
    }

    /// Whether a run has a head for masked tokens.
    pub fn check_pretrained(run: &StoredRun) -> Result<(), CliError> {
        match &run.planned()?.stage {
            StageSpec::Pretrain(_) | StageSpec::Import(_) => Ok(()),
            StageSpec::Finetune(_) => Err(CliError::request(format!(
                "run {} was fine-tuned and has no head for masked tokens; use the pretraining run that it starts from, or \
                 `ablate predict {} FILE`",
                run.id, run.id
            ))),
        }
    }

    /// Where the reports of an experiment are kept: a folder below the store, whatever the experiment is called.
    pub fn report_folder(&self, name: &str) -> PathBuf {
        self.reports().join(plain_name(name))
    }

    /// Where all reports are kept.
    pub fn reports(&self) -> PathBuf {
        self.runs.join("reports")
    }
}

/// Where the user's programs keep what they can make again (XDG Base Directory).
#[expect(clippy::disallowed_methods, reason = "the command line reads the environment")]
fn cache_folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    named("XDG_CACHE_HOME").or_else(|| named("HOME").map(|home| home.join(".cache")))
}

/// A name without what a path would take for a folder.
fn plain_name(name: &str) -> String {
    let name = name.replace(['/', '\\'], "-");
    if name.starts_with('.') { format!("-{name}") } else { name }
}

/// Data beside the experiment file or under the data root, and the runs of the store.
struct Surroundings<'a> {
    context: &'a Context,
    search: &'a SearchPath,
}

impl LookUp for Surroundings<'_> {
    fn corpus(&mut self, corpus: &CorpusRef) -> Result<CorpusFacts, String> {
        corpora::look_up(corpus, self.search).map_err(|error| error.to_string())
    }

    fn dictionary(&mut self, name: &str) -> Result<ContentHash, String> {
        corpora::dictionary(name, self.search).map_err(|error| error.to_string())
    }

    fn run(&mut self, name: &str) -> Result<RunSpec, String> {
        let store = self.context.store_at(&self.context.runs).map_err(|error| error.to_string())?;
        let run = find_run(&store, name, clock::now()).map_err(|error| error.to_string())?;
        let spec = run.planned().map_err(|error| error.to_string())?;
        match run.state {
            _ if spec.encoder_layers() == 0 => {
                Err(format!("run {} has no encoder to start from: it was fine-tuned without one", run.id))
            }
            RunState::Finished => run.dir.read_restated_spec().map_err(|error| error.to_string()),
            state => Err(format!("run {} is {state}, and only a finished run can be started from", run.id)),
        }
    }

    fn examples(&mut self, examples: &ExamplesRef) -> Result<ExamplesFacts, String> {
        examples::look_up(examples, self.search).map_err(|error| error.to_string())
    }
}

/// The files that an experiment builds on, each under one name however it is reached.
struct Bases {
    names: BTreeMap<PathBuf, String>,
}

impl Bases {
    fn of(file: &Path) -> Self {
        Self { names: BTreeMap::from([(identity(file), file.display().to_string())]) }
    }

    /// Reads the file that `by` builds on: a path is taken from the folder of the file that names it.
    fn load(&mut self, base: &str, by: &str) -> Result<Source, String> {
        let path = Path::new(by).parent().unwrap_or(Path::new("")).join(base);
        let text = read_text(&path)?;
        let name = self.names.entry(identity(&path)).or_insert_with(|| path.display().to_string());
        Ok(Source { name: name.clone(), text })
    }
}

fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn read_text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|e| cannot_read(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&e.as_bytes()[..at]);
        let (line, column) = (before.split('\n').count(), before.chars().rev().take_while(|&c| c != '\n').count() + 1);
        format!("{}:{line}:{column}: the file is not UTF-8 (byte {at}); save it in UTF-8", path.display())
    })
}

fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "; is the path right?",
        std::io::ErrorKind::IsADirectory => "; name the experiment file in it",
        _ => "",
    };
    format!("cannot read the experiment file `{}`: {error}{hint}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_folder_is_one_name_below_the_store() {
        for (name, expected) in
            [("quickstart", "quickstart"), ("../../up", "-..-..-up"), ("..", "-.."), ("a\\b/c", "a-b-c")]
        {
            assert_eq!(plain_name(name), expected);
            assert_eq!(Path::new(&plain_name(name)).components().count(), 1);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let (path, korean) = (folder.path().join("x.toml"), "[experiment]\nname = \"한".as_bytes());
        std::fs::write(&path, [korean, &[0xff]].concat()).unwrap();
        let text = read_text(&path).unwrap_err();
        assert!(text.ends_with("x.toml:2:10: the file is not UTF-8 (byte 24); save it in UTF-8"), "{text}");
        assert!(read_text(&folder.path().join("y.toml")).unwrap_err().ends_with("is the path right?"));
        assert!(read_text(folder.path()).unwrap_err().ends_with("name the experiment file in it"));
    }

    /// However a file is reached, it has one name, so that a circle is seen.
    #[test]
    fn a_base_has_one_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["a.toml", "sub/b.toml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let first = folder.path().join("a.toml");
        let mut bases = Bases::of(&first);
        let b = bases.load("sub/b.toml", first.to_str().unwrap()).unwrap();
        assert_eq!(b.text, "sub/b.toml");
        assert_eq!(bases.load("../a.toml", &b.name).unwrap().name, first.to_str().unwrap());
        assert_eq!(bases.load("../sub/../sub/b.toml", &b.name).unwrap().name, b.name);
    }
}
