//! `ablate export --format hf`: a trained model as Hugging Face's `transformers` loads it.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::durable;
use crate::plan::{Answers, ModelSpec, Nsp, StageSpec, TokenizerSpec};
use crate::report::find::find_run;
use crate::runner::trained::Trained;
use crate::store::StoredRun;
use crate::trainer::hugging_face::{architecture, files};
use crate::trainer::tokenizer::morphemes::SEPARATOR;
use crate::types::metrics::{self, Metric};

/// Writes the folder that Hugging Face's `transformers` loads.
pub(super) fn export(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let [run] = arguments.query.as_slice() else {
        return Err(CliError::request("a model is of one run: name one, as in `ablate export latest --format hf`"));
    };
    let store = context.existing_store()?;
    let run = find_run(&store, run, clock::now())?;
    let folder = arguments.out.clone().unwrap_or_else(|| format!("{}-hf", run.id).into());
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let shown = folder.display();
        return Err(CliError::request(format!("`{shown}` is not empty; name another folder with --out DIR")));
    }
    let trained = context.trained(&run, arguments.checkpoint.which())?;
    let mut written = files(&trained.spec, &trained.weights, &trained.tokenizer).map_err(CliError::request)?;
    written.push(("README.md", model_card(&run, &trained).into_bytes()));
    write(&folder, &written)
        .map_err(|error| CliError::work(format!("cannot write to `{}`: {error}", folder.display())))?;
    let names: Vec<&str> = written.iter().map(|(name, _)| *name).collect();
    if arguments.json.wanted {
        context.printer.json(&json!({
            "format": "ablate-export-1",
            "run": run.id,
            "step": trained.step,
            "folder": folder,
            "architecture": architecture(&trained.spec),
            "files": names,
        }));
    } else {
        context.printer.status(Style::Good, "Wrote", format!("{} of run {}", names.join(", "), run.id));
        context.printer.data(folder.display());
    }
    Ok(())
}

/// The files appear together: they are written beside the folder, which is then put in its place.
fn write(folder: &Path, files: &[(&str, Vec<u8>)]) -> std::io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let building = durable::new_folder(parent)?;
    for (name, bytes) in files {
        durable::write(&building.path().join(name), |file| file.write_all(bytes))?;
    }
    durable::publish_folder(building, folder).map_err(|(_, error)| error)
}

/// What has to be done to text before the exported tokenizer sees it.
fn text_it_takes(tokenizer: &TokenizerSpec) -> String {
    let (by, separator) = match (&tokenizer.dictionary, tokenizer.dictionary_hash, &tokenizer.separator) {
        (Some(name), Some(hash), _) => (
            format!("with the dictionary `{name}` (content hash `{hash}`) by lindera, each word for itself"),
            SEPARATOR,
        ),
        (_, _, Some(separator)) => ("as the training text was".to_owned(), separator.as_str()),
        _ => return String::new(),
    };
    format!("The tokenizer takes text whose words were cut into morphemes {by}, with `{separator}` between them.\n\n")
}

/// Which versions of `transformers` compute what was trained, where not all do.
fn version_it_takes(model: &ModelSpec) -> &'static str {
    match model.distances() {
        Some(_) => {
            "Relative positions need version 4 of `transformers`: version 5 leaves `distance_embedding` out.\n\n"
        }
        None => "",
    }
}

/// What a person who finds the folder should know.
fn model_card(run: &StoredRun, trained: &Trained) -> String {
    let spec = &trained.spec;
    let class = architecture(spec);
    let (family, name) = if class.starts_with("Modern") { ("modernbert", "ModernBERT") } else { ("bert", "BERT") };
    let last = |metric: &Metric| {
        let last = run.history.series(&metric.metric_name()).last()?;
        Some(format!("| {} | {:.4} |\n", metric.name(), last.value))
    };
    let of_pretraining = [
        &metrics::MLM_LOSS_MASK,
        &metrics::ACCURACY_MASK,
        &metrics::VALID_MLM_LOSS,
        &metrics::MASKED_ACCURACY,
        &metrics::NSP_ACCURACY,
    ];
    let shown = spec.task().map_or(of_pretraining.to_vec(), |task| task.task.metrics().collect());
    let metrics: String = shown.into_iter().filter_map(last).collect();
    let (meaning, corpus, hash) = match &spec.stage {
        StageSpec::Finetune(stage) => {
            let task = &stage.task;
            let meaning = format!("Fine-tuned on `{}` (content hash `{}`). Loss in nats.", task.data, task.data_hash);
            match &stage.data {
                Some(data) => (meaning, &data.corpus, data.corpus_hash),
                None => (meaning, &task.data, task.data_hash),
            }
        }
        StageSpec::Pretrain(stage) => {
            let meaning = match stage.objective.nsp {
                Nsp::Off => "Loss in nats, at 15 % masks.".to_owned(),
                nsp => format!(
                    "Label 1 of the sentence-pair head means that B does not follow A; negatives: `{nsp:?}`. Loss in \
                     nats, at 15 % masks."
                ),
            };
            (meaning, &stage.data.corpus, stage.data.corpus_hash)
        }
        StageSpec::Import(stage) => ("Imported as it is.".to_owned(), &stage.folder, stage.hash),
    };
    let floor = run.history.facts.get(metrics::UNIGRAM_ENTROPY.fact).and_then(serde_json::Value::as_f64);
    let floor = floor.map(|floor| format!("| unigram entropy: the floor of the loss without context | {floor:.4} |\n"));
    format!(
        "---\nlibrary_name: transformers\ntags: [{family}, {tag}]\n---\n\n# A small {name}\n\nTrained by `ablate` in run \
         `{id}` on `{corpus}` (content hash `{hash}`), step {step}.\n\n```python\nfrom transformers import AutoTokenizer, \
         {class}\n\ntokenizer = AutoTokenizer.from_pretrained(\"FOLDER\")\nmodel = \
         {class}.from_pretrained(\"FOLDER\")\n```\n\n| of the last evaluation, held-out documents | |\n|---|---|\n{metrics}{floor}\n\
         {meaning}\n\n{morphemes}{version}## Specification\n\n```toml\n{toml}```\n",
        id = run.id,
        step = trained.step,
        floor = floor.unwrap_or_default(),
        tag = match spec.task().map(|task| task.task.answers()) {
            Some(Answers::Class) => "text-classification",
            Some(Answers::Tags) => "token-classification",
            None => "fill-mask",
        },
        meaning = meaning,
        morphemes = text_it_takes(&spec.tokenizer),
        version = version_it_takes(&spec.model),
        toml = spec.to_toml().unwrap_or_default(),
    )
}
