//! Runs that leave one store and come into another: in an archive, proved and taken in, and from folder to folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::support::Workbench;

const SWEEP: &str = "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3]\n[sweep.replicates]\nseeds = [0, 1]\n";

/// Four finished runs with their report.
fn swept() -> Workbench {
    let workbench = Workbench::tiny(SWEEP);
    workbench.stdout("run tiny.toml --jobs 1");
    workbench
}

/// Every file of a store's runs by its path, but for leases.
fn files(runs: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    // A folder that is being removed is no run: `.tmp-removed-ID`, which `gc` takes away.
    let is_run = |entry: &fs::DirEntry| {
        entry.path().join("events.log").exists() && !entry.file_name().to_string_lossy().starts_with('.')
    };
    let folders = fs::read_dir(runs).into_iter().flatten().flatten().filter(is_run);
    let below = |entry: fs::DirEntry| walkdir::WalkDir::new(entry.path()).into_iter().flatten();
    let files = folders.flat_map(below).filter(|entry| entry.file_type().is_file() && entry.file_name() != "lease");
    files.map(|entry| (entry.path().strip_prefix(runs).unwrap().to_owned(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn an_archive_is_the_runs_in_another_store() {
    let workbench = swept();
    workbench.stdout("reproduce latest");
    workbench.stdout("tag seed=0 --add keep");
    let archived = workbench.json("archive all.html --json", "ablate-archived-1");
    assert_eq!(archived["runs"].as_array().unwrap().len(), 5);
    let root = archived["root"].as_str().unwrap();
    assert_eq!(workbench.stdout("verify all.html"), format!("root {root}\n"));
    let page = fs::read(workbench.path("all.html")).unwrap();
    assert!(page.starts_with(b"<!DOCTYPE html>") && String::from_utf8_lossy(&page[..page.len() / 2]).contains(root));

    let imported = workbench.json("--runs other import archive all.html --json", "ablate-import-archive-1");
    assert_eq!((imported["root"].as_str(), imported["reports"][0]["known"].as_bool()), (Some(root), Some(false)));
    assert_eq!(files(&workbench.path("runs")), files(&workbench.path("other")));
    for line in [
        "list --csv",
        "list tag:keep --columns id,lr,valid/mlm_loss.min --csv",
        "show latest --json",
        "compare tiny --json",
    ] {
        let (here, there) = (workbench.stdout(line), workbench.stdout(&format!("--runs other {line}")));
        assert_eq!(here.replace("runs/", ""), there.replace("other/", ""), "{line}");
    }
    assert!(workbench.path("other/reports/tiny/latest/report.html").exists());
    assert!(workbench.path("other/reports/index.html").exists());
    assert!(workbench.stdout("--runs other reproduce latest").contains("identical"));
    assert!(workbench.run("--runs other run tiny.toml").stderr.contains("4 reused"));
    assert_eq!(workbench.run("--runs other fsck").code, Some(0));
    let again = workbench.json("--runs other import archive all.html --json", "ablate-import-archive-1");
    assert!(again["runs"].as_array().unwrap().iter().all(|run| run["known"] == true && run["kept"].is_null()));

    // A reproduction stands on what it reproduces; the page says why that is here.
    let archived = workbench
        .json("archive exists(reproduces) small.html --no-checkpoints --no-reports --json", "ablate-archived-1");
    let why: Vec<_> = archived["runs"].as_array().unwrap().iter().map(|run| run["why"].as_str().unwrap()).collect();
    assert!(why.len() == 2 && why.contains(&"asked") && why.contains(&"stood_on"), "{why:?}");
    assert!(String::from_utf8_lossy(&fs::read(workbench.path("small.html")).unwrap()).contains("stands on it"));
    assert_eq!(workbench.run("archive small.html").code, Some(2), "it is there already");
}

#[test]
fn a_damaged_archive_is_named_and_not_taken_in() {
    let workbench = swept();
    workbench.stdout("archive latest one.html");
    let whole = fs::read(workbench.path("one.html")).unwrap();
    for at in [20, 400, whole.len() / 2, whole.len() - 3] {
        let mut changed = whole.clone();
        changed[at] ^= 16;
        fs::write(workbench.path("bad.html"), changed).unwrap();
        let verified = workbench.run("verify bad.html");
        assert_eq!((verified.code, verified.stdout.lines().count()), (Some(1), 1), "{at}: {}", verified.stdout);
        let imported = workbench.run("--runs other import archive bad.html");
        assert!(imported.code == Some(1) && imported.stderr.contains("nothing was taken in"), "{}", imported.stderr);
    }
    assert!(files(&workbench.path("other")).is_empty());
    let words = workbench.run("verify tiny.toml");
    assert_eq!((words.code, words.stderr.contains("no archive")), (Some(2), true));
    assert_eq!(workbench.run("verify nothing.html").code, Some(2));
}

/// However often and wherever an import is killed, what readers see is whole, and the last one completes.
#[test]
fn an_import_that_is_killed_leaves_whole_runs_or_none() {
    let workbench = swept();
    workbench.stdout("archive tiny all.html");
    for wait in 0..12 {
        let mut child = workbench.start("--runs other import archive all.html");
        thread::sleep(Duration::from_millis(3 * wait));
        let _ = child.kill();
        child.wait().unwrap();
        let fsck = workbench.run("--runs other fsck");
        assert!(fsck.code == Some(0) || !workbench.path("other").exists(), "{}{}", fsck.stdout, fsck.stderr);
    }
    workbench.stdout("--runs other import archive all.html");
    assert_eq!(files(&workbench.path("runs")), files(&workbench.path("other")));
}

#[test]
fn runs_are_copied_and_moved_between_stores() {
    let workbench = swept();
    let before = files(&workbench.path("runs"));
    let copied = workbench.json("cp lr=0.001 --to other --json", "ablate-copied-1");
    assert_eq!((copied["runs"].as_array().unwrap().len(), copied["moved"].as_bool()), (2, Some(false)));
    let moved = workbench.run("mv tiny --to other");
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    assert!(moved.stderr.contains("Moved 4 runs") && moved.stderr.contains("2 were there already"), "{}", moved.stderr);
    assert_eq!(files(&workbench.path("other")), before);
    assert!(files(&workbench.path("runs")).is_empty());
    assert!(workbench.run("--runs other run tiny.toml").stderr.contains("4 reused"));
    let refused = workbench.run("--runs other cp tiny --to other");
    assert!(refused.code == Some(2) && refused.stderr.contains("both are the store"), "{}", refused.stderr);
    assert_eq!(workbench.run("--runs other mv limit=1 --to runs").code, Some(2));
}

/// However often a move is killed, every run is whole in one of the stores, and the last one completes.
#[test]
fn a_move_that_is_killed_loses_nothing() {
    let workbench = swept();
    let before = files(&workbench.path("runs"));
    for wait in 0..12 {
        let mut child = workbench.start("mv tiny --to other");
        thread::sleep(Duration::from_millis(3 * wait));
        let _ = child.kill();
        child.wait().unwrap();
        let (here, there) = (files(&workbench.path("runs")), files(&workbench.path("other")));
        for (path, content) in &before {
            assert!(here.get(path) == Some(content) || there.get(path) == Some(content), "{} is lost", path.display());
        }
    }
    // None is left to find if the last one was done.
    workbench.run("mv tiny --to other");
    assert_eq!((files(&workbench.path("other")), files(&workbench.path("runs")).len()), (before, 0));
    assert_eq!(workbench.run("--runs other fsck").code, Some(0));
}

/// Runs of older programs leave and come as they are.
#[test]
fn a_store_of_an_older_program_comes_along() {
    let workbench = Workbench::tiny("");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/old-store/runs");
    let old = files(&old);
    for (path, content) in &old {
        let place = workbench.path("old").join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
    let archived = workbench.run("--runs old archive old.html");
    assert_eq!(archived.code, Some(0), "{}", archived.stderr);
    assert!(archived.stderr.contains("keeps no tokenizer"), "{}", archived.stderr);
    workbench.stdout("import archive old.html");
    assert_eq!(files(&workbench.path("runs")), old);
    assert_eq!(workbench.run("fsck").code, Some(0));
}
