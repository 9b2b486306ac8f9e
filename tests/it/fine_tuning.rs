//! Fine-tuning: stages that share the pretraining run before them, tasks that are learnt, bits that hold, and data that are
//! refused by file and line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ablate::types::metrics::{self, Metric, Source};
use serde_json::Value;

use crate::determinism::{Victim, bits, kill_after, recorded};
use crate::support::{Workbench, finish, signal, wait_for};

/// Texts of two classes, told apart by one word.
fn reviews(n: usize, from: usize) -> String {
    let mut text = String::from("id\tdocument\tlabel\n");
    for i in from..from + n {
        let (word, label) = if i % 3 == 0 { ("한숨", "0") } else { ("박수", "1") };
        let _ = writeln!(text, "{i}\t{} {word} {}\t{label}", ["오늘", "아주", "그"][i / 3 % 3], i % 7);
    }
    text
}

/// Sentences with a person in them, whose name is always the same.
fn tagged(n: usize, from: usize) -> String {
    let mut text = String::from("## 토큰, 레이블 구분자 : \\t\n");
    for i in from..from + n {
        let (before, name, after) = (["오늘 ", "그 ", ""][i % 3], "박수", [" 한숨에 간다", "는 온다"][i % 2]);
        let _ = writeln!(text, "## {i}\t{before}<{name}:PS>{after}");
        text.extend(before.chars().map(|c| format!("{c}\tO\n")));
        text.extend(name.chars().zip(["B-PS", "I-PS"]).map(|(c, tag)| format!("{c}\t{tag}\n")));
        text.extend(after.chars().map(|c| format!("{c}\tO\n")));
        text.push('\n');
    }
    text
}

const CLASSIFY: &str = r#"
[finetune]
task = "classify"
data = "train.tsv"
test = "test.tsv"
text_column = "document"
valid_fraction = 0.2
optimizer.lr = 2e-3
train.epochs = 20.0
train.batch_size = 16
train.seq_len = 32
train.eval_every = 10
train.checkpoint_every = 5
"#;

const NER: &str = r#"
[finetune]
task = "ner"
data = "train.ner"
test = "test.ner"
valid_fraction = 0.2
lstm_hidden_size = 8
optimizer.lr = 5e-3
train.epochs = 8.0
train.batch_size = 16
train.seq_len = 32
train.eval_every = 20
train.checkpoint_every = 10
[sweep.grid]
"finetune.head" = ["linear", "crf", "bilstm_crf"]
"#;

fn workbench(extra: &str) -> Workbench {
    let workbench = Workbench::tiny(extra).write("train.tsv", reviews(120, 0)).write("test.tsv", reviews(30, 200));
    workbench.write("train.ner", tagged(120, 0)).write("test.ner", tagged(30, 200))
}

fn runs(workbench: &Workbench) -> Vec<Value> {
    let show = |row: &Value| workbench.json(&format!("show {} --json", row["id"].as_str().unwrap()), "ablate-run-1");
    workbench.list().iter().map(show).collect()
}

fn of_stage<'r>(runs: &'r [Value], stage: &str) -> Vec<&'r Value> {
    runs.iter().filter(|run| run["spec"]["stage"] == stage).collect()
}

fn last(run: &Value, metric: &str) -> f64 {
    let values = run["series"][metric]["values"].as_array().unwrap_or_else(|| panic!("no {metric} in {run}"));
    values.last().unwrap().as_f64().unwrap()
}

/// Whether a run has recorded what the table of metrics says of its task, neither more nor less.
fn has_its_metrics(run: &Value, task: &str) -> bool {
    let of_task = |metric: &&Metric| match metric.source {
        Source::Training => true,
        Source::Tasks(tasks) => tasks.contains(&task),
        Source::Pretraining | Source::Pairs => false,
    };
    let recorded: BTreeSet<&str> = run["series"].as_object().unwrap().keys().map(String::as_str).collect();
    recorded == metrics::all().filter(of_task).map(Metric::name).collect()
}

#[test]
fn cells_share_their_pretraining_and_learn_the_classes() {
    let extra = format!(
        "{CLASSIFY}[sweep.grid]\n\"finetune.start\" = [\"pretrained\", \"random\"]\n\"finetune.optimizer.lr\" = [3e-3, 5e-3]\n"
    );
    let workbench = workbench(&extra.replace("optimizer.lr = 2e-3\n", ""));
    let planned = workbench.stdout("plan tiny.toml");
    assert!(planned.contains("4 cells x 1 seed, each after its pretraining, shared -1 = 5 runs"), "{planned}");
    let compared = workbench.stdout("run tiny.toml --threads 1 --tables");
    for floor in ["the most frequent class", "character naive Bayes"] {
        assert!(compared.contains(floor), "{compared}");
    }
    let runs = runs(&workbench);
    assert_eq!((of_stage(&runs, "pretrain").len(), of_stage(&runs, "finetune").len()), (1, 4));
    let before = &of_stage(&runs, "pretrain")[0]["id"];
    for run in of_stage(&runs, "finetune") {
        let starts_pretrained = run["spec"]["finetune"]["start"] == "pretrained";
        assert_eq!(run["facts"]["starts_from"]["run"] == *before, starts_pretrained);
        assert_eq!(run["spec"]["finetune"]["labels"], serde_json::json!(["0", "1"]));
        assert!(last(run, "test/accuracy") > 0.9, "{}", last(run, "test/accuracy"));
        assert!(last(run, "valid/loss") < 0.5);
        assert!(has_its_metrics(run, "classify"), "{}", run["series"]);
    }
    let again = workbench.run("run tiny.toml --threads 1");
    assert!(again.stderr.contains("0 trained, 5 reused"), "{}", again.stderr);
    // The pretraining is a stage that records no accuracy.
    let cells = |what: &str| {
        let line = format!("compare {what} --metric test/accuracy --json");
        let found = workbench.json(&line, "ablate-comparison-2");
        (found["cells"].clone(), found["cautions"].to_string().contains("1 run of another stage"))
    };
    assert_eq!((cells("tiny").0, true, false), (cells("tiny.toml").0, cells("tiny").1, cells("tiny.toml").1));
}

/// The texts to predict are read as those to learn from are: with a mark of the byte order, in columns, in pairs.
#[test]
fn texts_are_read_alike_for_training_and_prediction() {
    let classify = CLASSIFY.replace("test = \"test.tsv\"", "pair_column = \"id\"").replace("20.0", "1.0");
    let workbench = workbench(&classify);
    workbench.stdout("run tiny.toml");
    let predicted = |content: &str| {
        std::fs::write(workbench.path("new.tsv"), content).unwrap();
        workbench.run("predict latest new.tsv")
    };
    let plain = predicted("id\tdocument\n1\t박수\n").stdout;
    assert_eq!(plain.lines().count(), 1);
    assert_eq!(predicted("\u{feff}id\tdocument\n1\t박수\n").stdout, plain);
    assert_eq!(predicted("박수\t1\n").stdout, plain);
    for (alone, problem) in
        [("document\tlabel\n박수\t1\n", "1: the header has no column `id`"), ("박수\n", "1: one text")]
    {
        let refused = predicted(alone);
        assert!(refused.code == Some(2) && refused.stderr.contains(problem), "{}", refused.stderr);
    }
}

#[test]
fn every_head_finds_the_name_and_says_so() {
    let workbench = workbench(NER);
    workbench.stdout("run tiny.toml --threads 2");
    let runs = runs(&workbench);
    assert_eq!((of_stage(&runs, "pretrain").len(), of_stage(&runs, "finetune").len()), (1, 3));
    for run in of_stage(&runs, "finetune") {
        let head = run["spec"]["finetune"]["head"].as_str().unwrap();
        assert!(has_its_metrics(run, "ner"), "{}", run["series"]);
        assert!(last(run, "test/entity_f1") > 0.9, "{head}: {}", last(run, "test/entity_f1"));
        let workbench = &workbench;
        std::fs::write(workbench.path("texts.txt"), "오늘 박수는 온다\n").unwrap();
        let id = run["id"].as_str().unwrap();
        assert_eq!(workbench.stdout(&format!("predict {id} texts.txt")), "오늘 <박수:PS>는 온다\n", "{head}");
        let json = workbench.json(&format!("predict {id} texts.txt --json"), "ablate-predict-1");
        assert_eq!(json["predictions"][0]["entities"], serde_json::json!([{ "kind": "PS", "start": 3, "end": 5 }]));
        let export = workbench.run(&format!("export {id} --format hf --out hf-{head}"));
        assert_eq!(export.code, Some(if head == "linear" { 0 } else { 2 }), "{}", export.stderr);
    }
}

/// Threads, a kill in either stage and `reproduce` leave every bit of the last stage as it is.
#[test]
fn a_stage_comes_out_the_same_however_it_is_executed() {
    let one_head = NER.replace("[\"linear\", \"crf\", \"bilstm_crf\"]", "[\"bilstm_crf\"]");
    let line = "run tiny.toml --set finetune.train.epochs=40.0 --set train.steps=300";
    let reference = workbench(&one_head);
    reference.stdout(&format!("{line} --threads 1"));
    let expected: Vec<_> = runs(&reference).iter().map(|run| (bits(run), recorded(run))).collect();
    let killed = workbench(&one_head);
    let line = format!("{line} --threads 2");
    kill_after(&killed, &line, Victim::Both, 40);
    let finetuned = |workbench: &Workbench| {
        runs(workbench).iter().any(|run| {
            run["spec"]["stage"] == "finetune"
                && run["series"]["train/loss"]["steps"].as_array().is_some_and(|steps| steps.len() > 10)
        })
    };
    let child = killed.start(&line);
    wait_for("the second stage", || finetuned(&killed).then_some(()));
    signal("INT", child.id());
    finish(child);
    killed.stdout(&line);
    let found: Vec<_> = runs(&killed).iter().map(|run| (bits(run), recorded(run))).collect();
    assert!(found == expected);
    let stage = runs(&killed).into_iter().find(|run| run["spec"]["stage"] == "finetune").unwrap();
    let verdict = killed.stdout(&format!("reproduce {}", stage["id"].as_str().unwrap()));
    assert!(verdict.contains("identical"), "{verdict}");
}

/// A recipe with all that is new in it: fewer examples, a fold, pooling, dropout, rates and smoothing of its own.
const RECIPE: &str = r#"
early_stopping_patience = 3
load_best_model_at_end = true
pooling = "mean"
hidden_dropout_prob = 0.3
classifier_dropout = 0.2
layer_lr_decay = 0.8
head_lr = 3e-3
label_smoothing_factor = 0.1
fold = "2/4"
limit = 60
"#;

fn values(run: &Value, metric: &str) -> Vec<f64> {
    run["series"][metric]["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// A run that chooses among its weights ends early, is judged by the best of them, and gives them to who asks it; killed and
/// executed again it comes out the same.
#[test]
fn the_best_weights_are_what_comes_out() {
    let classify = CLASSIFY.replace("valid_fraction = 0.2\n", "").replace("20.0", "200.0");
    // Hard to tell apart, so that scores come and go.
    let noisy = |n: usize, from: usize| reviews(n, from).replace("한숨 3", "박수 3").replace("박수 5", "한숨 5");
    let bench = || {
        let bench = workbench(&format!("{classify}{RECIPE}"));
        bench.write("train.tsv", noisy(240, 0)).write("test.tsv", noisy(60, 300))
    };
    let line = "run tiny.toml --set finetune.train.eval_every=4";
    let reference = bench();
    reference.stdout(&format!("{line} --threads 1"));
    let everything = |workbench: &Workbench| {
        let of = |run: &Value| (bits(run), recorded(run), run["facts"]["judged_step"].clone());
        runs(workbench).iter().map(of).collect::<Vec<_>>()
    };
    let (all, expected) = (runs(&reference), everything(&reference));
    let run = of_stage(&all, "finetune")[0];
    assert_eq!((&run["facts"]["train_examples"], &run["state"]), (&60.into(), &"finished".into()));
    assert!(has_its_metrics(run, "classify"), "{}", run["series"]);
    let (accuracies, steps) = (values(run, "valid/accuracy"), &run["series"]["valid/accuracy"]["steps"]);
    let (made, judged) = (values(run, "train/loss").len() as u64, run["facts"]["judged_step"].as_u64().unwrap());
    assert!(made < 200 * 60 / 16 && run["facts"]["total_steps"] == made, "{made} steps");
    // The last evaluation of the record is of the chosen weights; three before it were no better than theirs.
    let at = (0..accuracies.len()).find(|&i| steps[i].as_u64() == Some(judged)).unwrap();
    assert_eq!((made - judged, at + 4), (3 * 4, accuracies.len()), "{accuracies:?}");
    assert_eq!(accuracies.last(), accuracies.get(at));
    assert!(accuracies[..at].iter().all(|earlier| *earlier < accuracies[at]), "{accuracies:?}");
    assert!(accuracies[at..].iter().all(|later| *later <= accuracies[at]), "{accuracies:?}");
    assert_eq!(values(run, "test/accuracy").len(), 1);

    // Those weights are what others are given.
    let id = run["id"].as_str().unwrap();
    std::fs::write(reference.path("texts.tsv"), noisy(60, 300)).unwrap();
    let predicted = reference.stdout(&format!("predict {id} texts.tsv"));
    assert_eq!(predicted, reference.stdout(&format!("predict {id} texts.tsv --best")));
    let test = noisy(60, 300);
    let labels: Vec<&str> = test.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap()).collect();
    let right = predicted.lines().zip(&labels).filter(|(line, label)| line.split_whitespace().next() == Some(**label));
    assert_eq!(right.count() as f64 / 60.0, last(run, "test/accuracy"), "{predicted}");
    let export = reference.run(&format!("export {id} --format hf --out hf"));
    assert!(export.code == Some(2) && export.stderr.contains("`finetune.pooling` = mean"), "{}", export.stderr);
    let verdict = reference.stdout(&format!("reproduce {id}"));
    assert!(verdict.contains("identical"), "{verdict}");

    let killed = bench();
    let line = format!("{line} --threads 2");
    let child = killed.start(&line);
    let trains = |workbench: &Workbench| {
        runs(workbench).iter().any(|run| {
            run["spec"]["stage"] == "finetune"
                && run["series"]["train/loss"]["steps"].as_array().is_some_and(|steps| steps.len() > 6)
        })
    };
    wait_for("the second stage", || (killed.run_folders().len() > 1 && trains(&killed)).then_some(()));
    signal("INT", child.id());
    finish(child);
    killed.stdout(&line);
    assert!(everything(&killed) == expected);
}

/// Texts that each epoch splits anew, of classes and with tags: whatever the threads, and stopped in the middle of an epoch, a
/// run comes out the same; held-out texts are split as ever.
#[test]
fn splits_drawn_anew_are_the_same_however_a_run_is_executed() {
    let one_head = NER.replace("[\"linear\", \"crf\", \"bilstm_crf\"]", "[\"bilstm_crf\"]");
    // These tokens do not all end where a name does.
    for (task, metric) in [(CLASSIFY.to_owned(), "test/accuracy"), (one_head, "test/char_accuracy")] {
        let bench = |p: f64| {
            let bench = workbench(&task.replace("valid_fraction", &format!("bpe_dropout = {p:?}\nvalid_fraction")));
            (bench, "run tiny.toml --set tokenizer.kind=bpe --set finetune.train.epochs=40.0")
        };
        let stage = |workbench: &Workbench| of_stage(&runs(workbench), "finetune").first().map(|run| (*run).clone());
        let ((plain, line), (reference, _), (killed, _)) = (bench(0.0), bench(0.3), bench(0.3));
        plain.stdout(line);
        reference.stdout(&format!("{line} --threads 1"));
        let (without, with) = (stage(&plain).unwrap(), stage(&reference).unwrap());
        let tokens = |name: &str| with["facts"][name].as_f64().unwrap();
        assert!(tokens("tokens_an_example_split_anew") > tokens("tokens_an_example"));
        assert_eq!(without["facts"]["tokens_an_example"], Value::Null);
        assert_ne!(bits(&without), bits(&with));
        assert!(last(&with, metric) > 0.9, "{}", last(&with, metric));

        let line = format!("{line} --threads 2");
        let child = killed.start(&line);
        let trains = |workbench: &Workbench| {
            let steps = |run: Value| run["series"]["train/loss"]["steps"].as_array().map_or(0, Vec::len);
            stage(workbench).map_or(0, steps) > 6
        };
        wait_for("the second stage", || (killed.run_folders().len() > 1 && trains(&killed)).then_some(()));
        signal("INT", child.id());
        finish(child);
        killed.stdout(&line);
        let again = stage(&killed).unwrap();
        assert!((bits(&again), recorded(&again)) == (bits(&with), recorded(&with)));
        let verdict = reference.stdout(&format!("reproduce {}", with["id"].as_str().unwrap()));
        assert!(verdict.contains("identical"), "{verdict}");
    }
}

#[test]
fn data_that_are_none_are_refused_by_file_and_line() {
    let cases = [
        (CLASSIFY, "train.tsv", "id\tdocument\tlabel\n1\t가\t0\n2\t나\n", "train.tsv:3: 1 tabs, and the header has 2"),
        (
            CLASSIFY,
            "test.tsv",
            "id\tdocument\tlabel\n1\t가\t7\n",
            "test.tsv:2: the label `7` is not among those to learn from (0, 1)",
        ),
        (CLASSIFY, "train.tsv", "id\ttext\tlabel\n1\t가\t0\n", "the header has no column `document`"),
        (NER, "train.ner", "가\tB-PS\n나\tI-OG\n", "train.ner:2: `I-OG` follows `B-PS`"),
        (NER, "train.ner", "가\tO\n나\tI-PS\n", "train.ner:2: `I-PS` follows `O`"),
        (
            NER,
            "test.ner",
            "가\tB-LC\n",
            "test.ner:1: the label `B-LC` is not among those to learn from (O, B-PS, I-PS)",
        ),
    ];
    for (task, file, content, expected) in cases {
        let workbench = workbench(task).write(file, content);
        let output = workbench.run("run tiny.toml");
        let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ").replace("│ ", "");
        assert_eq!(output.code, Some(2), "{said}");
        assert!(said.contains(expected) || said.replace(' ', "").contains(&expected.replace(' ', "")), "{said}");
    }
}

#[test]
fn stages_that_do_not_fit_are_refused() {
    let refused = |extra: &str, expected: &str| {
        let output = workbench(extra).run("plan tiny.toml");
        let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.code == Some(2) && said.contains(expected), "{said}");
    };
    refused("[finetune]\ntask = \"ner\"\n", "`finetune.data` is missing");
    refused("[finetune]\nhead = \"crf\"\n", "`finetune.task` is missing");
    refused(&format!("{CLASSIFY}head = \"crf\"\n"), "tags tokens");
    refused(&format!("{CLASSIFY}encoder = \"embeddings\"\n"), "which is always the same");
    refused(&format!("{CLASSIFY}fold = \"3/2\"\n"), "a fold is written like 2/5");
    let crf = NER.replace("[sweep.grid]", "label_smoothing_factor = 0.1\n[sweep.grid]");
    refused(&crf, "scores paths");
    for kind in ["wordpiece", "unigram", "character"] {
        let drops = CLASSIFY.replace("[finetune]", "[finetune]\nbpe_dropout = 0.1\n");
        let output = workbench(&drops).run(&format!("plan tiny.toml --set tokenizer.kind={kind}"));
        let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.code == Some(2) && said.contains("leaves out merges"), "{said}");
    }
    refused(&CLASSIFY.replace("seq_len = 32", "seq_len = 4000"), "is longer than `model.max_position_embeddings`");
    let missing =
        format!("{CLASSIFY}[sweep.grid]\n\"finetune.start\" = [\"random\"]\n\"objective.mask_ratio\" = [0.1, 0.2]\n");
    refused(&missing, "no run reads it where `finetune.start` is random");
    let halved = format!("{CLASSIFY}[sweep.halving]\nmin_steps = 10\n[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3]\n");
    refused(&halved, "does not go with `[finetune]`");
    let workbench = workbench(CLASSIFY);
    let metric = workbench.run("plan tiny.toml --set experiment.metric=valid/mlm_loss");
    assert!(metric.code == Some(2) && metric.stderr.contains("no run that is compared records"), "{}", metric.stderr);
    let filled = {
        workbench.stdout("run tiny.toml");
        workbench.run("fill-mask latest [MASK]")
    };
    assert!(filled.code == Some(2) && filled.stderr.contains("was fine-tuned"), "{}", filled.stderr);
}

/// A model that goes out to Hugging Face's format and comes back is the same model, and can be fine-tuned like one that was
/// pretrained here; a folder with something wrong in it is refused by the name of what is wrong.
#[test]
fn a_model_from_elsewhere_is_taken_in_and_fine_tuned() {
    let workbench = workbench("[objective]\nnsp = \"random\"\n");
    workbench.stdout("run tiny.toml");
    let original = workbench.only_run();
    workbench.stdout("export latest --format hf --out out");
    let id = workbench.stdout("import hf out").trim().to_owned();
    assert_eq!(workbench.stdout("import hf out").trim(), id, "the same folder is the same run");
    let logits = |run: &str| {
        let words = ["fill-mask", run, "박수를 [MASK] 보내다", "--json"];
        let output = finish(workbench.command(&words).spawn().unwrap());
        let json: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{}", output.stderr));
        (json["ids"].clone(), json["masks"].clone(), json["nsp_logits"].clone())
    };
    assert_eq!(logits(original["id"].as_str().unwrap()), logits(&id));
    let refused = workbench.run(&format!("reproduce {id}"));
    assert!(refused.code == Some(2) && refused.stderr.contains("was imported"), "{}", refused.stderr);
    let stage = format!(
        "[experiment]\nname = \"from elsewhere\"\n{}",
        CLASSIFY.replace("[finetune]", &format!("[finetune]\nrun = \"{id}\""))
    );
    let workbench =
        workbench.write("stage.toml", &stage).write("both.toml", format!("{stage}[model]\npreset = \"nano\"\n"));
    workbench.stdout("run stage.toml");
    let stages = runs(&workbench);
    let run = of_stage(&stages, "finetune")[0];
    assert_eq!((run["facts"]["starts_from"]["run"].as_str(), &run["state"]), (Some(id.as_str()), &"finished".into()));
    assert!(last(run, "test/accuracy") > 0.9);
    // What a stage shares with its pretraining it says itself; a stored run's positions are not the file's to change.
    let said = workbench.run("run stage.toml --set train.device=cuda");
    assert!(said.code == Some(2) && said.stderr.contains("cuda"), "{}", said.stderr);
    let long = workbench.run("plan stage.toml --set finetune.train.seq_len=200");
    assert!(long.code == Some(2) && long.stderr.contains("longer than that run has positions"), "{}", long.stderr);
    let both = workbench.run("run both.toml");
    assert!(both.code == Some(2) && both.stderr.contains("`model.preset` is that of the run"), "{}", both.stderr);

    let refused = |change: &dyn Fn(&std::path::Path), expected: &str| {
        let folder = workbench.path("broken");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(workbench.path("out")).unwrap().flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        change(&folder);
        let output = workbench.run("import hf broken");
        let said = output.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.code == Some(2) && said.contains(expected), "{said}");
    };
    let edit = |folder: &std::path::Path, name: &str, from: &str, to: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(folder.join(name), text.replace(from, to)).unwrap();
    };
    refused(&|folder| std::fs::remove_file(folder.join("model.safetensors")).unwrap(), "pytorch_model.bin");
    refused(&|folder| std::fs::write(folder.join("model.safetensors"), "no").unwrap(), "not a safetensors file");
    refused(
        &|folder| edit(folder, "config.json", "\"intermediate_size\": 64", "\"intermediate_size\": 65"),
        "intermediate.dense",
    );
    refused(
        &|folder| edit(folder, "config.json", "\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2"),
        "`bert.encoder.layer.1.",
    );
    refused(&|folder| edit(folder, "config.json", "\"bert\"", "\"roberta\""), "`model_type` is `roberta`");
    refused(
        &|folder| edit(folder, "config.json", "\"vocab_size\": 900", "\"vocab_size\": 899"),
        "ids would lie beyond it",
    );
    refused(&|folder| edit(folder, "tokenizer.json", "[SEP]", "[END]"), "it has no [SEP]");
}

/// A model of ModernBERT's kind goes out under its names and comes back as the same function; one that differs is refused by what
/// it differs in.
#[test]
fn a_modern_bert_goes_out_and_comes_back() {
    let workbench = Workbench::tiny("");
    let run = "run tiny.toml --set train.steps=3 --set model.preset=modern-nano";
    workbench.stdout(&format!("{run} --set model.first_attention_norm=false"));
    let original = workbench.only_run()["id"].as_str().unwrap().to_owned();
    let exported = workbench.json("export latest --format hf --out out --json", "ablate-export-1");
    assert_eq!(exported["architecture"], "ModernBertForMaskedLM");
    let id = workbench.stdout("import hf out").trim().to_owned();
    let masks =
        |run: &str| workbench.json(&format!("fill-mask {run} [MASK] --json"), "ablate-fill-mask-1")["masks"].clone();
    assert_eq!(masks(&original), masks(&id));
    let model = workbench.json(&format!("show {id} --json"), "ablate-run-1")["spec"]["model"].clone();
    let said = ["local_attention", "global_attn_every_n_layers", "first_attention_norm"].map(|key| model[key].clone());
    assert_eq!(said, [Value::from(8), Value::from(0), Value::from(false)], "{model}");
    // Biases that the configuration denies are not read.
    let config = workbench.path("out/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let without = text.replace("\"decoder_bias\": true", "\"decoder_bias\": false");
    assert_ne!(text, without);
    std::fs::write(&config, without).unwrap();
    let without = workbench.stdout("import hf out").trim().to_owned();
    assert_ne!(masks(&without), masks(&id));
    workbench.stdout(run);
    let refused = workbench.run("export latest --format hf --out other");
    assert!(
        refused.code == Some(2) && refused.stderr.contains("`model.first_attention_norm` = true"),
        "{}",
        refused.stderr
    );
    let unfit = workbench.run("plan tiny.toml --set model.first_attention_norm=false");
    assert!(unfit.code == Some(2) && unfit.stderr.contains("no-norm-to-leave-out"), "{}", unfit.stderr);
}

/// A decoder of its own goes out and comes back, and is not taken for a copy of the embeddings, whatever the configuration says.
#[test]
fn an_untied_decoder_comes_back() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=3 --set model.tie_word_embeddings=false");
    let original = workbench.only_run()["id"].as_str().unwrap().to_owned();
    workbench.stdout("export latest --format hf --out out");
    let id = workbench.stdout("import hf out").trim().to_owned();
    let masks =
        |run: &str| workbench.json(&format!("fill-mask {run} [MASK] --json"), "ablate-fill-mask-1")["masks"].clone();
    assert_eq!(masks(&original), masks(&id));
    let config = workbench.path("out/config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let tied = text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
    assert_ne!(text, tied);
    std::fs::write(&config, tied).unwrap();
    let refused = workbench.run("import hf out");
    assert!(refused.code == Some(2) && refused.stderr.contains("say false to take both"), "{}", refused.stderr);
}
