//! After training, and around it: masks filled in, models exported, tokenizers compared, what a run warns of, and the
//! recipes of the known systems.

use std::fs;

use serde_json::{Value, json};

use crate::support::Workbench;

const BERT: &str = "[objective]\nnsp = \"random\"\n";

#[test]
fn a_trained_model_fills_in_masks_and_is_exported() {
    let workbench = Workbench::tiny(BERT);
    workbench.stdout("run tiny.toml --set train.steps=10");
    let filled =
        workbench.command(&["fill-mask", "latest", "서울은 [MASK] 수도다", "--json", "-k", "900"]).output().unwrap();
    let filled: Value = serde_json::from_slice(&filled.stdout).unwrap();
    assert_eq!((&filled["format"], &filled["step"]), (&json!("ablate-fill-mask-1"), &json!(10)));
    let guesses = filled["masks"][0]["guesses"].as_array().unwrap();
    let probabilities: Vec<f64> = guesses.iter().map(|guess| guess["probability"].as_f64().unwrap()).collect();
    assert_eq!((guesses.len(), filled["nsp_logits"].as_array().unwrap().len()), (900, 2));
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    assert!(probabilities.windows(2).all(|pair| pair[0] >= pair[1]));

    let output = workbench.run("fill-mask latest 서울은");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("the text has no [MASK]"), "{}", output.stderr);
    let long = "가나 ".repeat(200);
    let output = workbench.command(&["fill-mask", "latest", &format!("{long}[MASK]")]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("the model has 128 positions"));

    workbench.stdout("export latest --format hf --out model");
    let mut names: Vec<String> = fs::read_dir(workbench.path("model"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    let config: Value = serde_json::from_slice(&fs::read(workbench.path("model/config.json")).unwrap()).unwrap();
    assert_eq!((&config["architectures"], &config["vocab_size"]), (&json!(["BertForPreTraining"]), &json!(900)));
    let again = workbench.run("export latest --format hf --out model");
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
}

#[test]
fn what_is_no_bert_is_not_exported() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=1 --set model.preset=aiffel-1m");
    let output = workbench.run("export latest --format hf --out model");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("`model.mlm_head_transform` = false"), "{}", output.stderr);
    assert!(!workbench.path("model").exists());
    workbench.command(&["fill-mask", "latest", "[MASK]"]).output().unwrap();
}

#[test]
fn tokenizers_are_trained_inspected_and_compared() {
    let workbench = Workbench::tiny("[sweep.grid]\n\"tokenizer.kind\" = [\"wordpiece\", \"bpe\", \"unigram\"]\n");
    let trained = workbench.json("tokenizer train tiny.toml --out tokenizers --json", "ablate-tokenizers-1");
    let trained = trained["tokenizers"].as_array().unwrap();
    assert_eq!(trained.len(), 3);
    let again = workbench.json("tokenizer train tiny.toml --json", "ablate-tokenizers-1");
    for (first, second) in trained.iter().zip(again["tokenizers"].as_array().unwrap()) {
        assert_eq!((&first["hash"], &first["vocab_size"]), (&second["hash"], &json!(900)));
    }
    let file = trained[1]["file"].as_str().unwrap();
    let inspected = workbench.json(&format!("tokenizer inspect {file} 도서관에서 [MASK] --json"), "ablate-pieces-1");
    assert_eq!(inspected["special_tokens"].as_array().unwrap().len(), 7);
    let words = inspected["words"].as_array().unwrap();
    let pieces: Vec<&str> =
        words[0]["pieces"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
    assert_eq!((pieces.concat().as_str(), &words[1]["ids"]), ("▁도서관에서", &json!([6])));
    let compared = workbench.json("tokenizer compare tiny.toml --word 도서관 --json", "ablate-tokenizer-comparison-1");
    for tokenizer in compared["tokenizers"].as_array().unwrap() {
        let share = |name: &str| tokenizer[name].as_f64().unwrap();
        assert!(share("unknown_share") < 0.05 && (0.2..1.0).contains(&share("tokens_per_character")), "{tokenizer}");
        assert!(share("tokens_per_word") > 1.0);
    }
    let table = workbench.stdout("tokenizer compare tiny.toml");
    assert!(table.contains("kind=unigram") && table.contains("tokens/character"), "{table}");
    let output = workbench.run("tokenizer train tiny.toml --set tokenizer.vocab_size=100000 --set tokenizer.kind=bpe");
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("the training text fills only"), "{}", output.stderr);
}

/// The mistakes of the reference systems, asked for, are said in the run.
#[test]
fn a_run_warns_of_what_it_really_trains_on() {
    let workbench = Workbench::tiny(
        "[objective]\nnsp = \"random\"\nmask_replacement = true\nnsp_negative_documents = 3\nnsp_double_softmax = true\n",
    );
    workbench.stdout("run tiny.toml --set train.steps=2 --set data.demo_documents=200 --set tokenizer.vocab_size=1200");
    let run = workbench.only_run();
    let warnings: Vec<&str> = run["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    for said in ["of the masked tokens are shown as [MASK], not the asked 0.8", "come from 3 documents", "below 0.3133"]
    {
        assert!(warnings.iter().any(|warning| warning.contains(said)), "{said}: {warnings:?}");
    }
    let honest = Workbench::tiny(BERT);
    honest.stdout("run tiny.toml --set train.steps=2");
    assert_eq!(honest.only_run()["warnings"], json!([]));
}

/// Each recipe trains: shrunk to the generated corpus and a few steps, with all else as the file says.
#[test]
fn the_recipes_of_the_known_systems_train() {
    let small = [
        "data.corpus=demo",
        "data.demo_documents=60",
        "tokenizer.vocab_size=900",
        "tokenizer.min_frequency=2",
        "train.batch_size=2",
        "train.seq_len=32",
        "train.eval_every=2",
        "train.eval_instances=8",
        "model.num_hidden_layers=1",
        "model.hidden_size=64",
        "model.intermediate_size=64",
        "model.num_attention_heads=4",
        "model.attention_head_size=16",
    ];
    let sets: String = small.iter().map(|set| format!(" --set {set}")).collect();
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/seeds");
    let mut files: Vec<_> = fs::read_dir(&seeds).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert_eq!(files.len(), 7);
    let reviews: String = (0..40).map(|i| format!("{i}\t{} {i}\t{}\n", ["박수를", "한숨을"][i % 2], i % 2)).collect();
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut workbench = Workbench::tiny("").write("reviews.tsv", format!("id\tdocument\tlabel\n{reviews}"));
        for other in &files {
            workbench = workbench.write(other.file_name().unwrap().to_str().unwrap(), fs::read(other).unwrap());
        }
        let task = " --set finetune.data=reviews.tsv --set finetune.test=reviews.tsv --set finetune.valid_fraction=0.2 \
                    --set finetune.train.steps=3 --set finetune.train.seq_len=32 --set finetune.train.batch_size=4 \
                    --set finetune.train.eval_every=2";
        let more = match name {
            "aiffel.toml" => " --set train.steps=4 --set model.preset=aiffel-1m".to_owned(),
            "chuck2win.toml" => " --set train.steps=4 --set schedule.warmup_steps=1".to_owned(),
            "chuck2win-nsmc.toml" => format!("{task} --set train.steps=4 --set schedule.warmup_steps=1"),
            "paul-hyun-nsmc.toml" => {
                format!("{task} --set train.epochs=0.1 --set train.gradient_accumulation_steps=2")
            }
            "long8v.toml" => " --set train.steps=110 --set train.eval_every=55".to_owned(),
            "paul-hyun.toml" => " --set train.epochs=0.1 --set train.gradient_accumulation_steps=2".to_owned(),
            _ => " --set train.steps=4".to_owned(),
        };
        workbench.stdout(&format!("run {name}{sets}{more} --jobs 2"));
        let runs = workbench.list();
        assert!(!runs.is_empty() && runs.iter().all(|run| run["state"] == "finished"), "{name}: {runs:?}");
    }
}

/// Spans of both sides are asked for alike, and one that the model could not read is refused.
#[test]
fn what_a_model_gives_back_is_counted_on_both_sides() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=3");
    let json = workbench.json("memorisation latest --spans 8 --length 2 --json", "ablate-memorisation-1");
    for side in ["train", "held_out"] {
        assert_eq!(json[side]["spans"], 8, "{json}");
        assert!(json[side]["verbatim"].as_u64().unwrap() <= 8);
    }
    let long = workbench.run("memorisation latest --length 64");
    assert!(long.code == Some(2) && long.stderr.contains("is longer than the"), "{}", long.stderr);
}
