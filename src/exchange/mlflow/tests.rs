//! Stores written here in MLflow's layout, whole and damaged, taken in and given back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::export::export;
use super::import::{Imported, Options, import};
use crate::exchange::Findings;
use crate::store::{Index, RunQuery, RunState, Store, StoredRun};
use crate::types::{RunId, Timestamp};

const RUN: &str = "3efe29f13059496aa2c4fdd10b08d975";

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

/// A folder with a store of MLflow's, and a store of ours beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file below `mlruns`.
    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path("mlruns").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn experiment(&self, path: &str, id: &str, name: &str) -> &Self {
        let meta =
            format!("artifact_location: ./mlruns/{id}\nexperiment_id: '{id}'\nlifecycle_stage: active\nname: {name}\n");
        self.write(&format!("{path}/meta.yaml"), meta)
    }

    fn run(&self, experiment: &str, id: &str, more: &str) -> &Self {
        let meta = format!(
            "artifact_uri: ./mlruns/{experiment}/{id}/artifacts\nend_time: 9000\nexperiment_id: '{experiment}'\n\
             lifecycle_stage: active\nname: ''\nodd_key: 'kept'\nrun_id: {id}\nrun_uuid: {id}\nstart_time: 1000\n{more}tags: \
             []\nuser_id: ana\n"
        );
        self.write(&format!("{experiment}/{id}/meta.yaml"), meta)
    }

    fn store(&self) -> Store {
        Store::open(self.path("runs")).unwrap()
    }

    fn import(&self) -> Imported {
        let options = Options { artifacts: Vec::new(), now: at(77_000) };
        import(&self.store(), &self.path("mlruns"), &options, &mut |_, _| {}).unwrap()
    }

    /// Gives everything back, into `back`.
    fn export(&self) -> Findings {
        let store = self.store();
        let query = RunQuery::parse("trash=any", at(0)).unwrap();
        let rows = Index::open(&store).unwrap().query(&query).unwrap();
        export(&store, &rows, &self.path("back"), true, &mut |_, _| {}).unwrap().findings
    }

    fn load(&self, id: &RunId) -> StoredRun {
        self.store().load(id).unwrap()
    }

    /// Every plain file below a folder.
    fn files(&self, root: &str) -> BTreeMap<String, Vec<u8>> {
        fn collect(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                if kind.is_dir() {
                    collect(root, &path, found);
                } else if kind.is_file() {
                    found.insert(path.strip_prefix(root).unwrap().display().to_string(), fs::read(&path).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        collect(&self.path(root), &self.path(root), &mut found);
        found
    }
}

/// What a person is told, one line each.
fn told(imported: &Imported) -> String {
    crate::exchange::testing::lines(&imported.findings)
}

#[test]
fn a_store_comes_in_and_goes_out_as_it_was() {
    let place = Place::new();
    place.experiment("0", "0", "Default").experiment("1", "1", "grus").experiment(".trash/2", "2", "gone");
    place.write("1/tags/team", "a=b").run("1", RUN, "status: 3\n").run("1", "child", "status: 1\n");
    place.write(
        &format!("1/{RUN}/metrics/val/loss"),
        "1000 1 0\n1001 0.5 1\n1002 nan -3\n1003 -0.0 9223372036854775807\n",
    );
    place.write(
        &format!("1/{RUN}/metrics/of data"),
        "5 0.5 2 set 300830b9\n6 1e-05 3\n-99999999999999999 inf 0\n7 2.0\n",
    );
    place.write(&format!("1/{RUN}/params/model/kind"), "a\nb\r\n").write(&format!("1/{RUN}/params/empty"), "");
    place.write(&format!("1/{RUN}/tags/mlflow.runName"), "한국어 🎉").write(&format!("1/{RUN}/tags/k"), "x=y");
    place.write(&format!("1/{RUN}/artifacts/sub/a.bin"), [0, 255, 10]);
    place.write("1/child/tags/mlflow.parentRunId", RUN).write("1/child/tags/mlflow.note.content", "# note");
    place.write("1/child/metrics/loss", "8500 0.25 0\n");
    place.run("2", "x", "status: 5\n");
    fs::rename(place.path("mlruns/2/x"), place.path("mlruns/.trash/2/x")).unwrap();
    fs::remove_dir(place.path("mlruns/2")).unwrap();

    let imported = place.import();
    assert_eq!(
        told(&imported),
        format!("changed: run {RUN}: 1 points have a time outside of the years 0 to 9999, and are held within them\n")
    );
    let by_id = |id: &str| place.load(&imported.runs.iter().find(|run| run.mlflow_run_id == id).unwrap().run);
    let (parent, child, deleted) = (by_id(RUN), by_id("child"), by_id("x"));
    assert_eq!((parent.state, parent.labels.name.as_deref()), (RunState::Finished, Some("한국어 🎉")));
    let settings: Vec<String> =
        parent.subject.settings().iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    assert_eq!(settings, ["empty=\"\"", "model/kind=\"a\\nb\\r\\n\""]);
    let points: Vec<(i64, u64)> =
        parent.history.logged[&"val/loss".parse().unwrap()].iter().map(|p| (p.step, p.value.to_bits())).collect();
    let expected = [(0, 1.0_f64), (1, 0.5), (-3, f64::NAN), (i64::MAX, -0.0)];
    assert_eq!(points, expected.map(|(step, value)| (step, value.to_bits())));
    assert_eq!(fs::read(parent.dir.path().join("artifacts/sub/a.bin")).unwrap(), [0, 255, 10]);
    assert!(child.labels.tags.contains(&format!("mlflow.parentRunId={}", parent.id)), "{:?}", child.labels);
    let reason = "it was still running in MLflow when it was imported";
    assert_eq!(
        (child.state, child.history.reason(), child.labels.note.as_deref()),
        (RunState::Interrupted, Some(reason), Some("# note"))
    );
    assert_eq!((deleted.state, deleted.labels.trashed_at), (RunState::Interrupted, Some(at(77_000))));
    let book = place.store().experiment_book().unwrap();
    let gone = book.of_name("gone");
    assert_eq!((gone.id.as_str(), gone.trashed_at), ("2", Some(at(77_000))));
    assert_eq!(book.of_name("grus").tags["team"], "a=b");

    // It can be found by the id that MLflow has for it, and is known the second time.
    let store = place.store();
    let found = Index::open(&store).unwrap().query(&RunQuery::parse("mlflow.run_id = child", at(0)).unwrap()).unwrap();
    assert_eq!(found.len(), 1);
    let again = place.import();
    assert_eq!((again.runs.len(), again.known.len(), told(&again)), (0, 3, String::new()));
    place.run("1", "child", "status: 4\n");
    let changed = told(&place.import());
    assert!(changed.starts_with("changed: run child: it is not what it was when it came in as run "), "{changed}");
    place.run("1", "child", "status: 1\n");

    assert_eq!(place.export(), Findings::default());
    let (mut before, mut after) = (place.files("mlruns"), place.files("back"));
    let back = place.path("back").display().to_string();
    for (path, text) in before.iter_mut().filter(|(path, _)| path.ends_with("meta.yaml")) {
        // Where it lies is said anew.
        let at = format!("file://{back}/");
        let said = String::from_utf8(text.clone()).unwrap().replace("./mlruns/", &at);
        // What lies in the trash says so.
        let stage = if path == ".trash/2/meta.yaml" { "stage: deleted" } else { "stage: active" };
        *text = said.replace("stage: active", stage).into_bytes();
        assert_eq!(String::from_utf8_lossy(text), String::from_utf8_lossy(&after[path]), "{path}");
    }
    after.retain(|path, _| !path.ends_with("meta.yaml"));
    before.retain(|path, _| !path.ends_with("meta.yaml"));
    assert_eq!(after, before);
}

#[test]
fn what_is_damaged_is_set_aside_by_itself_and_named() {
    let place = Place::new();
    place.experiment("1", "1", "grus").run("1", RUN, "status: 3\n");
    let metric = |name: &str| format!("1/{RUN}/metrics/{name}");
    place.write(&metric("empty"), "").write(&metric("torn"), "1000 1.0 0\n1795187364839 1.");
    place.write(&metric("fields"), "1 2 3 a b c\n5 0.5 2\n").write(&metric("bytes"), b"\xff\xfe\n1 1.0 0\n");
    place.write(&metric("number"), "x 1 2\n1 y 2\n1 1 1.5\n").write(&metric("many"), "bad\n".repeat(9) + "1 1.0 0\n");
    place.write(&format!("1/{RUN}/params/bad"), b"\xff").write(&format!("1/{RUN}/params/good"), "1");
    place.write(&format!("1/{RUN}/inputs/i/meta.yaml"), "source_id: ../../x\nsource_type: DATASET\n");
    place.write(&format!("1/{RUN}/outputs/m/meta.yaml"), "x: 1\n").write(&format!("1/{RUN}/tags/a=b"), "c");
    place
        .write("1/nometa/metrics/loss", "4000 1.0 0\n")
        .write("1/emptymeta/meta.yaml", "")
        .write("1/emptymeta/params/p", "1");
    place.write("1/bomb/meta.yaml", "a: &a [x, x]\nb: &b [*a, *a]\n").write("1/..dots/meta.yaml", "status: 3\n");
    place.write("1/models/m-1/meta.yaml", "x: 1").write("models/net/meta.yaml2", "x").write("stray", "x");
    place.write("9/meta.yaml", ":").write("9/r/params/p", "1").write("just a folder/x", "");
    place.write(&format!("1/{RUN}/metrics/{}", "k".repeat(251)), "1 1.0 0\n");
    let imported = place.import();
    insta::assert_snapshot!(told(&imported), @r"
    set aside: 9/meta.yaml: line 1: a key that is no text
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/params/bad: not UTF-8
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/inputs/i: its data set `../../x`: missing
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/bytes:1: not UTF-8
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/empty: empty: a metric has a line at least
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/fields:1: 6 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many:1: 1 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many:2: 1 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many:3: 1 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many:4: 1 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many:5: 1 fields, where MLflow writes 3, or 5 with a data set
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/many: 4 lines more that are no points
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/number:1: `x` is no time in milliseconds of 64 bits
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/number:2: `y` is no number
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/number:3: `1.5` is no step of 64 bits
    set aside: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/torn:2: the end of the last line is missing: it was being written
    set aside: 1/bomb/meta.yaml: line 1: an anchor, which is not read
    set aside: 1/emptymeta/meta.yaml: empty
    set aside: 1/nometa/meta.yaml: missing
    set aside: 9/r/meta.yaml: missing
    not taken: just a folder: no experiment: it has no meta.yaml
    not taken: models: registered models
    not taken: stray: a file beside the experiments
    not taken: 1/..dots: no run of MLflow is called so
    not taken: 1/models: 1 logged models
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/outputs: logged models
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/tags/a=b: a tag's key has no `=` here
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/metrics/kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk...: a metric's name here is one line of at most 250 characters
    ");
    let by_id = |id: &str| place.load(&imported.runs.iter().find(|run| run.mlflow_run_id == id).unwrap().run);
    let run = by_id(RUN);
    let names: Vec<&str> = run.history.logged.keys().map(|key| key.as_str()).collect();
    assert_eq!(names, ["bytes", "fields", "many", "torn"]);
    assert!(run.history.logged.values().all(|points| points.len() == 1));
    assert!(run.history.warnings.len() > 9 && run.history.warnings[0].starts_with("not imported: 1/"));
    assert_eq!((by_id("nometa").state, by_id("nometa").history.started_at()), (RunState::Interrupted, Some(at(4_000))));
    assert_eq!(by_id("emptymeta").subject.settings().len(), 1);
    assert_eq!(by_id("r").subject.settings().len(), 1);
    // What goes out again is sound: MLflow would not open the store otherwise.
    place.export();
    assert_eq!(place.files("back")[&metric("torn")], b"1000 1.0 0\n");
    assert_eq!(place.files("back")[&metric("fields")], b"5 0.5 2\n");
}

#[test]
fn nothing_outside_of_the_store_is_read() {
    let place = Place::new();
    fs::create_dir_all(place.path("private/metrics")).unwrap();
    fs::write(place.path("private/key"), "secret").unwrap();
    fs::write(place.path("private/metrics/loss"), "1 1.0 0\n").unwrap();
    place.experiment("1", "1", "grus").run("1", RUN, "status: 3\n").write(&format!("1/{RUN}/params/p"), "1");
    place.write(&format!("1/{RUN}/artifacts/a"), "1");
    let run = place.path("mlruns/1").join(RUN);
    for (to, name) in [
        (place.path("private/key"), "params/link"),
        (place.path("private"), "params/up"),
        (place.path("private/metrics"), "metrics"),
        (place.path("private/key"), "artifacts/key"),
        (place.path("private"), "artifacts/folder"),
        ("/dev/zero".into(), "tags"),
    ] {
        symlink(to, run.join(name)).unwrap();
    }
    symlink(place.path("private"), place.path("mlruns/1/linked")).unwrap();
    symlink(place.path("mlruns/1"), place.path("mlruns/3")).unwrap();
    place.run("1", "other", "status: 3\n");
    let meta = format!("artifact_uri: file://{}\nstatus: 3\n", place.path("private").display());
    place.write("1/other/meta.yaml", meta).write("1/third/meta.yaml", "artifact_uri: ../../private\nstatus: 3\n");
    let imported = place.import();
    let read: Vec<u8> = place.files("runs").into_values().flatten().collect();
    assert!(!String::from_utf8_lossy(&read).contains("secret"));
    assert_eq!((imported.runs.len(), imported.runs.iter().map(|run| run.points).sum::<u64>()), (3, 0));
    let told = told(&imported).replace(&place.0.path().display().to_string(), "[FOLDER]");
    insta::assert_snapshot!(told, @r"
    not taken: 3: a link, which is not followed
    not taken: 1/linked: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/metrics: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/tags: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/params/link: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/params/up: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/artifacts/folder: a link, which is not followed
    not taken: 1/3efe29f13059496aa2c4fdd10b08d975/artifacts/key: a link, which is not followed
    not taken: 1/other/artifacts: its artifacts in `[FOLDER]/private` are outside of the store: --artifacts names a folder to read
    not taken: 1/third/artifacts: its artifacts are in `[FOLDER]/../../private`, which is not here
    ");
}

#[test]
fn what_is_no_store_is_said() {
    let place = Place::new();
    fs::create_dir(place.path("mlruns")).unwrap();
    fs::write(place.path("text"), "not a database at all, but long enough to be looked at").unwrap();
    let options = Options { artifacts: Vec::new(), now: at(0) };
    for (name, expected) in [
        ("mlruns", "is no store of MLflow: it has no folder with a meta.yaml"),
        ("text", "is no store of MLflow: file is not a database"),
        ("none", "No such file or directory"),
    ] {
        let error = import(&place.store(), &place.path(name), &options, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A database as MLflow makes it, as far as it is read; without an index by run, as the older ones are.
#[test]
fn a_database_comes_in_whatever_its_age() {
    for (index, workspace) in [("", ""), ("CREATE INDEX i ON metrics (run_uuid);", ", workspace TEXT")] {
        let place = Place::new();
        let path = place.path("mlflow ?#%.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        let sql = format!(
            "CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT, lifecycle_stage TEXT{workspace});
             CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, source_type TEXT, status TEXT, start_time BIGINT, end_time BIGINT, \
             lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER, user_id TEXT);
             CREATE TABLE metrics (key TEXT, value FLOAT NOT NULL, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
             CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT); CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
             {index}
             INSERT INTO experiments (experiment_id, name, lifecycle_stage) VALUES (0, 'Default', 'active'), (7, 'gone', 'deleted');
             INSERT INTO runs VALUES ('a', '', 'LOCAL', 'FAILED', 1000, 9000, 'active', './mlruns/0/a/artifacts', 0, 'ana'),
             ('b', 'b', 'LOCAL', 'RUNNING', 1000, NULL, 'deleted', '/etc', 7, NULL), ('../c', 'c', 'LOCAL', 'RUNNING', 1, NULL, 'active', '', 0, NULL),
             ('d', 'd', 'LOCAL', 'RUNNING', 1000, NULL, 'active', '', 99, NULL);
             INSERT INTO metrics VALUES ('m', 0, 5, 'a', 1, 1), ('m', 1.7976931348623157e308, 6, 'a', 2, 0), ('n', 2, 7, 'b', 0, 0), \
             ('m', 0.1, 4, 'a', -1, 0);
             INSERT INTO params VALUES ('p', '1', 'a'); INSERT INTO tags VALUES ('mlflow.parentRunId', 'b', 'a');"
        );
        connection.execute_batch(&sql).unwrap();
        drop(connection);
        let before = fs::read(&path).unwrap();
        let options = Options { artifacts: Vec::new(), now: at(77_000) };
        let imported = import(&place.store(), &path, &options, &mut |_, _| {}).unwrap();
        assert_eq!(fs::read(&path).unwrap(), before, "it was written to");
        assert_eq!(
            told(&imported),
            "set aside: runs/d: its experiment `99` is missing\n\
             not taken: runs/../c: no run of MLflow is called so\n\
             not taken: runs/b/artifacts: its artifacts in `/etc` are outside of the store: --artifacts names a folder to read\n\
             changed: runs/a/metrics/m: 1.7976931348623157e308 came as an infinity: this is how MLflow's database stores one\n"
        );
        let [b, a] = &imported.runs[..] else { panic!("{imported:?}") };
        let (run, parent) = (place.load(&a.run), place.load(&b.run));
        assert!(run.labels.tags.contains(&format!("mlflow.parentRunId={}", b.run)), "the parent comes first");
        let values: Vec<(i64, f64)> =
            run.history.logged[&"m".parse().unwrap()].iter().map(|p| (p.step, p.value)).collect();
        assert!(values[0].1.is_nan());
        assert_eq!((values[0].0, &values[1..]), (1, &[(2, f64::INFINITY), (-1, 0.1)][..]));
        assert_eq!(
            (run.state, parent.labels.is_trashed(), parent.labels.name.as_deref()),
            (RunState::Failed, true, Some("b"))
        );
    }
}

/// Bytes of files as they may be found: sound ones with some bytes changed, cut or added.
fn spoilt() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (0..FILES.len()).prop_flat_map(|which| {
        let sound = FILES[which].1.as_bytes().to_vec();
        let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..6);
        edits.prop_map(move |edits| {
            let mut bytes = sound.clone();
            for (place, byte, kind) in edits {
                let i = place.index(bytes.len() + 1);
                match kind {
                    0 if i < bytes.len() => bytes[i] = byte,
                    1 => bytes.insert(i, byte),
                    2 => bytes.truncate(i),
                    _ if i < bytes.len() => drop(bytes.remove(i)),
                    _ => {}
                }
            }
            (which, bytes)
        })
    })
}

const FILES: [(&str, &str); 6] = [
    (
        "1/meta.yaml",
        "artifact_location: ./mlruns/1\nexperiment_id: '1'\nlifecycle_stage: active\nname: \"a \\U0001F389\"\n",
    ),
    (
        "1/r/meta.yaml",
        "artifact_uri: ./mlruns/1/r/artifacts\nend_time: null\nstart_time: 1000\nstatus: 3\ntags: []\nuser_id: ana\n",
    ),
    ("1/r/metrics/val/loss", "1769851800250 0.25 10\n1769851800251 nan -3\n5 0.5 2 set 300830b9\n"),
    ("1/r/params/p", "한국어\n"),
    ("1/r/inputs/i/meta.yaml", "source_id: d\nsource_type: DATASET\ntags:\n  mlflow.data.context: training\n"),
    (
        "1/datasets/d/meta.yaml",
        "digest: 30\nname: tiny\nschema: null\nsource: '{\"tags\": {\"a\":\n  \"b\"}}'\nsource_type: code\n",
    ),
];

/// Takes in a store with spoilt files: nothing panics, whatever comes in goes out, and what goes out comes in without a word.
fn check_spoilt(files: &[(usize, Vec<u8>)]) {
    let place = Place::new();
    FILES.iter().for_each(|(path, text)| _ = place.write(path, text));
    files.iter().for_each(|(which, bytes)| _ = place.write(FILES[*which].0, bytes));
    place.import();
    place.export();
    let other = Store::open(place.path("other")).unwrap();
    let options = Options { artifacts: Vec::new(), now: at(0) };
    let again = import(&other, &place.path("back"), &options, &mut |_, _| {}).unwrap();
    assert!(again.findings.set_aside.is_empty(), "{files:?}\n{}", told(&again));
    let out =
        |name: &str| place.files(name).into_iter().filter(|(path, _)| path.contains("/metrics/")).collect::<Vec<_>>();
    let rows = Index::open(&other).unwrap().query(&RunQuery::parse("trash=any", at(0)).unwrap()).unwrap();
    export(&other, &rows, &place.path("last"), true, &mut |_, _| {}).unwrap();
    assert_eq!(out("back"), out("last"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn spoilt_stores_come_in_as_far_as_they_are_sound(files in prop::collection::vec(spoilt(), 1..4)) {
        check_spoilt(&files);
    }
}

/// A database of some pages.
fn database() -> Vec<u8> {
    let place = Place::new();
    let connection = rusqlite::Connection::open(place.path("db")).unwrap();
    let sql = "CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, lifecycle_stage TEXT);
        CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, status TEXT, start_time BIGINT, experiment_id INTEGER);
        CREATE TABLE metrics (key TEXT, value FLOAT NOT NULL, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
        CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT); CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
        CREATE INDEX by_run ON metrics (run_uuid);
        INSERT INTO experiments VALUES (1, 'x', 'active');
        INSERT INTO runs VALUES ('a', 'a', 'FINISHED', 1000, 1), ('b', 'b', 'FAILED', 1000, 1);
        WITH RECURSIVE steps (step) AS (SELECT 0 UNION ALL SELECT step + 1 FROM steps WHERE step < 300)
        INSERT INTO metrics SELECT 'm', step * 0.1, step, char(97 + step % 2), step, 0 FROM steps;
        INSERT INTO params VALUES ('p', '1', 'a'); INSERT INTO tags VALUES ('t', '1', 'b');";
    connection.execute_batch(sql).unwrap();
    drop(connection);
    fs::read(place.path("db")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever bytes of a database are changed or cut: it is refused, or comes in as far as it is sound.
    #[test]
    fn spoilt_databases_come_in_as_far_as_they_are_sound(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = database();
        for (place, byte) in &edits {
            let at = place.index(bytes.len());
            bytes[at] = *byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_spoilt_database(&bytes);
    }
}

/// Takes in a database with spoilt bytes, which stays as it is, and gives back what came.
fn check_spoilt_database(bytes: &[u8]) -> &'static str {
    let place = Place::new();
    fs::write(place.path("db"), bytes).unwrap();
    let options = Options { artifacts: Vec::new(), now: at(0) };
    let imported = import(&place.store(), &place.path("db"), &options, &mut |_, _| {});
    assert!(imported.as_ref().map_or(0, |imported| imported.runs.len()) <= 3);
    assert_eq!(fs::read(place.path("db")).unwrap(), bytes);
    place.export();
    if imported.is_ok() { "database" } else { "database refused" }
}

/// What stands in MLflow's files.
const WORDS: [&str; 16] = [
    "meta.yaml",
    "artifact_uri: ",
    "lifecycle_stage: deleted\n",
    "status: ",
    "run_id: ",
    "tags:\n  ",
    "- ",
    ": ",
    "'",
    "!!python/object:os.system ",
    "&a [*a, *a]",
    "<<: *a",
    "|\n  ",
    "---\n",
    "5 0.5 2\n",
    "1769851800250 nan -3 set 300830b9\n",
];

/// Stores with up to four spoilt files; every eighth, a database.
#[test]
#[ignore = "ten minutes"]
fn fuzz_mlruns() {
    let sound: Vec<Vec<u8>> = FILES.iter().map(|(_, text)| text.as_bytes().to_vec()).collect();
    let database = [database()];
    crate::fuzzing::fuzz("mlruns", |luck| {
        if luck.below(8) == 0 {
            return check_spoilt_database(&luck.spoilt(&database, &["SQLite format 3\0", "CREATE TABLE ", "metrics"]));
        }
        let files: Vec<(usize, Vec<u8>)> = (0..=luck.below(4))
            .map(|_| {
                let which = luck.below(FILES.len());
                (which, luck.spoilt(&sound[which..=which], &WORDS))
            })
            .collect();
        check_spoilt(&files);
        "files"
    });
}
