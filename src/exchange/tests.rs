//! Runs that leave a store and come into another one, by a file and by folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::archive::{ArchiveError, Imported, Packed, ROOT_PLACE, Report, Wanted, Written, import, verify};
use super::transfer::{Transferred, copy, relocate};
use crate::store::testing::{at, new_store, point, sample_events, spec};
use crate::store::{ExperimentEntry, Lineage, Logged, NewRun, RunDir, Store, StoreError, Subject};
use crate::types::RunId;

/// Two stores: the first with a finished run, one that starts from it, one that reproduces that, and a guest's.
struct Stores {
    folder: tempfile::TempDir,
    ours: Store,
    theirs: Store,
    pretrained: RunId,
    tuned: RunId,
    again: RunId,
    guest: RunId,
}

fn stores() -> Stores {
    let (folder, ours) = new_store();
    let theirs = Store::open(folder.path().join("theirs")).unwrap();
    let finished = |seed: u64, lineage: &Lineage| {
        let subject = Subject::Planned(Box::new(spec(seed, 0.15)));
        let provenance = json!({ "experiment": { "name": "rates" }, "spec_hash": spec(seed, 0.15).hash() });
        let run = ours.create_run(&NewRun { subject: &subject, provenance: &provenance, lineage }, at(0)).unwrap();
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        sample_events().iter().skip(1).for_each(|event| log.append(event).unwrap());
        let weights: Vec<u8> = (0..100_000_u32).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        fs::write(run.checkpoints_path().join("step-00000002.safetensors"), weights).unwrap();
        fs::write(run.artifact_path("tokenizer.json"), "{}".repeat(1000)).unwrap();
        run.id().clone()
    };
    let pretrained = finished(1, &Lineage::default());
    let starts_from = Lineage { starts_from: Some(pretrained.clone()), ..Lineage::default() };
    let tuned = finished(2, &starts_from);
    let again = finished(2, &Lineage { reproduces: Some(tuned.clone()), ..starts_from });
    let logged = Logged { by: "mlflow client".into(), experiment: Some("grus".into()), ..Logged::default() };
    let mut guest = ours.create_logged(&logged, &json!({}), &Lineage::default(), at(0)).unwrap();
    guest.points(vec![point("loss", -1, f64::NAN), point("loss", 7, f64::NEG_INFINITY)]).unwrap();
    let guest_id = guest.dir().id().clone();
    drop(guest);
    ours.run(&guest_id).unwrap().relabel(|labels| labels.note = Some("한글".into())).unwrap();
    let entry = ours.experiment_book().unwrap().of_name("grus");
    let tag = |book: &mut crate::store::ExperimentBook| {
        book.entry(&entry).tags.insert("by".into(), "me".into());
        Ok::<_, StoreError>(())
    };
    ours.change_experiments(tag).unwrap();
    Stores { folder, ours, theirs, pretrained, tuned, again, guest: guest_id }
}

impl Stores {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, runs: &[&RunId], name: &str) -> Result<Written, ArchiveError> {
        let runs: Vec<RunId> = runs.iter().map(|id| (*id).clone()).collect();
        let wanted = Wanted { runs: &runs, with_checkpoints: !name.contains("small"), reports: &[] };
        Packed::of(&self.ours, &wanted, &self.file(name), &mut |_, _| {})?.write(&page())
    }

    fn import(&self, name: &str) -> Result<Imported, ArchiveError> {
        import(&self.theirs, &self.file(name), &mut |_, _| {})
    }

    fn copy(&self, runs: &[&RunId]) -> Result<Transferred, ArchiveError> {
        let runs: Vec<RunId> = runs.iter().map(|id| (*id).clone()).collect();
        copy(&self.ours, &self.theirs, &runs, &mut |_, _| {})
    }

    fn relocate(&self, runs: &[&RunId]) -> Result<Transferred, ArchiveError> {
        let runs: Vec<RunId> = runs.iter().map(|id| (*id).clone()).collect();
        relocate(&self.ours, &self.theirs, &runs, &mut |_, _| {})
    }

    /// Whether both stores have the same files of a run.
    fn is_same(&self, id: &RunId) -> bool {
        files(self.ours.run(id).unwrap().path()) == files(self.theirs.run(id).unwrap().path())
    }
}

fn page() -> String {
    format!("<html><body>{ROOT_PLACE}")
}

/// Every file below a folder by its path, but for leases.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = entries.filter(|entry| entry.file_type().is_file() && entry.file_name() != "lease");
    files
        .map(|entry| (entry.path().strip_prefix(folder).unwrap().to_owned(), fs::read(entry.path()).unwrap()))
        .collect()
}

/// Names in a store's folder that are no runs, and no index or lock of it.
fn strays(store: &Store) -> Vec<String> {
    let names = fs::read_dir(store.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.parse::<RunId>().is_err() && !name.starts_with("index.sqlite"))
        .filter(|name| ![".claims", ".changes", ".sweeps"].contains(&name.as_str()))
        .collect()
}

#[test]
fn what_is_archived_is_the_same_elsewhere() {
    let stores = stores();
    let Stores { pretrained, tuned, again, guest, theirs, .. } = &stores;
    let written = stores.write(&[again, guest], "a.html").unwrap();
    assert_eq!(fs::read(stores.file("a.html")).unwrap().len() as u64, written.bytes);
    // What a run stands on comes with it, and the same runs give the same bytes.
    let ids: Vec<_> = written.certificate.runs.iter().map(|run| run.id.clone()).collect();
    let mut expected = vec![pretrained.clone(), tuned.clone(), again.clone(), guest.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    stores.write(&[guest, again], "b.html").unwrap();
    assert_eq!(fs::read(stores.file("a.html")).unwrap(), fs::read(stores.file("b.html")).unwrap());
    assert!(verify(&stores.file("a.html"), &mut |_, _| {}).unwrap().whole);

    let imported = stores.import("a.html").unwrap();
    assert_eq!(imported.root, written.certificate.root);
    assert!(imported.runs.iter().all(|run| !run.is_known && run.kept.is_none()) && imported.runs.len() == 4);
    for id in &expected {
        assert!(stores.is_same(id), "{id}");
        let (ours, theirs) = (stores.ours.load(id).unwrap(), theirs.load(id).unwrap());
        assert_eq!((ours.subject, ours.lineage, ours.labels), (theirs.subject, theirs.lineage, theirs.labels));
    }
    assert_eq!(theirs.experiment_book().unwrap(), stores.ours.experiment_book().unwrap());
    assert_eq!(strays(theirs), ["experiments.json"]);
    // Once more, nothing changes.
    let before = files(theirs.root());
    let known = stores.import("a.html").unwrap();
    assert!(known.runs.iter().all(|run| run.is_known && run.kept.is_none()), "{known:?}");
    assert_eq!(files(theirs.root()), before);
    // The other store makes the same archive.
    let wanted = Wanted { runs: &[again.clone(), guest.clone()], with_checkpoints: true, reports: &[] };
    Packed::of(theirs, &wanted, &stores.file("c.html"), &mut |_, _| {}).unwrap().write(&page()).unwrap();
    assert_eq!(fs::read(stores.file("a.html")).unwrap(), fs::read(stores.file("c.html")).unwrap());
}

#[test]
fn what_a_store_has_stays_and_another_run_is_refused() {
    let stores = stores();
    let Stores { pretrained, tuned, guest, theirs, .. } = &stores;
    stores.write(&[pretrained], "small.html").unwrap();
    stores.write(&[tuned, guest], "all.html").unwrap();
    stores.import("small.html").unwrap();
    let run = theirs.run(pretrained).unwrap();
    assert!(run.checkpoints_path().is_dir() && files(&run.checkpoints_path()).is_empty());
    run.relabel(|labels| labels.name = Some("mine".into())).unwrap();
    // Another run under the guest's id.
    fs::create_dir(theirs.root().join(guest.as_str())).unwrap();
    fs::write(theirs.root().join(guest.as_str()).join("events.log"), "other").unwrap();
    let before = files(theirs.root());
    let refused = stores.import("all.html").unwrap_err();
    let text = refused.to_string();
    assert!(matches!(&refused, ArchiveError::Occupied { run, .. } if run == guest), "{text}");
    assert!(text.contains(guest.as_str()) && text.contains("(events.log, "), "{text}");
    assert_eq!(files(theirs.root()), before, "nothing was taken in");
    assert!(matches!(stores.copy(&[guest]), Err(ArchiveError::Occupied { .. })));
    fs::remove_dir_all(theirs.root().join(guest.as_str())).unwrap();
    let imported = stores.import("all.html").unwrap();
    let kept = imported.runs.iter().find(|run| run.id == *pretrained).unwrap();
    let words = "the labels that it has here, no more files than it has here (1 more would have come)";
    assert_eq!((kept.is_known, kept.kept.as_deref()), (true, Some(words)));
    assert_eq!(theirs.run(pretrained).unwrap().labels().unwrap().name.as_deref(), Some("mine"));
}

/// Whatever bit of an archive is changed, nothing of it comes into a store.
#[test]
fn a_damaged_archive_leaves_a_store_as_it_was() {
    let stores = stores();
    stores.write(&[&stores.guest], "a.html").unwrap();
    let bytes = fs::read(stores.file("a.html")).unwrap();
    for at in (0..bytes.len()).step_by(61) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(stores.file("bad.html"), changed).unwrap();
        let error = stores.import("bad.html").unwrap_err();
        assert!(matches!(error, ArchiveError::Damaged { .. }), "{at}: {error}");
    }
    assert!(files(stores.theirs.root()).is_empty() && strays(&stores.theirs).is_empty());
}

#[test]
fn a_run_that_is_written_and_a_file_that_means_two_things_stay() {
    let stores = stores();
    let run = stores.ours.run(&stores.guest).unwrap();
    let lease = run.acquire_lease().unwrap();
    for error in [stores.write(&[&stores.guest], "a.html").map(drop), stores.copy(&[&stores.guest]).map(drop)] {
        assert!(matches!(error, Err(ArchiveError::BeingWritten { .. })), "{error:?}");
    }
    drop(lease);
    let refused = |name: &str| {
        fs::write(run.path().join("artifacts").join(name), "").unwrap();
        let error = stores.write(&[&stores.guest], "a.html").unwrap_err().to_string();
        fs::remove_file(run.path().join("artifacts").join(name)).unwrap();
        error
    };
    assert!(refused("a\\b").contains("a backslash") && refused("x.").contains("the end of a name"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/passwd", run.path().join("artifacts/link")).unwrap();
        let error = stores.copy(&[&stores.guest]).unwrap_err().to_string();
        assert!(error.contains("it is a link"), "{error}");
        fs::remove_file(run.path().join("artifacts/link")).unwrap();
        fs::write(run.path().join("artifacts/a"), "").unwrap();
        assert!(refused("A").contains("same on some systems"));
    }
    assert!(!stores.file("a.html").exists() && files(stores.theirs.root()).is_empty());
}

#[test]
fn reports_come_along() {
    let stores = stores();
    let folder = stores.ours.root().join("reports/grus/2026-01-31-0123abcd");
    fs::create_dir_all(folder.join("tables")).unwrap();
    fs::write(folder.join("report.html"), "<p>").unwrap();
    fs::write(folder.join("tables/runs.csv"), "id\n").unwrap();
    let report = Report { shelf: "grus".into(), name: "2026-01-31-0123abcd".into(), folder: folder.clone() };
    let wanted = Wanted { runs: std::slice::from_ref(&stores.guest), with_checkpoints: true, reports: &[report] };
    let packed = Packed::of(&stores.ours, &wanted, &stores.file("a.html"), &mut |_, _| {}).unwrap();
    packed.write(&page()).unwrap();
    let imported = stores.import("a.html").unwrap();
    assert!(!imported.reports[0].is_known && stores.import("a.html").unwrap().reports[0].is_known);
    assert_eq!(files(&stores.theirs.root().join("reports/grus/2026-01-31-0123abcd")), files(&folder));
}

#[test]
fn a_copy_is_the_run_and_a_run_that_moved_is_gone() {
    let stores = stores();
    let Stores { pretrained, tuned, again, guest, ours, theirs, .. } = &stores;
    let done = stores.copy(&[tuned]).unwrap();
    let taken: Vec<_> = done.runs.iter().map(|(run, _)| (&run.id, run.is_known)).collect();
    assert_eq!(taken, [(pretrained, false), (tuned, false)]);
    assert!(stores.is_same(pretrained) && stores.is_same(tuned) && done.bytes > 800_000);
    assert!(stores.copy(&[tuned]).unwrap().runs.iter().all(|(run, _)| run.is_known && run.kept.is_none()));
    // Nobody is left without what it starts from.
    let refused = stores.relocate(&[pretrained]).unwrap_err();
    assert!(matches!(&refused, ArchiveError::Heir { run, .. } if run == pretrained), "{refused}");
    assert_eq!(ours.run_ids().unwrap().len(), 4);
    let before = files(ours.run(guest).unwrap().path());
    stores.relocate(&[guest]).unwrap();
    assert!(ours.run(guest).is_err() && files(theirs.run(guest).unwrap().path()) == before);
    assert_eq!(theirs.experiment_book().unwrap().entries().len(), 1);
    // What is there already goes from here all the same.
    stores.relocate(&[again, tuned, pretrained]).unwrap();
    assert_eq!((ours.run_ids().unwrap(), theirs.run_ids().unwrap().len()), (Vec::new(), 4));
    assert!(strays(theirs) == ["experiments.json"] && strays(ours) == ["experiments.json"]);
    assert!(matches!(copy(ours, ours, &[], &mut |_, _| {}), Err(ArchiveError::SameStore { .. })));
    theirs.run_ids().unwrap().iter().for_each(|id| drop(theirs.load(id).unwrap()));
}

/// Where the other store has less of a run than this one, moving it would lose the rest.
#[test]
fn what_is_here_alone_does_not_go() {
    let stores = stores();
    stores.write(&[&stores.tuned], "small.html").unwrap();
    stores.import("small.html").unwrap();
    let error = stores.relocate(&[&stores.tuned, &stores.pretrained, &stores.again]).unwrap_err();
    assert!(error.to_string().contains("what is here alone would be lost"), "{error}");
    assert!(stores.theirs.run(&stores.again).is_err() && stores.ours.run_ids().unwrap().len() == 4);
    stores.copy(&[&stores.guest]).unwrap();
    stores.ours.run(&stores.guest).unwrap().relabel(|labels| labels.note = None).unwrap();
    assert!(matches!(stores.relocate(&[&stores.guest]), Err(ArchiveError::Lesser { .. })));
    stores.theirs.run(&stores.guest).unwrap().relabel(|labels| labels.note = None).unwrap();
    // What is said of nobody is a file all the same, and the same one.
    stores.relocate(&[&stores.guest]).unwrap();
    assert!(stores.ours.run(&stores.guest).is_err());
}

/// A run whose folder is not that of a run any more is not copied under its name.
#[test]
fn a_damaged_run_is_not_copied() {
    let stores = stores();
    let run: RunDir = stores.ours.run(&stores.guest).unwrap();
    let log = fs::read(run.events_path()).unwrap();
    let middle = log.len() / 2;
    fs::write(run.events_path(), [&log[..middle], b"x", &log[middle..]].concat()).unwrap();
    let error = stores.copy(&[&stores.guest]).unwrap_err();
    assert!(matches!(error, ArchiveError::UnreadableRun { .. } | ArchiveError::Store(_)), "{error}");
    assert!(files(stores.theirs.root()).is_empty());
}

#[test]
fn what_is_said_of_experiments_is_not_overwritten() {
    let stores = stores();
    let entry: ExperimentEntry = stores.ours.experiment_book().unwrap().of_name("grus");
    let tag = |book: &mut crate::store::ExperimentBook| {
        book.entry(&entry).tags.insert("by".into(), "them".into());
        Ok::<_, StoreError>(())
    };
    stores.theirs.change_experiments(tag).unwrap();
    let done = stores.copy(&[&stores.guest]).unwrap();
    assert!(!done.experiments[0].is_taken && done.experiments[0].name == "grus");
    assert_eq!(stores.theirs.experiment_book().unwrap().of_name("grus").tags["by"], "them");
}
