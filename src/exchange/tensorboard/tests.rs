//! Event files written here byte by byte, whole and damaged, taken in.

use std::fs;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use serde_json::json;

use super::import::import;
use super::records::framed;
use crate::exchange::Imported;
use crate::exchange::testing::{Place, at, fuzz, options, points, told};
use crate::exchange::wire::testing::Message;
use crate::fuzzing::Luck;
use crate::store::RunState;

const FILE: &str = "events.out.tfevents.1700000000.host.1.0";

fn event(wall_time: f64, step: i64) -> Message {
    Message::default().double(1, wall_time).varint(2, step as u64)
}

/// The record that every file begins with.
fn version(wall_time: f64) -> Vec<u8> {
    framed(&event(wall_time, 0).bytes(3, "brain.Event:2").0)
}

fn summary(wall_time: f64, step: i64, values: &[Message]) -> Vec<u8> {
    let summary = values.iter().fold(Message::default(), |all, value| all.message(1, value));
    framed(&event(wall_time, step).message(5, &summary).0)
}

fn tagged(tag: &str) -> Message {
    Message::default().bytes(1, tag)
}

fn simple(tag: &str, value: f32) -> Message {
    tagged(tag).float(2, value)
}

fn of_plugin(tag: &str, plugin: &str, content: &Message) -> Message {
    tagged(tag).message(9, &Message::default().message(1, &Message::default().bytes(1, plugin).message(2, content)))
}

fn restart(step: i64) -> Vec<u8> {
    framed(&event(9.0, step).message(7, &Message::default().varint(1, 1)).0)
}

fn setting(key: &str, value: &Message) -> Message {
    Message::default().bytes(1, key).message(2, value)
}

fn take(place: &Place) -> Imported {
    import(&place.store(), &place.path("logs"), &options(), &mut |_, _| {}).unwrap()
}

fn number(value: f64) -> Message {
    Message::default().double(2, value)
}

#[test]
fn a_log_comes_in_with_every_spelling_of_a_scalar() {
    let place = Place::new();
    let none = Message::default();
    let double = Message::default().varint(1, 2).double(6, 0.1);
    let float = Message::default().varint(1, 1).bytes(4, 0.1_f32.to_le_bytes());
    let large = Message::default().varint(1, 9).varint(10, (1 << 60) | 1);
    let text = |text: &str| Message::default().varint(1, 7).bytes(8, text);
    let start =
        [setting("lr", &number(1e-4)), setting("layers", &number(3.0)), setting("opt", &none.clone().bytes(3, "adam"))];
    let start = start.iter().fold(Message::default(), |all, entry| all.message(1, entry));
    let start = Message::default().message(3, &start);
    let end = Message::default().message(4, &Message::default().varint(1, 1).double(2, 1_700_000_900.5));
    let log = [
        version(1_700_000_000.25),
        summary(1_700_000_001.000_4, 1, &[simple("loss", 0.1), simple("검증/🎉", -0.0)]),
        // Metadata stand at the first value of a tag alone.
        summary(
            1_700_000_002.0,
            2,
            &[
                of_plugin("d", "scalars", &none).message(8, &double),
                of_plugin("f", "scalars", &none).message(8, &float),
            ],
        ),
        summary(1_700_000_003.0, -7, &[tagged("d").message(8, &double), tagged("f").message(8, &large)]),
        summary(1_700_000_004.0, i64::MAX, &[simple("loss", f32::NAN), simple("loss", f32::NEG_INFINITY)]),
        summary(1_700_000_004.0, 0, &[of_plugin("note", "text", &none).message(8, &text("# a \"b\"\n"))]),
        summary(1_700_000_004.0, 0, &[tagged("h").bytes(5, ""), tagged("g").bytes(5, ""), tagged("i").bytes(4, "")]),
        summary(
            1_700_000_004.0,
            0,
            &[of_plugin("curve", "pr_curves", &none).message(8, &double), tagged("raw").message(8, &double)],
        ),
        summary(1_700_000_004.0, 0, &[of_plugin("_hparams_/session_start_info", "hparams", &start)]),
        summary(1_700_000_004.0, 0, &[of_plugin("_hparams_/session_end_info", "hparams", &end)]),
        framed(&event(1.0, 0).bytes(4, "graph").0),
        framed(&event(0.0, 0).0),
        summary(f64::NAN, 5, &[simple("loss", 2.0), simple("a\nb", 1.0)]),
    ];
    place.write(&format!("logs/exp 1/{FILE}"), log.concat());
    place.write("logs/exp 1/hparams.yaml", "model:\n  kind: gru\nseed: 1\nlr: 0.0001\n");
    place.write("logs/exp 1/checkpoints/last.ckpt", "x");
    place.write(&format!("logs/{FILE}"), [version(1.0), summary(2.0, 0, &[simple("loss", 1.0)])].concat());
    place.write("logs/empty/events.out.tfevents.1.host", "");

    let imported = take(&place);
    insta::assert_snapshot!(told(&imported), @r"
    not taken: run empty: it has no scalars, settings or texts
    not taken: run exp 1: graphs: 1
    not taken: run exp 1: histograms: 2, of `g`, `h`
    not taken: run exp 1: images: 1, of `i`
    not taken: run exp 1: pr_curves: 1, of `curve`
    not taken: run exp 1: tensors: 1, of `raw`
    not taken: run exp 1: what lies beside its event files: `checkpoints`
    not taken: run exp 1: a�b: 1 points: a metric's name here is one line of at most 250 characters
    changed: run exp 1: 1 points are integers of more than 53 bits, and are rounded
    changed: run exp 1: 1 points have a time that is no number or outside of the years 0 to 9999: they have none, or are held within them
    ");
    let run = place.load(&imported, "exp 1");
    let expected = [
        ("d", 2, Some(1_700_000_002_000), 0.1),
        ("d", -7, Some(1_700_000_003_000), 0.1),
        ("f", 2, Some(1_700_000_002_000), f64::from(0.1_f32)),
        ("f", -7, Some(1_700_000_003_000), 1_152_921_504_606_846_976.0),
        ("loss", 1, Some(1_700_000_001_000), f64::from(0.1_f32)),
        ("loss", i64::MAX, Some(1_700_000_004_000), f64::NAN),
        ("loss", i64::MAX, Some(1_700_000_004_000), f64::NEG_INFINITY),
        ("loss", 5, None, 2.0),
        ("검증/🎉", 1, Some(1_700_000_001_000), -0.0),
    ];
    assert_eq!(points(&run), expected.map(|(key, step, at, value)| (key.to_owned(), step, at, value.to_bits())));
    let settings: Vec<String> = run.subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(settings, ["model.kind=gru", "seed=1", "lr=1e-4", "layers=3", "opt=adam"]);
    assert_eq!((run.state, run.history.started_at()), (RunState::Finished, Some(at(1_700_000_000_250))));
    assert_eq!(run.labels.name.as_deref(), Some("exp 1"));
    let texts = fs::read_to_string(run.dir.path().join("artifacts/texts.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(&texts).unwrap();
    assert_eq!(line, json!({ "tag": "note", "step": 0, "time": "2023-11-14T22:13:24.000Z", "text": "# a \"b\"\n" }));
    // What a file does not say is not said either.
    let top = place.load(&imported, "logs");
    assert_eq!(
        (top.state, top.history.reason()),
        (RunState::Finished, Some("an event file does not say how a run ended"))
    );
    assert_eq!(imported.experiments.iter().collect::<Vec<_>>(), ["logs"]);

    // Known, wherever the folder lies; a run that has grown is named.
    fs::rename(place.path("logs"), place.path("moved")).unwrap();
    fs::create_dir(place.path("logs")).unwrap();
    fs::rename(place.path("moved"), place.path("logs/deeper")).unwrap();
    let again = take(&place);
    assert_eq!((again.runs.len(), again.known.len()), (0, 2));
    let file = place.path(&format!("logs/deeper/{FILE}"));
    let grown = [fs::read(&file).unwrap(), summary(3.0, 1, &[simple("loss", 1.0)])].concat();
    fs::write(&file, grown).unwrap();
    let changed = &take(&place).findings.changed;
    assert_eq!(changed[0].place, "run deeper");
    assert!(changed[0].why.starts_with("it is not what it was when it came in as run "), "{changed:?}");
}

#[test]
fn what_a_restart_makes_void_is_not_taken() {
    let place = Place::new();
    let steps = |from: i64, to: i64, value: f32| -> Vec<u8> {
        (from..to).flat_map(|step| summary(step as f64, step, &[simple("loss", value)])).collect()
    };
    place.write("logs/events.out.tfevents.1", [version(0.0), steps(0, 10, 1.0)].concat());
    place.write("logs/events.out.tfevents.2", [version(0.0), restart(7), steps(7, 12, 2.0)].concat());
    place.write(
        "logs/events.out.tfevents.3",
        [version(0.0), restart(9), restart(3), steps(3, 5, 3.0), restart(50)].concat(),
    );
    let imported = take(&place);
    assert_eq!(
        told(&imported),
        "not taken: run logs: 12 points that a restart at an earlier step made void, as in TensorBoard\n"
    );
    let found: Vec<(i64, f64)> = points(&place.load(&imported, "logs"))
        .iter()
        .map(|(_, step, _, bits)| (*step, f64::from_bits(*bits)))
        .collect();
    assert_eq!(found, [(0, 1.0), (1, 1.0), (2, 1.0), (3, 3.0), (4, 3.0)]);
}

#[test]
fn what_is_damaged_is_set_aside_and_what_came_before_comes_in() {
    let place = Place::new();
    let of = |time: f64, record: Vec<u8>| {
        [version(time), summary(2.0, 1, &[simple("loss", 1.0)]), record, summary(3.0, 2, &[simple("loss", 2.0)])]
            .concat()
    };
    let mut flipped = summary(2.5, 1, &[simple("loss", 9.0)]);
    flipped[20] ^= 4;
    place.write(&format!("logs/flipped/{FILE}"), of(1.0, flipped));
    let torn = of(2.0, Vec::new());
    place.write(&format!("logs/torn/{FILE}"), &torn[..torn.len() - 3]);
    place.write(&format!("logs/no message/{FILE}"), of(3.0, framed(b"\x08")));
    let plain = Message::default().bytes(1, Message::default().bytes(1, b"\xff\xfe").float(2, 1.0).0);
    place.write(&format!("logs/no text/{FILE}"), of(4.0, framed(&event(2.0, 1).message(5, &plain).0)));
    let two = of_plugin("loss", "scalars", &Message::default()).message(
        8,
        &Message::default().varint(1, 1).bytes(2, Message::default().bytes(2, Message::default().varint(1, 2).0).0),
    );
    place.write(
        &format!("logs/two/{FILE}"),
        of(5.0, [summary(1.0, 0, std::slice::from_ref(&two)), summary(1.0, 0, &[two])].concat()),
    );
    place.write(&format!("logs/other/{FILE}"), "no event file at all");
    place.write("secret", of(2.0, Vec::new()));
    symlink(place.path("secret"), place.path("logs/events.out.tfevents.link")).unwrap();
    symlink(place.path("logs"), place.path("logs/torn/up")).unwrap();
    let imported = take(&place);
    insta::assert_snapshot!(told(&imported), @r"
    set aside: flipped/events.out.tfevents.1700000000.host.1.0: the record at byte 84 does not fit its checksum: the file is read until there
    set aside: no message/events.out.tfevents.1700000000.host.1.0: record at byte 84: its bytes are no message of protocol buffers
    set aside: no text: step 1: its bytes are no message of protocol buffers
    set aside: other/events.out.tfevents.1700000000.host.1.0: the length of the record at byte 0 does not fit its checksum: the file is read until there
    set aside: torn/events.out.tfevents.1700000000.host.1.0: the record at byte 84 is torn: it was being written
    set aside: two: loss at step 0: a scalar of several numbers (2 times, this is the first)
    not taken: logs/events.out.tfevents.link: a link, which is not followed
    not taken: run other: it has no scalars, settings or texts
    not taken: run torn: what lies beside its event files: `up`
    ");
    let values = |name: &str| {
        points(&place.load(&imported, name)).iter().map(|point| f64::from_bits(point.3)).collect::<Vec<_>>()
    };
    assert_eq!((values("flipped"), values("torn")), (vec![1.0], vec![1.0]));
    assert_eq!(
        (values("no message"), values("no text"), values("two")),
        (vec![1.0, 2.0], vec![1.0, 2.0], vec![1.0, 2.0])
    );
    assert_eq!(place.load(&imported, "torn").state, RunState::Interrupted);
    assert!(place.load(&imported, "torn").history.warnings[0].starts_with("not imported: torn/events"));
    let error = import(&place.store(), &place.path("runs"), &options(), &mut |_, _| {}).unwrap_err().to_string();
    assert!(error.ends_with("nor has a folder in it"), "{error}");
}

fn any_points() -> impl Strategy<Value = Vec<(String, i64, u32, u32)>> {
    let key = prop::sample::select(vec!["loss", "val/손실", "a b"]).prop_map(str::to_owned);
    prop::collection::vec((key, any::<i64>(), any::<u32>(), any::<u32>()), 0..20)
}

/// A log of points, and how long it is after each.
fn log_of(points: &[(String, i64, u32, u32)]) -> (Vec<u8>, Vec<usize>) {
    let mut log = version(0.5);
    let mut ends = Vec::new();
    for (key, step, millis, bits) in points {
        log.extend(summary(f64::from(*millis) / 1e3, *step, &[simple(key, f32::from_bits(*bits))]));
        ends.push(log.len());
    }
    (log, ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was logged comes in with its bits, as far as the file goes.
    #[test]
    fn points_are_kept_as_they_were_logged(logged in any_points(), cut: u16) {
        let (log, ends) = log_of(&logged);
        let length = log.len() * usize::from(cut) / usize::from(u16::MAX);
        let there = ends.iter().filter(|end| **end <= length).count();
        let place = Place::new();
        place.write(&format!("logs/{FILE}"), &log[..length]);
        let imported = take(&place);
        if there == 0 {
            prop_assert!(imported.runs.is_empty());
            return Ok(());
        }
        let mut expected: Vec<_> = logged[..there].iter().map(|(key, step, millis, bits)| {
            let value = f64::from(f32::from_bits(*bits));
            let bits = if value.is_nan() { f64::NAN } else { value }.to_bits();
            (key.clone(), *step, Some(i64::from(*millis)), bits)
        }).collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let mut found = points(&place.load(&imported, "logs"));
        found.iter_mut().filter(|point| f64::from_bits(point.3).is_nan()).for_each(|point| point.3 = f64::NAN.to_bits());
        prop_assert_eq!(found, expected);
    }
}

/// Mutations of event files, most of them of the messages within frames that fit: no panic, and nothing outside of the store.
#[test]
#[ignore = "ten minutes"]
fn fuzz_event_files() {
    let none = Message::default();
    let double = Message::default().varint(1, 2).double(6, 0.1);
    let start = Message::default().message(3, &Message::default().message(1, &setting("lr", &number(0.5))));
    let records: Vec<Vec<u8>> = [
        version(1.0),
        summary(2.0, 1, &[simple("loss", 0.1), tagged("h").bytes(5, "x")]),
        summary(2.0, 2, &[of_plugin("d", "scalars", &none).message(8, &double)]),
        summary(2.0, 2, &[of_plugin("t", "text", &none).message(8, &Message::default().varint(1, 7).bytes(8, "text"))]),
        summary(2.0, 2, &[of_plugin("_hparams_/s", "hparams", &start)]),
        restart(1),
    ]
    .into_iter()
    .map(|frame| frame[12..frame.len() - 4].to_vec())
    .collect();
    let words =
        ["\u{ff}\u{ff}\u{ff}\u{ff}\x01", "\0\0\0\0", "scalars", "../", "\x0a\x7f", "\x42\x00", "\u{80}", "text"];
    let make = |luck: &mut Luck| {
        let mut file = Vec::new();
        for _ in 0..=luck.below(12) {
            let mut record = records[luck.below(records.len())].clone();
            if luck.below(3) > 0 {
                record = luck.spoilt(std::slice::from_ref(&record), &words);
            }
            file.extend(framed(&record));
        }
        if luck.below(4) == 0 { luck.spoilt(&[file], &words) } else { file }
    };
    fuzz(FILE, make, |store, path| import(store, path, &options(), &mut |_, _| {}));
}
