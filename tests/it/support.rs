//! A temporary folder with experiment files and a store, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// An experiment that trains in a fraction of a second.
pub const TINY: &str = r#"[experiment]
name = "tiny"

[data]
corpus = "demo"
demo_documents = 60

[tokenizer]
vocab_size = 900

[model]
preset = "nano"

[train]
steps = 40
batch_size = 8
seq_len = 32
eval_every = 10
checkpoint_every = 5
"#;

/// The sweep of two cells whose second leaves the finite numbers at once.
pub const ONE_DIVERGES: &str = "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e35]\n";

/// How long a condition is awaited before the test gives up: far beyond what any takes.
const PATIENCE: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(2);

/// A folder to work in; relative paths on the command line are relative to it.
pub struct Workbench {
    folder: TempDir,
}

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Workbench {
    /// A folder with the file `tiny.toml`: [`TINY`] and `extra`.
    pub fn tiny(extra: &str) -> Self {
        let workbench = Self { folder: tempfile::tempdir().unwrap() };
        workbench.write("tiny.toml", format!("{TINY}{extra}"))
    }

    /// With one more file.
    pub fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with `arguments`, in the folder, deaf to the surroundings of the test.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ablate"));
        command.args(arguments).current_dir(self.folder.path());
        for variable in ["ABLATE_RUNS", "ABLATE_DATA", "ABLATE_FONT", "RAYON_NUM_THREADS", "COLUMNS"] {
            command.env_remove(variable);
        }
        command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command line, written with spaces between its words, to its end.
    pub fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        finish(self.command(&words).spawn().unwrap())
    }

    /// Runs a command line that must succeed, and gives what it printed.
    pub fn stdout(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.code, Some(0), "{line}\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// Runs a command line that prints JSON, and checks that the JSON names its format.
    pub fn json(&self, line: &str, format: &str) -> Value {
        let json: Value = serde_json::from_str(&self.stdout(line)).unwrap();
        assert_eq!(json["format"], format, "{line}");
        json
    }

    /// Starts a command in the background.
    pub fn start(&self, line: &str) -> Child {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.command(&words).spawn().unwrap()
    }

    /// The folders of the runs, sorted.
    pub fn run_folders(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path("runs")).into_iter().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.join("events.log").exists());
        folders.sort();
        folders
    }

    /// All runs, newest first, as `list --json` has them.
    pub fn list(&self) -> Vec<Value> {
        self.json("list --json", "ablate-list-1")["runs"].as_array().unwrap().clone()
    }

    /// The only run, as `show --json` has it.
    pub fn only_run(&self) -> Value {
        assert_eq!(self.run_folders().len(), 1);
        self.json("show latest --json", "ablate-run-1")
    }

    /// `text` with the folder's path, run ids and times replaced, for snapshots.
    pub fn scrub(&self, text: &str) -> String {
        let folder = self.folder.path();
        let mut text = text.replace(&folder.display().to_string(), "[FOLDER]");
        for run in self.run_folders() {
            text = text.replace(run.file_name().unwrap().to_str().unwrap(), "[RUN]");
        }
        text.lines().map(|line| format!("{}\n", scrub_times(line).trim_end())).collect()
    }
}

/// Without how long things take here: durations become `[TIME]`, and what a column is wide with them no longer shows.
pub fn without_durations(text: &str) -> String {
    let is_number = |word: &&str| word.trim_start_matches('~').parse::<f64>().is_ok();
    let is_unit = |word: &&str| ["s", "min", "h", "d"].contains(word);
    let cell = |cell: &str| {
        let words = cell.split(' ').collect::<Vec<_>>();
        let mut kept: Vec<&str> = Vec::new();
        let mut i = 0;
        while i < words.len() {
            if is_number(&words[i]) && words.get(i + 1).is_some_and(is_unit) {
                kept.extend((kept.last() != Some(&"[TIME]")).then_some("[TIME]"));
                i += 2;
            } else {
                kept.push(words[i]);
                i += 1;
            }
        }
        kept.join(" ")
    };
    let line = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(cell);
        cells.collect::<Vec<_>>().join("  ")
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// Waits for the end of a command.
pub fn finish(child: Child) -> Output {
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Waits until `look` finds something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / TICK.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(TICK);
    }
    panic!("waited for {what} in vain")
}

/// Sends a signal, by name, to a process.
pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([&format!("-{name}"), &process.to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name} {process}");
}

/// The processes that `parent` started and that have not ended.
pub fn children_of(parent: u32) -> Vec<u32> {
    let of_thread = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let listed: String = tasks.map(|task| of_thread(task) + " ").collect();
    listed.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

/// Steps that the log of a run has, torn records left out.
pub fn steps_logged(run: &Path) -> usize {
    let log = fs::read_to_string(run.join("events.log")).unwrap_or_default();
    let is_step =
        |line: &str| line.ends_with('\n') && line.find('{').is_some_and(|at| line[at..].starts_with(r#"{"step""#));
    log.split_inclusive('\n').filter(|line| is_step(line)).count()
}

/// Seconds in brackets, such as `(0.2 s)`, differ from time to time.
fn scrub_times(line: &str) -> String {
    match (line.rfind('('), line.ends_with(" s)")) {
        (Some(at), true) if line[at + 1..].starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{}([TIME])", &line[..at])
        }
        _ => line.to_owned(),
    }
}
