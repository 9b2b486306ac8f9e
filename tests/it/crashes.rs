//! A short campaign against the store, at moments and places that a seed draws: programs killed, logs cut, bits flipped, the index
//! lost while it is made. `tests/peers/crashes.py` does the same by the thousand, with power cuts and disks that fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use walkdir::WalkDir;

use crate::determinism::{bits, recorded};
use crate::support::{Output, Workbench, children_of, finish};

const SWEEP: &str = "[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]\n";
const LINE: &str = "run tiny.toml --threads 1 --jobs 1";

/// Draws that are the same each time (SplitMix64; Steele, Lea and Flood 2014).
struct Luck(u64);

impl Luck {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// The sweep that nothing happened to.
fn undisturbed() -> &'static Workbench {
    static WORKBENCH: LazyLock<Workbench> = LazyLock::new(|| {
        let workbench = Workbench::tiny(SWEEP);
        workbench.stdout(LINE);
        workbench
    });
    &WORKBENCH
}

/// A copy of the store of that sweep.
fn copied() -> Workbench {
    let workbench = Workbench::tiny(SWEEP);
    let source = undisturbed().path("runs");
    // Of the reports one is a link; what is drawn is no part of the store's truth.
    for entry in WalkDir::new(&source).into_iter().filter_entry(|entry| entry.file_name() != "reports") {
        let entry = entry.unwrap();
        let target = workbench.path("runs").join(entry.path().strip_prefix(&source).unwrap());
        if entry.file_type().is_dir() { fs::create_dir_all(target) } else { fs::copy(entry.path(), target).map(drop) }
            .unwrap();
    }
    workbench
}

fn show(workbench: &Workbench, id: &str) -> Output {
    workbench.run(&format!("show {id} --json"))
}

fn ids(workbench: &Workbench) -> Vec<String> {
    workbench.list().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Chain and weights of a finished run, and what it recorded.
type Ended = ([String; 2], Vec<(String, Value)>);

/// Of every specification what its finished run came to.
fn outcome(workbench: &Workbench) -> BTreeMap<String, Ended> {
    let of_run = |id: String| {
        let run: Value = serde_json::from_str(&show(workbench, &id).stdout).unwrap();
        (run["spec_hash"].as_str().unwrap().to_owned(), (bits(&run), recorded(&run)))
    };
    ids(workbench).into_iter().map(of_run).collect()
}

/// Nothing is wrong with the store, and its index is what a fresh one is.
fn assert_sound(workbench: &Workbench) {
    let checked = workbench.run("fsck");
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    let before = workbench.list();
    fs::remove_file(workbench.path("runs/index.sqlite")).unwrap();
    assert_eq!(workbench.list(), before);
}

/// Whether it was still there to be killed.
fn kill(process: u32) -> bool {
    Command::new("kill").args(["-KILL", &process.to_string()]).output().unwrap().status.success()
}

/// At any moment, in planning, preparing, training or drawing; the same command then ends as if nothing had been.
#[test]
fn a_sweep_that_is_killed_at_any_moment_comes_out_the_same() {
    let mut luck = Luck(1);
    for number in 0..3 {
        let workbench = Workbench::tiny(SWEEP);
        for _ in 0..=luck.below(2) {
            let parent = workbench.start(LINE);
            thread::sleep(Duration::from_millis(20 + luck.below(1_000) as u64));
            let workers = children_of(parent.id());
            // The worker alone, the program alone, both.
            let victims = match number % 3 {
                0 => workers.clone(),
                1 => vec![parent.id()],
                _ => [vec![parent.id()], workers.clone()].concat(),
            };
            victims.iter().for_each(|process| _ = kill(*process));
            finish(parent);
            let is_there = |process: &u32| Path::new(&format!("/proc/{process}")).exists();
            while workers.iter().any(is_there) {
                thread::sleep(Duration::from_millis(2));
            }
        }
        let output = workbench.run(LINE);
        assert_eq!(output.code, Some(0), "{number}: {}", output.stderr);
        assert_eq!(outcome(&workbench), outcome(undisturbed()), "{number}");
        assert_sound(&workbench);
    }
}

/// What is read of a log is a beginning of what was there, and how much is torn is said to the byte.
#[test]
fn a_log_that_is_cut_anywhere_is_read_up_to_there() {
    let mut luck = Luck(2);
    let workbench = copied();
    let id = ids(&workbench).remove(0);
    let whole: Value = serde_json::from_str(&show(&workbench, &id).stdout).unwrap();
    let path = workbench.path("runs").join(&id).join("events.log");
    let bytes = fs::read(&path).unwrap();
    for _ in 0..40 {
        let end = luck.below(bytes.len());
        fs::write(&path, &bytes[..end]).unwrap();
        let output = show(&workbench, &id);
        if output.code != Some(0) {
            assert!(output.stderr.contains("events.log"), "{end}: {}", output.stderr);
            continue;
        }
        let found: Value = serde_json::from_str(&output.stdout).unwrap();
        for (name, series) in found["series"].as_object().unwrap() {
            for part in ["steps", "values"] {
                let (found, all) = (series[part].as_array().unwrap(), whole["series"][name][part].as_array().unwrap());
                assert!(all.starts_with(found), "{end}: {name}");
            }
        }
        let torn = end - bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        assert_eq!(found["torn_bytes"], torn, "{end}");
        assert!(["lost", "planned", "finished"].contains(&found["state"].as_str().unwrap()), "{end}");
    }
}

/// A single bit of any file of a store: what is said is as before, or the damage is named.
#[test]
fn a_bit_that_flips_is_named_or_changes_nothing() {
    let mut luck = Luck(3);
    let workbench = copied();
    workbench.stdout("tag tiny --add kept");
    let ids = ids(&workbench);
    let said = || ids.iter().map(|id| show(&workbench, id).stdout).collect::<Vec<_>>();
    let expected = said();
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in WalkDir::new(workbench.path("runs")).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if path.is_file() && fs::metadata(&path).unwrap().len() > 0 {
            let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_str().unwrap().to_owned();
            let is_one_of_many = ["safetensors", "tok"].contains(&name(path.extension()).as_str());
            let kind = if is_one_of_many { name(path.extension()) } else { name(path.file_name()) };
            kinds.entry(kind).or_default().push(path);
        }
    }
    // What people write has no checksum, what a program said is for people, and the record of changes is a hint.
    let unsealed = ["labels.json", "log.txt", ".changes"];
    let (mut named, mut same) = (0, 0);
    for number in 0..66 {
        let (kind, files) = kinds.iter().nth(number % kinds.len()).unwrap();
        let path = &files[luck.below(files.len())];
        let Ok(whole) = fs::read(path) else { continue };
        let bit = luck.below(whole.len() * 8);
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(path, damaged).unwrap();
        let checked = workbench.run("fsck");
        match checked.code {
            Some(1) => named += 1,
            Some(0) => {
                // A log whose last record was hit ends before it, and says so.
                let is_torn = kind == "events.log" && checked.stdout.contains("no whole record");
                let is_allowed = unsealed.contains(&kind.as_str()) || is_torn;
                assert!(is_allowed || said() == expected, "bit {bit} of {}: {}", path.display(), checked.stdout);
                same += 1;
            }
            other => panic!("bit {bit} of {}: {other:?} {}", path.display(), checked.stderr),
        }
        fs::write(path, whole).unwrap();
        if kind == "index.sqlite" {
            workbench.stdout("reindex");
        }
    }
    assert!(kinds.len() > 8 && named > 25 && same > 3, "{} kinds, {named} named, {same} the same", kinds.len());
}

#[test]
fn an_index_whose_maker_is_killed_is_made_all_the_same() {
    let mut luck = Luck(4);
    let workbench = copied();
    let expected = workbench.list();
    for number in 0..8 {
        if number % 2 == 0 {
            fs::remove_file(workbench.path("runs/index.sqlite")).unwrap();
        }
        let mut child = workbench.start(["reindex", "list"][luck.below(2)]);
        thread::sleep(Duration::from_millis(luck.below(25) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(workbench.list(), expected, "{number}");
    }
    assert_sound(&workbench);
}
