//! `ablate tokenizer`: trains the tokenizers of an experiment, shows how one cuts words, compares how they fit held-out text.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::args::{ExperimentFile, Json};
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::clock;
use crate::plan::{Cell, RunSpec};
use crate::report::find::find_run;
use crate::runner::{corpora, trained};
use crate::trainer::corpus::{PrepareError, TextCounts};
use crate::trainer::tokenizer::Tokenizer;

/// What `ablate tokenizer` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: What,
}

/// What is done with tokenizers.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Train every tokenizer of an experiment
    Train(Train),
    /// Show the pieces of words
    Inspect(Inspect),
    /// Compare the tokenizers of an experiment on its held-out text
    Compare(Compare),
}

/// What `ablate tokenizer train` takes.
#[derive(Debug, clap::Args)]
pub struct Train {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Where tokenizer.json is written; of several tokenizers, each in a folder of its own
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

/// What `ablate tokenizer inspect` takes.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// A tokenizer.json, or a run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "TOKENIZER")]
    pub tokenizer: String,
    /// The text whose words are cut
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

/// What `ablate tokenizer compare` takes.
#[derive(Debug, clap::Args)]
pub struct Compare {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// A word whose pieces are shown too
    #[arg(long = "word", value_name = "WORD")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Does what the subcommand says.
pub fn tokenizer(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    match &arguments.command {
        What::Train(arguments) => train(context, arguments),
        What::Inspect(arguments) => inspect(context, arguments),
        What::Compare(arguments) => compare(context, arguments),
    }
}

/// One of the tokenizers that an experiment's cells have between them.
struct Candidate {
    /// The settings in which they differ.
    label: String,
    spec: RunSpec,
}

/// Each tokenizer of a plan once, in the order of the cells.
fn candidates(loaded: &Loaded) -> Vec<Candidate> {
    let mut seen = Vec::new();
    let mut candidates = Vec::new();
    for cell in &loaded.plan.cells {
        let Some(run) = cell.runs.first() else { continue };
        let key = (run.spec.data().cloned(), run.spec.tokenizer.clone());
        if !seen.contains(&key) {
            seen.push(key);
            candidates.push(Candidate { label: label(cell, &run.spec), spec: run.spec.clone() });
        }
    }
    candidates
}

fn label(cell: &Cell, spec: &RunSpec) -> String {
    let is_of_text = |key: &str| key.starts_with("tokenizer.") || key.starts_with("data.");
    let axes = cell.axes.iter().filter(|(key, _)| is_of_text(key));
    let parts: Vec<String> =
        axes.map(|(key, value)| format!("{}={value}", key.rsplit('.').next().unwrap_or(key))).collect();
    if parts.is_empty() { format!("{:?}", spec.tokenizer.kind).to_lowercase() } else { parts.join(" ") }
}

fn learn(context: &Context, loaded: &Loaded, spec: &RunSpec) -> Result<Tokenizer, CliError> {
    corpora::tokenizer(spec, &context.sources_of(loaded)?).map_err(of_preparation)
}

/// A vocabulary that the text cannot fill, or a corpus that is not there, is the request's fault.
fn of_preparation(error: PrepareError) -> CliError {
    match error {
        PrepareError::Tokenizer(_) | PrepareError::Corpus(_) => CliError::request(error),
        _ => CliError::work(error),
    }
}

fn train(context: &Context, arguments: &Train) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let candidates = candidates(&loaded);
    let mut rows = Vec::new();
    for Candidate { label, spec } in &candidates {
        let tokenizer = learn(context, &loaded, spec)?;
        let hash = tokenizer.hash().to_string();
        let file = match &arguments.out {
            Some(out) => {
                let folder = if candidates.len() == 1 { out.clone() } else { out.join(&hash[..12]) };
                write(&folder, &tokenizer)?;
                Some(folder.join("tokenizer.json"))
            }
            None => None,
        };
        rows.push(json!({
            "label": label,
            "kind": spec.tokenizer.kind,
            "vocab_size": tokenizer.vocab_size(),
            "hash": hash,
            "file": file,
        }));
    }
    if arguments.json.wanted {
        context.printer.json(&json!({ "format": "ablate-tokenizers-1", "tokenizers": rows }));
        return Ok(());
    }
    let columns = [("tokenizer", Align::Left), ("entries", Align::Right), ("hash", Align::Left), ("file", Align::Left)];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |row: &Value| {
        let file = row["file"].as_str().unwrap_or("in the store's cache");
        vec![text(&row["label"]), text(&row["vocab_size"]), text(&row["hash"])[..12].to_owned(), file.to_owned()]
    };
    context.printer.data(table(&columns, rows.iter().map(row)));
    Ok(())
}

fn write(folder: &Path, tokenizer: &Tokenizer) -> Result<(), CliError> {
    let path = folder.join("tokenizer.json");
    let failed = |error| CliError::work(format!("cannot write `{}`: {error}", path.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    fs::write(&path, tokenizer.json()).map_err(failed)
}

fn inspect(context: &Context, arguments: &Inspect) -> Result<(), CliError> {
    let path = Path::new(&arguments.tokenizer);
    let tokenizer = if path.is_file() {
        Tokenizer::load(path, None).map_err(CliError::request)?
    } else {
        let store = context.existing_store()?;
        let run = find_run(&store, &arguments.tokenizer, clock::now())?;
        trained::tokenizer(&run, &context.sources()?).map_err(CliError::work)?
    };
    let words: Vec<(&str, Vec<u32>)> = arguments
        .text
        .iter()
        .flat_map(|text| text.split_whitespace())
        .map(|word| (word, tokenizer.encode_marked(word)))
        .collect();
    let pieces = |ids: &[u32]| -> Vec<String> {
        ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default().to_owned()).collect()
    };
    if arguments.json.wanted {
        let words = words.iter().map(|(word, ids)| json!({ "word": word, "ids": ids, "pieces": pieces(ids) }));
        context.printer.json(&json!({
            "format": "ablate-pieces-1",
            "vocab_size": tokenizer.vocab_size(),
            "special_tokens": tokenizer.convention().special_tokens(),
            "hash": tokenizer.hash(),
            "words": words.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let columns = [("word", Align::Left), ("pieces", Align::Left), ("ids", Align::Left)];
    let ids = |ids: &[u32]| ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let rows = words.iter().map(|(word, found)| vec![(*word).to_owned(), pieces(found).join(" "), ids(found)]);
    context.printer.data(table(&columns, rows));
    Ok(())
}

fn compare(context: &Context, arguments: &Compare) -> Result<(), CliError> {
    let loaded = context.load(&arguments.experiment)?;
    let mut compared = Vec::new();
    for Candidate { label, spec } in candidates(&loaded) {
        let tokenizer = learn(context, &loaded, &spec)?;
        let counts =
            corpora::measure(&spec, &tokenizer, &loaded.search).map_err(|error| of_preparation(error.into()))?;
        let pieces = |word: &String| -> Vec<String> {
            let ids = tokenizer.encode(word);
            ids.iter().map(|&id| tokenizer.token(id).unwrap_or_default().to_owned()).collect()
        };
        let pieces: Vec<Vec<String>> = arguments.words.iter().map(pieces).collect();
        compared.push((label, tokenizer.vocab_size(), counts, pieces));
    }
    if arguments.json.wanted {
        let tokenizers = compared.iter().map(|(label, entries, counts, pieces)| {
            let words =
                arguments.words.iter().zip(pieces).map(|(word, pieces)| json!({ "word": word, "pieces": pieces }));
            json!({
                "label": label,
                "vocab_size": entries,
                "valid_documents": counts.documents,
                "valid_words": counts.words,
                "valid_characters": counts.characters,
                "valid_tokens": counts.tokens,
                "unknown_share": counts.unknown_share(),
                "unknown_word_share": counts.unknown_word_share(),
                "tokens_per_character": counts.tokens_per_character(),
                "tokens_per_word": counts.tokens_per_word(),
                "words": words.collect::<Vec<_>>(),
            })
        });
        let tokenizers = tokenizers.collect::<Vec<_>>();
        context.printer.json(&json!({ "format": "ablate-tokenizer-comparison-1", "tokenizers": tokenizers }));
        return Ok(());
    }
    let mut columns = vec![
        ("tokenizer", Align::Left),
        ("entries", Align::Right),
        ("unknown tokens", Align::Right),
        ("words with unknown", Align::Right),
        ("tokens/character", Align::Right),
        ("tokens/word", Align::Right),
    ];
    columns.extend(arguments.words.iter().map(|word| (word.as_str(), Align::Left)));
    let rows = compared.iter().map(|(label, entries, counts, pieces)| {
        let pieces = pieces.iter().map(|pieces| pieces.join(" "));
        [vec![label.clone(), entries.to_string()], numbers(counts), pieces.collect()].concat()
    });
    context.printer.data(table(&columns, rows));
    Ok(())
}

fn numbers(counts: &TextCounts) -> Vec<String> {
    let percent = |share: f64| format!("{:.3} %", 100.0 * share);
    vec![
        percent(counts.unknown_share()),
        percent(counts.unknown_word_share()),
        format!("{:.4}", counts.tokens_per_character()),
        format!("{:.4}", counts.tokens_per_word()),
    ]
}
