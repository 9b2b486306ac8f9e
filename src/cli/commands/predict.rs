//! `ablate predict`: what a model that was trained for a task says about texts.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::args::{Checkpoint, Json};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::clock;
use crate::plan::TaskSpec;
use crate::report::find::find_run;
use crate::runner::trained::Trained;
use crate::store::StoredRun;
use crate::trainer::fine_tuning::labelled::TextExample;
use crate::trainer::fine_tuning::prediction::predict_texts;
use crate::trainer::fine_tuning::tasks::{Entity, Said};
use crate::types::RunId;

/// What `ablate predict` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A fine-tuned run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// A text a line, a TSV with a header, or JSON lines; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub checkpoint: Checkpoint,
    #[command(flatten)]
    pub json: Json,
}

/// Prints a line for each text of the file: its class, or its entities.
pub fn predict(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let run = find_run(&store, &arguments.run, clock::now())?;
    let stage = task_of(&run)?;
    let trained = context.trained(&run, arguments.checkpoint.which())?;
    let texts = texts(&arguments.file, stage)?;
    let said = ask(&trained, &texts);
    if arguments.json.wanted {
        context.printer.json(&as_json(&run.id, &trained, stage, &texts, &said));
        return Ok(());
    }
    texts.iter().zip(&said).for_each(|(text, said)| context.printer.data(line(text, said)));
    Ok(())
}

/// The task that a run was trained for.
pub fn task_of(run: &StoredRun) -> Result<&TaskSpec, CliError> {
    run.planned()?.task().ok_or_else(|| {
        let text = format!("run {} was pretrained, for no task; `ablate fill-mask {} TEXT` asks it", run.id, run.id);
        CliError::request(text)
    })
}

/// What a model says about texts.
pub fn ask(trained: &Trained, texts: &[TextExample]) -> Vec<Said> {
    predict_texts(&trained.spec, &trained.weights, &trained.tokenizer, texts)
}

/// The answers for programs.
pub fn as_json(
    run: &RunId,
    trained: &Trained,
    stage: &TaskSpec,
    texts: &[TextExample],
    said: &[Said],
) -> serde_json::Value {
    json!({
        "format": "ablate-predict-1",
        "run": run,
        "step": trained.step,
        "labels": stage.labels,
        "predictions": texts.iter().zip(said).map(|(text, said)| one_as_json(text, said)).collect::<Vec<_>>(),
    })
}

/// The texts of a file (`-`: of standard input): the text column of a TSV with a header or the text field of JSON lines,
/// by the names that the run was trained with; of any other file its lines.
fn texts(file: &Path, stage: &TaskSpec) -> Result<Vec<TextExample>, CliError> {
    let unreadable = |error: std::io::Error| CliError::request(format!("cannot read `{}`: {error}", file.display()));
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
    } else {
        text = std::fs::read_to_string(file).map_err(unreadable)?;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let is_json = match file.extension() {
        Some(extension) => extension == "jsonl" || extension == "json",
        None => numbered(text).next().is_some_and(|(n, line)| of_json(n, line, stage).is_ok()),
    };
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| header.iter().position(|its| *its == name);
    let texts: Result<Vec<TextExample>, String> = match column(&stage.text_column) {
        _ if is_json => numbered(text).map(|(n, line)| of_json(n, line, stage)).collect(),
        Some(first) if header.len() > 1 => {
            let missing = |name| format!("1: the header has no column `{name}`, and the run was trained on pairs");
            let pair = stage.pair_column.as_deref().map(|name| column(name).ok_or_else(|| missing(name))).transpose();
            let row = |pair| move |(n, line)| of_row(n, line, header.len(), first, pair);
            pair.and_then(|pair| numbered(text).skip(1).map(row(pair)).collect())
        }
        _ => numbered(text).map(|(n, line)| of_line(n, line, stage.pair_column.is_some())).collect(),
    };
    let texts = texts.map_err(|problem| CliError::request(format!("{}:{problem}", file.display())))?;
    if texts.is_empty() {
        return Err(CliError::request(format!("`{}` has no text", file.display())));
    }
    Ok(texts)
}

/// The lines with something in them, with their numbers.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

/// A text, or a pair of them, to be asked about.
pub fn example(line: usize, text: &str, pair: Option<&str>) -> TextExample {
    TextExample { text: text.to_owned(), pair: pair.map(str::to_owned), label: String::new(), line }
}

fn of_line(line: usize, text: &str, is_pair: bool) -> Result<TextExample, String> {
    match text.split_once('\t') {
        Some((first, second)) if is_pair => Ok(example(line, first, Some(second))),
        None if is_pair => Err(format!("{line}: one text, and the run was trained on pairs, with a tab between them")),
        _ => Ok(example(line, text, None)),
    }
}

fn of_row(line: usize, text: &str, columns: usize, first: usize, pair: Option<usize>) -> Result<TextExample, String> {
    let cells: Vec<&str> = text.split('\t').collect();
    if cells.len() != columns {
        return Err(format!("{line}: {} columns, and the header has {columns}", cells.len()));
    }
    Ok(example(line, cells[first], pair.map(|pair| cells[pair])))
}

fn of_json(line: usize, text: &str, stage: &TaskSpec) -> Result<TextExample, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("{line}: no JSON: {error}"))?;
    let field = |name: &str| {
        let found = value.get(name).and_then(serde_json::Value::as_str);
        found.ok_or_else(|| format!("{line}: the field `{name}` is missing or no text"))
    };
    Ok(example(line, field(&stage.text_column)?, stage.pair_column.as_deref().map(field).transpose()?))
}

/// `label<TAB>probability<TAB>text`, or the text with its entities marked as KLUE does: `<경찰:OG>은`.
fn line(text: &TextExample, said: &Said) -> String {
    match said {
        Said::Class { label, probabilities } => {
            let probability = probabilities.iter().copied().fold(0.0, f64::max);
            format!("{label}\t{probability:.4}\t{}", text.text)
        }
        Said::Entities { entities, .. } => {
            let characters: Vec<char> = text.text.chars().collect();
            let (mut marked, mut at) = (String::new(), 0);
            for Entity { kind, characters: range } in entities {
                marked.extend(&characters[at..range.start]);
                let inner: String = characters[range.clone()].iter().collect();
                marked.push_str(&format!("<{inner}:{kind}>"));
                at = range.end;
            }
            marked.extend(&characters[at..]);
            marked
        }
    }
}

fn one_as_json(text: &TextExample, said: &Said) -> serde_json::Value {
    match said {
        Said::Class { label, probabilities } => {
            json!({ "line": text.line, "text": text.text, "label": label, "probabilities": probabilities })
        }
        Said::Entities { entities, tags, tokens } => {
            let entity = |entity: &Entity| json!({ "kind": entity.kind, "start": entity.characters.start, "end": entity.characters.end });
            let token = |(id, tag): &(u32, String)| json!({ "id": id, "tag": tag });
            json!({
                "line": text.line,
                "text": text.text,
                "entities": entities.iter().map(entity).collect::<Vec<_>>(),
                "tags": tags,
                "tokens": tokens.iter().map(token).collect::<Vec<_>>(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_text_or_a_pair() {
        let check = |line: &str, is_pair, expected: Result<(&str, Option<&str>), &str>| {
            let found = of_line(3, line, is_pair);
            let found = found.as_ref().map(|text| (text.text.as_str(), text.pair.as_deref())).map_err(String::as_str);
            assert_eq!(found, expected, "{line:?}");
        };
        check("하나", false, Ok(("하나", None)));
        check("a\tb", false, Ok(("a\tb", None)));
        check("a\tb", true, Ok(("a", Some("b"))));
        check("a", true, Err("3: one text, and the run was trained on pairs, with a tab between them"));
    }

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let text = of_row(2, "7\ta\tb", 3, 1, Some(2)).unwrap();
        assert_eq!((text.line, text.text.as_str(), text.pair.as_deref()), (2, "a", Some("b")));
        assert_eq!(of_row(2, "7\ta", 3, 1, None).unwrap_err(), "2: 2 columns, and the header has 3");
        assert_eq!(numbered("a\n \nb\n").collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
    }

    /// Entities are marked by characters, not bytes.
    #[test]
    fn entities_are_marked_where_they_stand() {
        let entity = |kind: &str, characters| Entity { kind: kind.to_owned(), characters };
        let entities = vec![entity("PS", 0..2), entity("LC", 4..6)];
        let said = Said::Entities { entities, tags: Vec::new(), tokens: Vec::new() };
        assert_eq!(line(&example(1, "철수가 서울에", None), &said), "<철수:PS>가 <서울:LC>에");
        let class = Said::Class { label: "1".to_owned(), probabilities: vec![0.25, 0.75] };
        assert_eq!(line(&example(1, "좋다", None), &class), "1\t0.7500\t좋다");
    }
}
