//! Spoilt experiment files and stored specifications: refused at their place, or what is read is planned and keeps its identity.

use super::{Everything, QUICKSTART, alone, spec};
use crate::experiment::{Diagnostics, Place, keys};
use crate::plan::{RunSpec, expand, plan_with, read};

/// More cells than these are expanded, and not planned: a case is to take a moment.
const MOST_CELLS: usize = 300;

/// What is in the folder of experiments.
fn shipped() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.map(|path| std::fs::read(path).unwrap()).collect()
}

/// Reads a stored specification: what is read is written as what reads the same.
fn stored(text: &str) -> &'static str {
    let Ok(spec) = RunSpec::from_toml(text) else { return "refused" };
    let Ok(written) = spec.to_toml() else { panic!("it cannot be written: {text}") };
    let again = RunSpec::from_toml(&written).unwrap_or_else(|error| panic!("{text}\n{written}\n{error}"));
    assert_eq!((again.canonical(), again.hash()), (spec.canonical(), spec.hash()), "{text}\n{written}");
    "read"
}

#[test]
#[ignore = "ten minutes"]
fn fuzz_specifications() {
    let mut words: Vec<&str> = keys::all().map(|key| key.name).collect();
    words.extend(keys::all().map(|key| keys::split(key.name).1));
    words.extend(keys::sections());
    words.extend([
        " = ",
        "[[sweep.zip]]\n",
        "[sweep.grid]\n",
        "[[sweep.when]]\n",
        "[[sweep.exclude]]\n",
        "[sweep.random]\n",
        "[sweep.halving]\n",
        "seeds = 3\n",
        "if = ",
        "because = ",
        "range(1, 1e9)",
        "log(1e-5, 1)",
        "{ copies = 10 }",
        "base = \"x.toml\"\n",
        "\"\"\"",
        "1979-05-27",
        "1_000",
        "\"epochs\"",
        "\"demo\"",
        "schema = 1\n",
        "stage = \"finetune\"\n",
        "\"=steps / 10\"",
    ]);
    let files = shipped();
    let specs: Vec<Vec<u8>> = [
        "",
        "optimizer.lr = 3e-4\nobjective.masking = { copies = 10 }\n",
        "train.steps = 7\ntokenizer.kind = \"bpe\"\n",
    ]
    .iter()
    .map(|rest| spec(rest).to_toml().unwrap().into_bytes())
    .chain(super::schema_1::STORED.map(|text| text.as_bytes().to_vec()))
    .collect();
    let lines: Vec<Vec<u8>> = QUICKSTART.lines().map(|line| format!("{line}\n").into_bytes()).collect();
    crate::fuzzing::fuzz("specifications", |luck| match luck.below(3) {
        0 => {
            let text = luck.spoilt_text(&specs, &words);
            if stored(&text) == "read" { "stored: read" } else { "stored: refused" }
        }
        _ => {
            let mut text = luck.spoilt_text(&files, &words);
            let sets: Vec<String> =
                (0..luck.below(2)).map(|_| luck.spoilt_text(&lines, &words).trim_end().to_owned()).collect();
            if luck.below(4) == 0 {
                text.insert_str(0, "base = \"alone.toml\"\n");
            }
            planned(&text, &sets)
        }
    });
}

fn planned(text: &str, sets: &[String]) -> &'static str {
    let experiment = match read(text, "x.toml", sets, &mut alone) {
        Ok(experiment) => experiment,
        Err(problems) => return refused(&problems, "file: refused"),
    };
    if expand(&experiment).0.points.len() * experiment.replicates.len() > MOST_CELLS {
        return "file: expanded";
    }
    match plan_with(&experiment, &mut Everything) {
        Ok(plan) => {
            for run in plan.runs() {
                assert_eq!(run.hash, run.spec.hash(), "{text}");
                let written = run.spec.to_toml().unwrap();
                assert_eq!(stored(&written), "read", "{text}\n{written}");
            }
            "file: planned"
        }
        Err(problems) => refused(&problems, "file: refused by the plan"),
    }
}

/// Every mistake says something, at a place that is there.
fn refused(problems: &Diagnostics, outcome: &'static str) -> &'static str {
    for problem in &problems.list {
        assert!(!problem.line(&problems.source).is_empty() && !problem.message.is_empty());
        for label in &problem.labels {
            if let Place::File { file, start, end } = label.place {
                let text = &problems.source.get(file).text;
                assert!(text.get(start..end).is_some(), "{}: {start}..{end} of\n{text}", problem.message);
            }
        }
    }
    outcome
}
