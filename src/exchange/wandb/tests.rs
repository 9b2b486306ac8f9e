//! `.wandb` files written here byte by byte, whole and damaged, taken in.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::import::{SUMMARY_FACT, import};
use super::log::framed;
use crate::exchange::Imported;
use crate::exchange::testing::{Place, at, fuzz, options, points, told};
use crate::exchange::wire::testing::Message;
use crate::fuzzing::Luck;
use crate::store::{RunState, StoredRun};

const RUN: &str = "wandb/offline-run-20240101_000000-abc123";
const FILE: &str = "run-abc123.wandb";

fn item(key: &str, json: &str) -> Message {
    Message::default().bytes(1, key).bytes(16, json)
}

fn nested(keys: &[&str], json: &str) -> Message {
    keys.iter().fold(Message::default(), |item, key| item.bytes(2, key)).bytes(16, json)
}

fn record(kind: u64, message: &Message) -> Vec<u8> {
    Message::default().varint(1, 1).message(kind, message).0
}

fn changes(items: &[Message]) -> Message {
    items.iter().fold(Message::default(), |all, item| all.message(1, item))
}

fn moment(secs: u64) -> Message {
    Message::default().varint(1, secs).varint(2, 500_000_000)
}

fn run(id: &str, config: &[Message]) -> Vec<u8> {
    let run = Message::default().bytes(1, id).bytes(3, "grus").message(4, &changes(config)).bytes(6, "g");
    let run = run.bytes(8, "nice 이름").bytes(9, "note").bytes(10, "t1").bytes(10, "bad\ntag").bytes(13, "host");
    record(17, &run.message(17, &moment(1_700_000_000)).message(21, &Message::default().bytes(2, "c0ffee")))
}

fn history(step: u64, time: &str, items: &[Message]) -> Vec<u8> {
    let with_time =
        [items, &[item("_timestamp", time), item("_runtime", "1.5"), item("_step", &step.to_string())]].concat();
    record(2, &changes(&with_time).message(2, &Message::default().varint(1, step)))
}

fn exit(code: i32) -> Vec<u8> {
    record(18, &Message::default().varint(1, i64::from(code) as u64))
}

fn take(place: &Place) -> Imported {
    import(&place.store(), &place.path("wandb"), &options(), &mut |_, _| {}).unwrap()
}

#[test]
fn an_offline_run_comes_in_with_every_spelling_of_a_value() {
    let place = Place::new();
    let config = [
        item("lr", "0.1"),
        item("net", r#"{"layers": [1, NaN], "on": true}"#),
        item("_wandb", r#"{"v": 1}"#),
        item("gone", "1"),
    ];
    let later = changes(&[nested(&["net", "kind"], "\"gru\""), item("lr", "0.25")]).message(2, &item("gone", ""));
    let stats = Message::default().message(2, &moment(1_700_000_003)).message(3, &item("cpu", "12.5"));
    let output = |line: &str| record(13, &Message::default().bytes(3, line));
    let file = framed(&[
        record(21, &Message::default()),
        run("abc123", &config),
        record(26, &Message::default().bytes(2, "3.11").bytes(5, "--lr").bytes(5, "1").varint(16, 8)),
        record(5, &later),
        history(
            0,
            "1700000001.25",
            &[item("loss", "0.1"), nested(&["val", "손실"], "-0"), item("nan", "NaN"), item("inf", "\"-Infinity\"")],
        ),
        record(7, &stats),
        history(
            1,
            "1700000002",
            &[
                item("loss", "5e-324"),
                nested(&["h", "_type"], "\"histogram\""),
                nested(&["h", "bins"], "[1,2]"),
                item("img", r#"{"_type": "image-file", "width": 4}"#),
                item("object", r#"{"a": 1, "b": {"c": 2.5}, "d": "x"}"#),
                item("flag", "true"),
                item("word", "\"x\""),
                item("large", "9007199254740993"),
                Message::default().bytes(1, "new").varint(5, 6),
            ],
        ),
        record(3, &changes(&[item("loss", "5e-324"), item("best", "0.01"), item("_runtime", "3"), item("h", "{}")])),
        record(12, &Message::default().bytes(1, "loss")),
        output("one\n"),
        output("two\n"),
        exit(0),
    ]);
    place.write(&format!("{RUN}/{FILE}"), &file);
    place.write(&format!("{RUN}/files/media/a.txt"), "file").write(&format!("{RUN}/logs/debug.log"), "x");
    std::os::unix::fs::symlink(place.path(RUN), place.path("wandb/latest-run")).unwrap();

    let imported = take(&place);
    insta::assert_snapshot!(told(&imported), @r"
    not taken: run grus/abc123: definitions of metrics: 1
    not taken: run grus/abc123: media of the type histogram: 1, of `h`
    not taken: run grus/abc123: media of the type image-file: 1, of `img`
    not taken: run grus/abc123: texts: 2, of `object.d`, `word`
    not taken: run grus/abc123: tag bad�tag: a tag is one line of at most 200 characters
    changed: run grus/abc123: 1 points are integers of more than 53 bits, and are rounded
    changed: run grus/abc123: true is 1 and false is 0 in flag
    ");
    let run = place.load(&imported, "grus/abc123");
    let expected = [
        ("flag", 1, 1_700_000_002_000, 1.0),
        ("inf", 0, 1_700_000_001_250, f64::NEG_INFINITY),
        ("large", 1, 1_700_000_002_000, 9_007_199_254_740_992.0),
        ("loss", 0, 1_700_000_001_250, 0.1),
        ("loss", 1, 1_700_000_002_000, 5e-324),
        ("nan", 0, 1_700_000_001_250, f64::NAN),
        ("new", 1, 1_700_000_002_000, 3.0),
        ("object.a", 1, 1_700_000_002_000, 1.0),
        ("object.b.c", 1, 1_700_000_002_000, 2.5),
        ("system/cpu", 0, 1_700_000_003_500, 12.5),
        ("val.손실", 0, 1_700_000_001_250, -0.0),
    ];
    assert_eq!(points(&run), expected.map(|(key, step, at, value)| (key.to_owned(), step, Some(at), value.to_bits())));
    let settings: Vec<String> = run.subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(settings, ["lr=2.5e-1", "net.layers.0=1", "net.layers.1=NaN", "net.on=true", "net.kind=gru"]);
    assert_eq!((run.state, run.history.started_at()), (RunState::Finished, Some(at(1_700_000_000_500))));
    assert_eq!((run.labels.name.as_deref(), run.labels.note.as_deref()), (Some("nice 이름"), Some("note")));
    assert_eq!(run.labels.tags.iter().collect::<Vec<_>>(), ["group=g", "t1"]);
    assert_eq!(run.history.facts[SUMMARY_FACT], json!({ "best": 0.01 }));
    let about = &run.provenance["wandb"];
    assert_eq!(
        (&about["run_id"], &about["git_commit"], &about["args"]),
        (&json!("abc123"), &json!("c0ffee"), &json!(["--lr", "1"]))
    );
    let read = |name: &str| fs::read_to_string(run.dir.path().join("artifacts").join(name)).unwrap();
    assert_eq!((read("media/a.txt"), read("output.log")), ("file".to_owned(), "one\ntwo\n".to_owned()));
    assert_eq!(imported.experiments.iter().collect::<Vec<_>>(), ["grus"]);

    let again = take(&place);
    assert_eq!((again.runs.len(), again.known.len(), told(&again)), (0, 1, String::new()));
    fs::remove_dir_all(place.path(RUN).join("logs")).unwrap();
    // The same run went on in another folder.
    place.write(
        &format!("wandb/offline-run-20240102_000000-abc123/{FILE}"),
        framed(&[self::run("abc123", &[]), exit(3)]),
    );
    let changed = &take(&place).findings.changed;
    assert!(changed[0].why.starts_with("it is not what it was when it came in as run "), "{changed:?}");
    fs::remove_dir_all(place.path("runs")).unwrap();
    let both = take(&place);
    let run = place.load(&both, "grus/abc123");
    assert_eq!((both.runs.len(), points(&run).len(), run.state), (1, expected.len(), RunState::Failed));
    assert_eq!(run.history.reason(), Some("its program ended with exit code 3"));
}

#[test]
fn what_is_damaged_is_set_aside_and_what_came_before_comes_in() {
    let place = Place::new();
    let point = |step: u64| history(step, "1.0", &[item("loss", "1")]);
    let of = |id: &str, records: &[Vec<u8>]| framed(&[&[run(id, &[])], records].concat());
    let folder = |id: &str| format!("wandb/offline-run-1-{id}/run-{id}.wandb");
    let torn = of("torn", &[point(0), point(1)]);
    place.write(&folder("torn"), &torn[..torn.len() - 1]);
    let mut flipped = of("flipped", &[point(0), point(1), exit(0)]);
    let at = flipped.len() - 20;
    flipped[at] ^= 1;
    place.write(&folder("flipped"), flipped);
    place.write(&folder("message"), of("message", &[point(0), vec![0x12, 0x7f], point(1), exit(0)]));
    place.write(&folder("empty"), "").write(&folder("other"), "no such file");
    place.write(
        &folder("no-steps"),
        of("no-steps", &[record(2, &changes(&[item("a", "1")])), record(2, &changes(&[item("a", "2")]))]),
    );
    let deep: Vec<&str> = vec!["k"; 5_000];
    place.write(&folder("deep"), of("deep", &[record(5, &changes(&[nested(&deep, "1")])), point(0), exit(0)]));
    let imported = take(&place);
    insta::assert_snapshot!(told(&imported).lines().filter(|line| !line.contains("tag bad")).collect::<Vec<_>>().join("\n"), @r"
    set aside: offline-run-1-other/run-other.wandb: it does not begin as W&B's files do: the file is read until there
    set aside: offline-run-1-flipped/run-flipped.wandb: the piece at byte 181 does not fit its checksum: the file is read until there
    set aside: offline-run-1-message/run-message.wandb: 1 records are no messages of protocol buffers
    set aside: offline-run-1-torn/run-torn.wandb: the record at byte 178 is torn: it was being written
    not taken: run empty: its log says nothing: W&B writes 32 KiB at a time
    not taken: run other: its log says nothing: W&B writes 32 KiB at a time
    not taken: run grus/deep: settings too deep in one another: 1, of `k`
    ");
    let steps = |id: &str| {
        points(&place.load(&imported, &format!("grus/{id}"))).iter().map(|point| point.1).collect::<Vec<_>>()
    };
    assert_eq!(
        (steps("torn"), steps("message"), steps("no-steps"), steps("deep")),
        (vec![0], vec![0, 1], vec![0, 1], vec![0])
    );
    assert_eq!(place.load(&imported, "grus/torn").state, RunState::Interrupted);
    let error = import(&place.store(), &place.path("runs"), &options(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.contains("has no offline run of W&B"), "{error}");
}

/// What is said of a run that has these records, and its settings, summary and tags.
fn came(place: &Place, records: &[Vec<u8>]) -> (String, StoredRun) {
    place.write(&format!("{RUN}/{FILE}"), framed(&[&[bare("abc123", &[])], records, &[exit(0)]].concat()));
    let imported = take(place);
    (told(&imported), place.load(&imported, "grus/abc123"))
}

fn bare(id: &str, tags: &[&str]) -> Vec<u8> {
    let run = Message::default().bytes(1, id).bytes(3, "grus");
    record(17, &tags.iter().fold(run, |run, tag| run.bytes(10, tag)))
}

fn settings(run: &StoredRun) -> Vec<String> {
    run.subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect()
}

#[test]
fn what_cannot_be_kept_is_named_and_what_is_kept_can_be_read_again() {
    let place = Place::new();
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    let keys = vec!["k"; 64];
    let items = [
        item("ok", &lists(63)),
        item("deep", &lists(64)),
        item("deeper", &lists(127)),
        item("deepest", &lists(100_000)),
        nested(&keys, "1"),
        nested(&["m"; 64], "[]"),
        nested(&["n"; 65], "1"),
        item("long", &long),
        item("bad", "{"),
        item("huge", "1e400"),
        item("gone", "1"),
        item("gone", "nonsense"),
        item("null", "null"),
    ];
    let of_run = record(17, &Message::default().bytes(1, "abc123").message(4, &changes(&items)));
    let (told, run) = came(&place, &[of_run, record(5, &changes(&items)), record(3, &changes(&items))]);
    insta::assert_snapshot!(told, @r"
    not taken: run grus/abc123: settings of more than 1 MiB: 2, of `long`
    not taken: run grus/abc123: settings that are no JSON: 6, of `bad`, `gone`, `huge`
    not taken: run grus/abc123: settings too deep in one another: 10, of `deep`, `deeper`, `deepest` and 2 more
    not taken: run grus/abc123: values of the summary of more than 1 MiB: 1, of `long`
    not taken: run grus/abc123: values of the summary that are no JSON: 3, of `bad`, `gone`, `huge`
    not taken: run grus/abc123: values of the summary too deep in one another: 5, of `deep`, `deeper`, `deepest` and 2 more
    ");
    let mut kept = settings(&run);
    kept.retain(|setting| !setting.starts_with("ok") && !setting.starts_with("k."));
    assert_eq!(kept, ["null=null"]);
    let summary = run.history.facts[SUMMARY_FACT].as_object().unwrap();
    assert_eq!(
        summary.keys().collect::<Vec<_>>(),
        ["k".to_owned() + &".k".repeat(63), "null".into(), "ok".into()].iter().collect::<Vec<_>>()
    );
}

#[test]
fn no_more_than_16_mib_of_settings_are_read() {
    let place = Place::new();
    let value = format!("\"{}\"", "x".repeat((1 << 20) - 16));
    let some = |keys: std::ops::Range<u8>| -> Vec<Message> { keys.map(|at| item(&at.to_string(), &value)).collect() };
    // Ten twice are ten; then there is place for six more. In one record the seventeenth is passed over.
    let records = [&some(0..10)[..], &some(0..10), &some(10..20)].map(|items| record(5, &changes(items)));
    let (told, run) = came(&place, &[&records[..], &[record(3, &changes(&some(0..20)))]].concat());
    insta::assert_snapshot!(told, @r"
    not taken: run grus/abc123: settings beyond the first 16 MiB: 4, of `16`, `17`, `18` and 1 more
    not taken: run grus/abc123: values of the summary beyond the first 16 MiB: 4
    ");
    assert_eq!(run.subject.settings().len(), 16);
}

#[test]
fn integers_among_settings_are_exact() {
    let place = Place::new();
    let config = [
        item("seed", "1234567890123456789"),
        item("most", "18446744073709551615"),
        item("beyond", "-18446744073709551616"),
        item("within", r#"{"a": [9007199254740993, 18446744073709551616]}"#),
        Message::default().bytes(1, "new").varint(5, u64::MAX),
    ];
    let (_, run) = came(&place, &[record(5, &changes(&config)), record(3, &changes(&config[..1]))]);
    assert_eq!(
        settings(&run),
        [
            "seed=1234567890123456789",
            "most=18446744073709551615",
            "beyond=-18446744073709551616",
            "within.a.0=9007199254740993",
            "within.a.1=18446744073709551616",
            "new=-9223372036854775808"
        ]
    );
    assert_eq!(run.history.facts[SUMMARY_FACT], json!({ "seed": 1_234_567_890_123_456_789_i64 }));
}

#[test]
fn steps_are_integers_of_the_record_or_of_its_key() {
    let place = Place::new();
    let with = |step: Option<u64>, json: &str| {
        let all = changes(&[item("a", "1"), item("_step", json)]);
        record(2, &step.into_iter().fold(all, |all, step| all.message(2, &Message::default().varint(1, step))))
    };
    let records = [
        with(None, "9007199254740993"),
        with(None, "1.7"),
        with(None, "NaN"),
        with(None, "1e30"),
        with(None, "18446744073709551615"),
        with(Some(3), "7"),
        with(Some(1 << 60), "1.5"),
        with(Some(5), "5"),
    ];
    let (told, run) = came(&place, &records);
    let first = 9_007_199_254_740_993;
    let expected = [first, first + 1, first + 2, first + 3, first + 4, 3, 1 << 60, 5];
    assert_eq!(points(&run).iter().map(|point| point.1).collect::<Vec<_>>(), expected);
    assert!(told.contains("6 times `_step` is no integer of 64 bits, or not the record's own step"), "{told}");
}

#[test]
fn pieces_follow_one_another_by_date_wherever_they_are() {
    let place = Place::new();
    let of = |value: &str, tags: &[&str]| {
        framed(&[bare("abc123", tags), record(5, &changes(&[item("at", value)])), exit(0)])
    };
    place.write(&format!("wandb/a/run-20240103_000000-abc123/{FILE}"), of("3", &["t3"]));
    place.write(&format!("wandb/b/offline-run-20240101_000000-abc123/sub/{FILE}"), of("1", &["t1", "gone"]));
    place.write(&format!("wandb/offline-run-20240102_000000-abc123/{FILE}"), of("2", &["t2"]));
    let imported = take(&place);
    let run = place.load(&imported, "grus/abc123");
    assert_eq!((imported.runs.len(), settings(&run)), (1, vec!["at=3".to_owned()]));
    assert_eq!(run.labels.tags.iter().collect::<Vec<_>>(), ["t3"]);
}

#[test]
fn the_last_record_says_who_a_run_is() {
    let place = Place::new();
    let of = |group: &str, tag: &str| {
        record(17, &Message::default().bytes(1, "abc123").bytes(3, "grus").bytes(6, group).bytes(10, tag))
    };
    let (_, run) = came(&place, &[of("one", "a"), of("two", "b")]);
    assert_eq!(run.labels.tags.iter().collect::<Vec<_>>(), ["b", "group=two"]);
}

#[test]
fn everything_that_is_left_out_is_said() {
    let place = Place::new();
    let stats = [item("cpu", "1"), item("gpu", "\"A\""), item("disk", r#"{"in": 1}"#)];
    let records = [
        history(
            0,
            "1.0",
            &[item("o", r#"{"on": true, "off": false}"#), item("long", &format!("[{}1]", "1,".repeat(1 << 19)))],
        ),
        record(7, &stats.iter().fold(Message::default(), |all, item| all.message(3, item))),
        record(3, &changes(&[item("_mine", "2"), item("_step", "1"), item("_wandb", "{}")])),
    ];
    place.write(&format!("wandb/{}/{FILE}", "d/".repeat(65)), "");
    place.write("wandb/run-top.wandb", framed(&[bare("top", &[]), exit(0)]));
    let (told, run) = came(&place, &records);
    insta::assert_snapshot!(told, @r"
    not taken: d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d: more than 64 folders deep
    not taken: run grus/abc123: system metrics that are no numbers: 2, of `disk`, `gpu`
    not taken: run grus/abc123: values of more than 1 MiB: 1, of `long`
    changed: run grus/abc123: true is 1 and false is 0 in o.off, o.on
    ");
    assert_eq!(run.history.facts[SUMMARY_FACT], json!({ "_mine": 2 }));
}

#[test]
fn runs_of_different_places_are_not_called_the_same() {
    let place = Place::new();
    let identities = [
        ("a/b", "c", "x"),
        ("a", "b/c", "x"),
        ("a", "", "x"),
        ("", "a", "x"),
        ("", "", "x"),
        ("", "a%2Fx", "x"),
        ("", "", "a/x"),
    ];
    for (at, (entity, project, id)) in identities.iter().enumerate() {
        let run = record(17, &Message::default().bytes(1, id).bytes(2, entity).bytes(3, project));
        place.write(&format!("wandb/{at}/run-x.wandb"), framed(&[run, exit(0)]));
    }
    let imported = take(&place);
    let mut names: Vec<&str> = imported.runs.iter().map(|run| run.source.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a%252Fx/x", "a%2Fb/c/x", "a%2Fx", "a//x", "a/b%2Fc/x", "a/x", "x"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was logged comes in with its bits, in both spellings.
    #[test]
    fn points_are_kept_as_they_were_logged(logged in prop::collection::vec((0_u64..1 << 50, any::<u64>(), any::<bool>()), 1..30)) {
        let logged: Vec<(u64, f64, bool)> = logged.into_iter().map(|(step, bits, new)| (step, f64::from_bits(bits), new)).collect();
        let of = |(step, value, is_new): &(u64, f64, bool)| {
            let json = if value.is_finite() { format!("{value:?}") } else { format!("{value}").replace("inf", "Infinity") };
            let item = if *is_new { Message::default().bytes(2, "a").bytes(2, "b").double(6, *value) } else { nested(&["a", "b"], &json) };
            history(*step, "5.25", &[item])
        };
        let records: Vec<Vec<u8>> = std::iter::once(run("abc123", &[])).chain(logged.iter().map(of)).collect();
        let place = Place::new();
        place.write(&format!("{RUN}/{FILE}"), framed(&records));
        let imported = take(&place);
        let found = points(&place.load(&imported, "grus/abc123"));
        prop_assert_eq!(found.len(), logged.len());
        for (found, (step, value, _)) in found.iter().zip(&logged) {
            prop_assert_eq!((found.0.as_str(), found.1, found.2), ("a.b", *step as i64, Some(5250)));
            prop_assert!(found.3 == value.to_bits() || value.is_nan() && f64::from_bits(found.3).is_nan());
        }
    }
}

/// Mutations of offline runs, most of them of the messages within frames that fit: no panic, and nothing outside of the store.
#[test]
#[ignore = "ten minutes"]
fn fuzz_offline_runs() {
    let records = [
        run("abc123", &[item("lr", "0.1"), nested(&["net", "kind"], "\"gru\"")]),
        history(
            3,
            "1700000001.25",
            &[item("loss", "0.1"), nested(&["h", "_type"], "\"histogram\""), item("o", r#"{"a": [NaN]}"#)],
        ),
        record(5, &changes(&[nested(&["net", "kind"], "1")]).message(2, &item("lr", ""))),
        record(3, &changes(&[item("best", "1")])),
        record(7, &Message::default().message(2, &moment(1)).message(3, &item("cpu", "1"))),
        record(13, &Message::default().bytes(3, "line\n")),
        record(26, &Message::default().bytes(2, "3.11")),
        exit(0),
    ];
    let words = ["\u{ff}\u{ff}\u{ff}\u{ff}\x01", "\0\0\0\0", "NaN", "../", "\x0a\x7f", "_step", "\u{80}", "{\""];
    let make = |luck: &mut Luck| {
        let mut some = Vec::new();
        for _ in 0..=luck.below(12) {
            let mut record = records[luck.below(records.len())].clone();
            if luck.below(3) > 0 {
                record = luck.spoilt(std::slice::from_ref(&record), &words);
            }
            some.push(record);
        }
        let file = framed(&some);
        if luck.below(4) == 0 { luck.spoilt(&[file], &words) } else { file }
    };
    fuzz(FILE, make, |store, path| import(store, path, &options(), &mut |_, _| {}));
}
