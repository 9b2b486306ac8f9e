//! `ablate memorisation`: which spans of its train documents a model gives back word for word.

use serde_json::json;

use crate::analysis::wilson_interval;
use crate::cli::args::{Checkpoint, Json};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::table::{Align, table};
use crate::clock;
use crate::plan::StageSpec;
use crate::report::find::find_run;
use crate::runner::trained;
use crate::trainer::pretraining::memorisation::{Span, probe};
use crate::trainer::tokenizer::Tokenizer;

/// What `ablate memorisation` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A pretrained run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Spans of either side
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    pub spans: u16,
    /// Tokens of a span
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub length: u16,
    /// Spans that are shown of those that came back
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub show: u16,
    #[command(flatten)]
    pub checkpoint: Checkpoint,
    #[command(flatten)]
    pub json: Json,
}

/// Asks for as many train spans as held-out ones, and prints both shares and what was given back.
pub fn memorisation(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let run = find_run(&store, &arguments.run, clock::now())?;
    let spec = run.planned()?;
    if matches!(spec.stage, StageSpec::Import(_)) {
        let text = format!("run {} was imported, and what it was trained on is not here", run.id);
        return Err(CliError::request(text));
    }
    let trained = context.pretrained(&run, arguments.checkpoint.which())?;
    let data = trained::data(&run, &context.sources()?).map_err(CliError::request)?;
    let (spans, length) = (usize::from(arguments.spans), usize::from(arguments.length));
    let room = trained.spec.train().seq_len.saturating_sub(2);
    if length > room {
        let text =
            format!("--length {length} is longer than the {room} tokens that the model was trained on at a time");
        return Err(CliError::request(text));
    }
    let specials = trained.tokenizer.special_ids();
    let train = probe(&trained.spec, &trained.weights, specials, &data.train, spans, length);
    let valid = probe(&trained.spec, &trained.weights, specials, &data.valid, spans, length);
    if train.is_empty() || valid.is_empty() {
        let text = format!("no sentence has {} tokens: ask for shorter spans with --length", 2 * length);
        return Err(CliError::request(text));
    }
    let sides = [("train", Side::of(&train)), ("held out", Side::of(&valid))];
    if arguments.json.wanted {
        let side = |side: &Side, spans: &[Span]| {
            json!({
                "spans": side.spans,
                "verbatim": side.verbatim,
                "share": side.share,
                "interval": [side.low, side.high],
                "tokens_share": side.tokens,
                "given_back": given_back(spans, &trained.tokenizer).collect::<Vec<_>>(),
            })
        };
        context.printer.json(&json!({
            "format": "ablate-memorisation-1",
            "run": run.id,
            "step": trained.step,
            "length": length,
            "train": side(&sides[0].1, &train),
            "held_out": side(&sides[1].1, &valid),
        }));
        return Ok(());
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let rows = sides.iter().map(|(name, side)| {
        let interval = format!("{} to {}", percent(side.low), percent(side.high));
        vec![(*name).to_owned(), side.spans.to_string(), percent(side.share), interval, percent(side.tokens)]
    });
    let columns = [
        ("documents", Align::Left),
        ("spans", Align::Right),
        ("word for word", Align::Right),
        ("95 % interval", Align::Right),
        ("tokens", Align::Right),
    ];
    context.printer.data(table(&columns, rows));
    context.printer.data(verdict(&sides[0].1, &sides[1].1, length));
    for its in given_back(&train, &trained.tokenizer).take(usize::from(arguments.show)) {
        let text = its["text"].as_str().unwrap_or_default();
        context.printer.data(format!("  document {}: {text}", its["document"]));
    }
    Ok(())
}

/// What a model gave back of one side.
struct Side {
    spans: usize,
    verbatim: usize,
    share: f64,
    low: f64,
    high: f64,
    tokens: f64,
}

impl Side {
    fn of(spans: &[Span]) -> Self {
        let verbatim = spans.iter().filter(|span| span.is_verbatim()).count();
        let (low, high) = wilson_interval(verbatim, spans.len());
        let tokens = spans.iter().map(Span::share).sum::<f64>() / spans.len() as f64;
        Self { spans: spans.len(), verbatim, share: verbatim as f64 / spans.len() as f64, low, high, tokens }
    }
}

fn verdict(train: &Side, held_out: &Side, length: usize) -> String {
    if train.verbatim == 0 {
        return format!("Not one span of {length} tokens was given back: nothing points to memory at this length.");
    }
    if train.low > held_out.high {
        return format!(
            "Train spans come back more often than held-out ones: this model has text of {length} tokens by heart."
        );
    }
    "Train and held-out spans come back alike: that is language, and no sign of memory.".to_owned()
}

/// The spans that came back, in square brackets within their sentence.
fn given_back<'s>(spans: &'s [Span], tokenizer: &'s Tokenizer) -> impl Iterator<Item = serde_json::Value> + 's {
    let text = |span: &Span| {
        let [before, inner, after] = [&span.before, &span.tokens, &span.after].map(|ids| tokenizer.decode(ids));
        json!({ "document": span.document, "text": format!("{before} [{inner}] {after}") })
    };
    spans.iter().filter(|span| span.is_verbatim()).map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many spans, the first of them given back.
    fn side(verbatim: u32, spans: u32) -> Side {
        let span = |n: u32| Span {
            document: 0,
            tokens: vec![n, n],
            filled: vec![n, if n < verbatim { n } else { spans }],
            before: Vec::new(),
            after: Vec::new(),
        };
        Side::of(&(0..spans).map(span).collect::<Vec<_>>())
    }

    #[test]
    fn memory_is_more_than_what_held_out_text_gives() {
        let check = |train: u32, held_out: u32, beginning: &str| {
            let said = verdict(&side(train, 500), &side(held_out, 500), 8);
            assert!(said.starts_with(beginning), "{train} {held_out}: {said}");
        };
        check(0, 0, "Not one span of 8 tokens");
        check(12, 10, "Train and held-out spans come back alike");
        check(120, 10, "Train spans come back more often");
        let half = side(250, 500);
        assert!(half.low < 0.5 && half.high > 0.5 && half.share == 0.5 && half.tokens == 0.75);
    }
}
