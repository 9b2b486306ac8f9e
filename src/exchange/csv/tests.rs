//! Tables written here, whole and damaged, and those of `ablate export`, taken in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::import::import;
use crate::exchange::table::{Shape, Spelling, write};
use crate::exchange::testing::{Place, at, fuzz, options, points, told};
use crate::exchange::{ImportError, Imported};
use crate::fuzzing::Luck;
use crate::store::{Index, Lineage, Logged, LoggedPoint, RunQuery, RunState, Store};

fn take_all(place: &Place, paths: &[&str], metrics: &[&str]) -> Result<Imported, ImportError> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| place.path(path)).collect();
    let metrics: Vec<String> = metrics.iter().map(|&metric| metric.to_owned()).collect();
    import(&place.store(), &paths, &metrics, &options(), &mut |_, _| {})
}

fn take(place: &Place, path: &str) -> Imported {
    take_all(place, &[path], &[]).unwrap()
}

/// Points as a person reads them.
fn shown(place: &Place, imported: &Imported, source: &str) -> String {
    let point = |(key, step, at, bits): (String, i64, Option<i64>, u64)| {
        format!("{key}@{step}{}={:?}", at.map_or(String::new(), |at| format!("/{at}")), f64::from_bits(bits))
    };
    points(&place.load(imported, source)).into_iter().map(point).collect::<Vec<_>>().join(" ")
}

#[test]
fn tables_that_people_have_come_in() {
    let place = Place::new();
    let lightning = "epoch,step,train_loss,val_loss\n0,0,0.5,\n0,1,,nan\n1,2,-inf,5e-324\n";
    place.write("lightning_logs/version_0/metrics.csv", lightning);
    place.write("lightning_logs/version_0/hparams.yaml", "lr: 1.0e-05\nnet:\n  kind: gru\n");
    place.write("lightning_logs/version_1/metrics.csv", "step,train_loss\n0,1\n");
    place.write("lightning_logs/notes.csv", "what,who\na,b\n");
    let imported = take(&place, "lightning_logs");
    assert_eq!(
        shown(&place, &imported, "version_0"),
        "epoch@0=0.0 epoch@1=0.0 epoch@2=1.0 train_loss@0=0.5 train_loss@2=-inf val_loss@1=NaN val_loss@2=5e-324"
    );
    let run = place.load(&imported, "version_0");
    let settings: Vec<String> = run.subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(settings, ["lr=1e-5", "net.kind=gru"]);
    assert_eq!((run.state, run.labels.name.as_deref()), (RunState::Finished, Some("version_0")));
    assert_eq!(imported.experiments.iter().collect::<Vec<_>>(), ["lightning_logs"]);
    assert!(
        told(&imported).starts_with("not taken: notes.csv: is no table that is understood: "),
        "{}",
        told(&imported)
    );

    // Rows of two runs in turn, with times, separated as Excel does where the comma is the point.
    let long = "\u{feff}Run;Tag;Step;Value;Wall time\r\nb;loss;1;0,5;1,5\r\na;\"val;loss\";10.0;1e-3;\r\nb;loss;2;;2\r\nb;loss;1;0,25;3\r\n";
    place.write("long.csv", long);
    let imported = take(&place, "long.csv");
    assert_eq!(shown(&place, &imported, "b"), "loss@1/1500=0.5 loss@1/3000=0.25");
    assert_eq!(shown(&place, &imported, "a"), "val;loss@10=0.001");
    assert_eq!(told(&imported), "not taken: run b: 1 rows have no value\n");
    assert_eq!(place.load(&imported, "b").history.started_at(), Some(at(1500)));

    // Keras counts epochs; tabulators.
    place.write("keras.csv", "epoch\taccuracy\n0\t0.5\n1\t0.75\n");
    let imported = take(&place, "keras.csv");
    assert_eq!(shown(&place, &imported, "keras"), "accuracy@0=0.5 accuracy@1=0.75");

    // MLflow's `search_runs` says what is what; of another table a person does.
    place.write("mlflow.csv", "run_id,status,metrics.loss,params.lr,tags.team,tags.mlflow.runName,start_time\nr1,FAILED,0.5,0.1,x,one,1970-01-01 00:00:01+00:00\nr2,RUNNING,,,,,\n");
    let imported = take(&place, "mlflow.csv");
    let run = place.load(&imported, "r1");
    assert_eq!(
        (run.state, run.labels.name.as_deref(), run.history.started_at()),
        (RunState::Failed, Some("one"), Some(at(1000)))
    );
    assert_eq!(run.labels.tags.iter().collect::<Vec<_>>(), ["team=x"]);
    assert_eq!(shown(&place, &imported, "r1"), "loss@0=0.5");
    assert_eq!(place.load(&imported, "r2").history.reason(), Some("it was `RUNNING` when its table was written"));
    place.write("sweep.csv", "name,lr,layers,acc,who\na,1e-3,0012,0.5,\"x, y\"\nb,1e-4,3,0.25,\n");
    let imported = take_all(&place, &["sweep.csv"], &["acc"]).unwrap();
    let run = place.load(&imported, "a");
    let settings: Vec<String> = run.subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        (settings.join(" "), shown(&place, &imported, "a")),
        ("lr=1e-3 layers=0012 who=x, y".to_owned(), "acc@0=0.5".to_owned())
    );
}

#[test]
fn a_run_is_known_by_its_rows_and_named_when_they_changed() {
    let place = Place::new();
    place.write("t.csv", "run,metric,step,value\na,loss,1,0.5\nb,loss,1,0.5\n");
    assert_eq!(take(&place, "t.csv").runs.len(), 2);
    let again = take(&place, "t.csv");
    assert_eq!((again.runs.len(), again.known.len(), told(&again)), (0, 2, String::new()));
    // Elsewhere, in another order, with a run more, and one that went on.
    place.write("t.csv", "run,metric,step,value\nb,loss,1,0.5\nc,loss,1,0.5\na,loss,1,0.5\na,loss,2,0.25\n");
    let grown = take(&place, "t.csv");
    assert_eq!((grown.runs.len(), grown.known.len()), (1, 2));
    assert!(
        told(&grown).starts_with("changed: run a: it is not what it was when it came in as run "),
        "{}",
        told(&grown)
    );
    std::fs::rename(place.path("t.csv"), place.path("u.csv")).unwrap();
    // The experiment is the folder's name, so the rows say the same.
    assert_eq!(take(&place, "u.csv").known.len(), 2);
}

#[test]
fn what_is_no_table_is_refused_with_its_place() {
    let place = Place::new();
    for (text, expected) in [
        ("", "is empty"),
        ("step,loss\n", "has no rows"),
        ("step,loss\n1,0.5\n2\n", "line 3: 1 fields, where the first line has 2"),
        ("step,loss\n1,0.5\n2,x\n", "line 3, column `loss`: `x` is no number"),
        ("step,loss\n1,\"0,5\"\n", "line 2, column `loss`: `0,5` is no number"),
        ("step,loss\n,1\n", "line 2, column `step`: it is empty"),
        ("step,loss\n1.5,1\n", "line 2, column `step`: `1.5` is no whole number"),
        ("run,step,loss\n,1,1\n", "line 2, column `run`: it is empty"),
        ("run,metric,step,value\na,,1,1\n", "line 2, column `metric`: it is empty"),
        (
            "time,step,loss\n17,1,1\n",
            "line 2, column `time`: `17` is no time as 2026-01-31T09:30:00.250Z; seconds since 1970 are read in a column `wall_time`, milliseconds in `time_ms`",
        ),
        ("step,loss\n1,\"a\n", "line 2: a quote is not closed"),
        ("run_id,metrics.a\nx,1\nx,2\n", "line 3: a second run `x`"),
        (
            "\u{fffe}",
            "is no table that is understood: `step` with a column for each metric is (`step`, `loss`, ...); `run`, `metric`, `step`, `value` is; and a run a row is, with --metric COLUMN for each column that was measured; its columns are `\u{fffe}`",
        ),
    ] {
        place.write("t.csv", text);
        let error = take_all(&place, &["t.csv"], &[]).unwrap_err().to_string();
        assert_eq!(error, format!("`{}` {expected}", place.path("t.csv").display()), "{text:?}");
    }
    place.write("t.csv", b"\xff\xfea\0");
    assert!(take_all(&place, &["t.csv"], &[]).unwrap_err().to_string().contains("UTF-16"));
    assert_eq!(place.store().run_ids().unwrap(), []);
}

/// Makes a run of a guest.
fn log(store: &Store, points: &[LoggedPoint]) -> crate::types::RunId {
    let serde_json::Value::Object(parameters) = serde_json::json!({ "lr": 0.1, "who": "'=x", "n": 3 }) else {
        unreachable!()
    };
    let logged = Logged { by: "train.py".into(), experiment: Some("=grus, \"1\"".into()), parameters };
    let mut run = store.create_logged(&logged, &serde_json::json!({}), &Lineage::default(), at(5)).unwrap();
    run.points(points.to_vec()).unwrap();
    run.dir().relabel(|labels| labels.name = Some("-one".to_owned())).unwrap();
    run.state(RunState::Failed, Some("why".to_owned()), at(9000)).unwrap();
    run.dir().id().clone()
}

fn export(store: &Store, shape: Shape) -> Vec<u8> {
    let mut index = Index::open(store).unwrap();
    let rows = index.query(&RunQuery::parse("", at(0)).unwrap()).unwrap();
    let facts = index.facts(rows).unwrap();
    let mut out = Vec::new();
    write(store, &facts, shape, Spelling::Csv, &mut out).unwrap();
    out
}

fn any_points() -> impl Strategy<Value = Vec<LoggedPoint>> {
    let key = prop::sample::select(vec!["loss", "=1+2", "'-x", "val/손실, \"q\"", "step", "run"]);
    let time = prop::option::of(0..253_402_207_200_000_i64);
    let point = (key, any::<i64>(), time, any::<u64>()).prop_map(|(key, step, time, bits)| LoggedPoint {
        key: key.parse().unwrap(),
        step,
        at: time.map(at),
        value: f64::from_bits(bits),
    });
    prop::collection::vec(point, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What `ablate export` writes with a point a row comes in elsewhere with the same points, bit for bit.
    #[test]
    fn what_is_exported_comes_in_as_it_was(logged in prop::collection::vec(any_points(), 1..3)) {
        let (here, there) = (Place::new(), Place::new());
        let ids: Vec<_> = logged.iter().map(|points| log(&here.store(), points)).collect();
        for shape in [Shape::Long, Shape::Wide] {
            there.write("t.csv", export(&here.store(), shape));
            let imported = take(&there, "t.csv");
            prop_assert_eq!((imported.runs.len(), told(&imported)), (ids.len(), String::new()));
            prop_assert_eq!(imported.experiments.iter().collect::<Vec<_>>(), ["=grus, \"1\""]);
            for id in &ids {
                let run = there.load(&imported, id.as_str());
                let ours = here.store().load(id).unwrap();
                let measured: BTreeMap<_, _> = ours.history.all_measured().collect();
                let back: BTreeMap<_, _> = run.history.all_measured().collect();
                prop_assert_eq!(measured.keys().collect::<Vec<_>>(), back.keys().collect::<Vec<_>>());
                for (key, points) in measured {
                    let told = |point: &crate::store::Measured| {
                        let bits = if point.value.is_nan() { f64::NAN } else { point.value }.to_bits();
                        (point.step, bits, point.at.filter(|_| shape == Shape::Long))
                    };
                    prop_assert_eq!(points.iter().map(told).collect::<Vec<_>>(), back[key].iter().map(told).collect::<Vec<_>>());
                }
            }
            std::fs::remove_dir_all(there.path("runs")).unwrap();
        }
        // The store that it came from has every run.
        here.write("t.csv", export(&here.store(), Shape::Long));
        prop_assert_eq!((take(&here, "t.csv").runs.len(), take(&here, "t.csv").known.len()), (0, ids.len()));
    }
}

#[test]
fn a_table_of_runs_comes_in_with_what_it_says() {
    let (here, there) = (Place::new(), Place::new());
    let point = |key: &str, step, value| LoggedPoint { key: key.parse().unwrap(), step, at: None, value };
    let id = log(&here.store(), &[point("loss", 1, 0.5), point("loss", 7, 0.25), point("acc", 7, f64::NAN)]);
    there.write("t.csv", export(&here.store(), Shape::Runs));
    let imported = take(&there, "t.csv");
    assert_eq!(told(&imported), "");
    let run = there.load(&imported, id.as_str());
    assert_eq!(shown(&there, &imported, id.as_str()), "acc@7=NaN loss@7=0.25");
    let ours = here.store().load(&id).unwrap();
    let sorted = |mut settings: Vec<(String, String)>| {
        settings.sort();
        settings
    };
    assert_eq!(sorted(run.subject.settings()), sorted(ours.subject.settings()));
    assert_eq!(
        (run.state, run.history.reason(), run.labels.name.as_deref()),
        (RunState::Failed, Some("why"), Some("-one"))
    );
    assert_eq!(run.history.started_at(), Some(at(5)));
    assert_eq!(run.provenance["csv"]["row"]["loss.min"], "0.25");
}

/// Two imports at once would both look for a run, not find it, and take it in.
#[test]
fn one_import_waits_for_no_other() {
    let place = Place::new();
    place.write("t.csv", "step,loss\n1,0.5\n");
    let other = place.store().claim_imports().unwrap();
    let refused = take_all(&place, &["t.csv"], &[]).unwrap_err();
    assert!(refused.to_string().starts_with("another import is being executed by another process"), "{refused}");
    drop(other);
    assert_eq!(take(&place, "t.csv").runs.len(), 1);
}

/// The same points under other settings are another run; settings that changed are told.
#[test]
fn settings_beside_a_table_are_part_of_the_run() {
    let place = Place::new();
    for (version, rate) in [("a/version_0", "0.1"), ("b/version_0", "0.9")] {
        place.write(&format!("in/{version}/metrics.csv"), "step,loss\n1,0.5\n");
        place.write(&format!("in/{version}/hparams.yaml"), format!("lr: {rate}\n"));
    }
    assert_eq!(take(&place, "in").runs.len(), 2);
    let again = take(&place, "in");
    assert_eq!((again.runs.len(), again.known.len(), told(&again).as_str()), (0, 2, ""));
    place.write("in/a/version_0/hparams.yaml", "lr: 0.2\n");
    let changed = take(&place, "in");
    assert_eq!((changed.runs.len(), changed.known.len()), (0, 2));
    assert!(
        told(&changed).starts_with("changed: run") && told(&changed).contains("it is not what it was"),
        "{}",
        told(&changed)
    );
}

/// Mutations of tables: no panic, and nothing outside of the store.
#[test]
#[ignore = "ten minutes"]
fn fuzz_tables() {
    let tables = [
        "run,experiment,metric,step,value,time\na,e,loss,1,0.5,1970-01-01T00:00:00.007Z\nb,e,\"a,b\",2,NaN,\n",
        "epoch,step,train_loss,val_loss\r\n0,0,0.5,\r\n0,1,,nan\r\n",
        "id,experiment,name,state,reason,tags,note,created,started,ended,took_secs,steps_done,lr,loss,loss.min,loss.max\na,e,n,failed,,t u,,,,,1,7,0.1,1,2,3\n",
        "run_id,metrics.loss,params.lr\nx,1,2\ny,,3\n",
        "Step;Tag;Value\n1;a;0,5\n",
    ];
    let words = [",", "\"", "\n", ";", "step", "\u{ff}", "'=", "1e999", "../", "\r\n", "metric", "value", "id"];
    let sound: Vec<Vec<u8>> = tables.iter().map(|table| table.as_bytes().to_vec()).collect();
    let make = |luck: &mut Luck| match luck.below(20) {
        0 => sound[luck.below(sound.len())].clone(),
        _ => luck.spoilt(&sound, &words),
    };
    fuzz("metrics.csv", make, |store, path| import(store, &[path.to_owned()], &[], &options(), &mut |_, _| {}));
}
