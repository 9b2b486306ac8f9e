//! The commands as a new user meets them: a plan, a sweep, its runs, its comparison.

use std::collections::BTreeSet;
use std::fs;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Workbench, without_durations};

/// Four cells of two seeds, twenty steps each.
const SWEEP: &str = r#"[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3]
"objective.nsp" = ["off", "random"]
[sweep.replicates]
seeds = 2
[experiment.baseline]
"objective.mask_ratio" = 0.15
"objective.nsp" = "off"
"#;

const RUN: &str = "run tiny.toml --jobs 2 --set train.steps=20";
const COMPARE: &str = "compare tiny.toml --set train.steps=20";

#[test]
fn a_plan_says_what_it_amounts_to_and_trains_nothing() {
    let workbench = Workbench::tiny(SWEEP);
    assert_snapshot!(without_durations(&workbench.stdout("plan tiny.toml")), @r"
    tiny

    mask_ratio  nsp  parameters  steps  positions  FLOPs  time a run  finished
    0.15  off  43,588  40  10.2k  915M  [TIME]  0/2
    0.15  random  44,710  40  10.2k  860M  [TIME]  0/2
    0.3  off  43,588  40  10.2k  1.14G  [TIME]  0/2
    0.3  random  44,710  40  10.2k  1.15G  [TIME]  0/2

    grid 2 x 2 = 4 cells x 2 seeds = 8 runs; 0 finished, 8 to run, about [TIME] one after another (from steps that were tried just now)
    ");
    assert!(!workbench.path("runs").exists(), "planning writes nothing");
    let plan = workbench.json("plan tiny.toml --json", "ablate-plan-1");
    assert_eq!((&plan["runs"], &plan["cells"].as_array().unwrap().len()), (&json!(8), &4));
}

/// The sizes of the known systems, to the last parameter, stated before anything is trained.
#[test]
fn the_known_presets_have_the_known_sizes() {
    let grid = r#"[sweep.grid]
"model.preset" = ["aiffel-1m", "aiffel-1.26m", "aiffel-4m", "aiffel-10m"]
"#;
    let experiment = format!(
        "[experiment]\nname = \"sizes\"\n[data]\ncorpus = \"demo\"\n[tokenizer]\nvocab_size = 8007\n\
         [objective]\nnsp = \"random\"\n{grid}"
    );
    let workbench = Workbench::tiny("").write("sizes.toml", experiment);
    let plan = workbench.json("plan sizes.toml --json", "ablate-plan-1");
    let cells = plan["cells"].as_array().unwrap();
    let parameters: Vec<&Value> = cells.iter().map(|cell| &cell["parameters"]).collect();
    assert_eq!(parameters, [&json!(1_052_256), &json!(1_257_600), &json!(4_551_936), &json!(10_804_736)]);
    assert_snapshot!(without_durations(&workbench.stdout("plan sizes.toml")), @r"
    sizes

    preset  parameters  steps  positions  FLOPs  time a run  finished
    aiffel-1m  1,052,256  1,000  4.10M  11.0T  [TIME]  0/1
    aiffel-1.26m  1,257,600  1,000  4.10M  9.38T  [TIME]  0/1
    aiffel-4m  4,551,936  1,000  4.10M  70.3T  [TIME]  0/1
    aiffel-10m  10,804,736  1,000  4.10M  179T  [TIME]  0/1

    grid 4 = 4 cells x 1 seed = 4 runs; 0 finished, 4 to run, about [TIME] one after another (from steps that were tried just now)
    ");
}

#[test]
fn a_second_run_trains_nothing() {
    let workbench = Workbench::tiny(SWEEP);
    let first = workbench.run(RUN);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(first.stderr.contains("8 trained, 0 reused"), "{}", first.stderr);
    let logs = || -> Vec<Vec<u8>> {
        workbench.run_folders().iter().map(|run| fs::read(run.join("events.log")).unwrap()).collect()
    };
    let before = logs();
    let second = workbench.run(RUN);
    assert_eq!((second.code, &second.stdout), (Some(0), &first.stdout));
    assert!(second.stderr.contains("0 trained, 8 reused"), "{}", second.stderr);
    assert!(logs() == before, "a log was touched");
    // A bigger sweep trains what is missing of it.
    let more = workbench.run(&format!("{RUN} --set sweep.replicates.seeds=3"));
    assert!(more.stderr.contains("4 trained, 8 reused"), "{}", more.stderr);
}

#[test]
fn runs_are_listed_shown_and_told_apart() {
    let workbench = Workbench::tiny(SWEEP);
    workbench.stdout(RUN);
    let runs = workbench.list();
    assert_eq!(runs.len(), 8);
    assert!(runs.iter().all(|run| run["state"] == "finished" && run["steps_done"] == 20), "{runs:?}");
    assert_eq!(workbench.stdout("list").lines().count(), 9);
    assert_eq!(workbench.stdout("list state=failed"), "");
    let some = workbench.json("list objective.nsp=random limit=3 --json", "ablate-list-1");
    let some = some["runs"].as_array().unwrap();
    assert!(some.len() == 3 && some.iter().all(|run| run["axes"]["objective.nsp"] == "random"), "{some:?}");

    let run = workbench.json("show latest --json", "ablate-run-1");
    let id = run["id"].as_str().unwrap();
    assert_eq!(run["series"]["train/loss"]["steps"].as_array().unwrap().len(), 20);
    assert_eq!(run["series"]["valid/mlm_loss"]["steps"], json!([10, 20]));
    let shown = workbench.stdout(&format!("show {id}"));
    for part in ["Metrics", "Facts", "Specification", "Provenance", "mask_rate", "final_weights", "vocab_size = 900"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }

    let cell = |ratio: f64| {
        runs.iter().find(|run| run["axes"] == json!({ "objective.mask_ratio": ratio, "objective.nsp": "off" }))
    };
    let [a, b] = [0.15, 0.3].map(|ratio| cell(ratio).unwrap()["id"].as_str().unwrap().to_owned());
    let diff = workbench.json(&format!("diff {a} {b} --json"), "ablate-diff-1");
    assert_eq!(diff["runs"], json!([a, b]));
    let keys: Vec<&str> = diff["settings"].as_array().unwrap().iter().map(|d| d["key"].as_str().unwrap()).collect();
    assert!(
        keys.contains(&"objective.mask_ratio")
            && keys.iter().all(|key| ["objective.mask_ratio", "train.seed"].contains(key))
    );
    assert!(workbench.stdout(&format!("diff {a} {b}")).contains("objective.mask_ratio"));
    assert!(workbench.stdout(&format!("diff {a} {a}")).contains("the same specification"));
}

#[test]
fn a_comparison_is_tables_figures_and_one_page_that_opens_offline() {
    let workbench = Workbench::tiny(SWEEP);
    workbench.stdout(RUN);
    let comparison = workbench.json(&format!("{COMPARE} --out figures --json"), "ablate-comparison-2");
    assert_eq!(comparison["cells"].as_array().unwrap().len(), 4);
    assert!(comparison["cells"].as_array().unwrap().iter().all(|cell| cell["n"] == 2), "{comparison}");
    let words = workbench.stdout(COMPARE);
    assert!(words.contains("valid/mlm_loss") && words.contains("effect on"), "{words}");

    let names: BTreeSet<String> = fs::read_dir(workbench.path("figures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let with = |ending: &str| -> Vec<&str> { names.iter().filter_map(|name| name.strip_suffix(ending)).collect() };
    assert!(with(".svg").len() >= 5 && with(".svg") == with(".png") && with(".pdf") == with(".png"), "{names:?}");
    let captions = fs::read_to_string(workbench.path("figures/captions.md")).unwrap();
    assert!(with(".png").iter().all(|name| captions.contains(&format!("\n## {name}\n"))), "{captions}");
    let effects = fs::read_to_string(workbench.path("figures/tables/effects.csv")).unwrap();
    assert_eq!(effects.lines().count(), 1 + comparison["effects"].as_array().unwrap().len());
    assert!(names.contains("report.html") && names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    for name in with(".png") {
        let png = fs::read(workbench.path(&format!("figures/{name}.png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n") && png.len() > 2000, "{name}");
    }
    let report = fs::read_to_string(workbench.path("figures/report.html")).unwrap();
    for run in workbench.list() {
        assert!(report.contains(run["id"].as_str().unwrap()), "{} is not in the report", run["id"]);
    }
    // A name space is no reference; everything else with a host would be fetched.
    let foreign = report.replace("http://www.w3.org/", "");
    for reference in ["http://", "https://", "src=\"/", "<link", "@import", "url(/", "<script src"] {
        assert!(!foreign.contains(reference), "the report refers to something outside: {reference}");
    }
    assert_eq!(report.matches("<svg").count(), report.matches("</svg>").count());
    assert!(report.matches("<svg").count() >= 5);
}

#[test]
fn quiet_says_nothing_and_json_is_all_of_standard_output() {
    let workbench = Workbench::tiny("");
    let output = workbench.run("run tiny.toml --quiet --set train.steps=2");
    assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    assert!(!output.stdout.contains('\u{1b}'), "{}", output.stdout);
    let coloured = workbench.stdout("list --color always");
    assert!(coloured.contains('\u{1b}'), "{coloured}");
}

#[test]
fn the_doctor_looks_at_program_machine_and_store() {
    let workbench = Workbench::tiny("");
    let report = workbench.json("doctor --json", "ablate-doctor-1");
    assert_eq!(report["healthy"], true);
    let names: Vec<&Value> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["name"]).collect();
    let devices = ["device"; 6];
    let expected = [&["program", "machine"][..], &devices, &["data", "store"]].concat();
    assert_eq!(names, expected);
    assert_eq!(workbench.stdout("doctor").lines().count(), expected.len());
}

#[test]
fn a_corpus_is_looked_up_beside_the_file_and_then_under_the_data_root() {
    let corpus: String =
        (0..40).map(|i| format!("Number {i} is here. It stays for a while.\nThe end of {i}.\n\n")).collect();
    let experiment = "[experiment]\nname = \"own\"\n[data]\ncorpus = \"own.txt\"\nvalid_fraction = 0.2\n[tokenizer]\nvocab_size = 70\n\
                      [model]\npreset = \"nano\"\n[train]\nsteps = 2\nbatch_size = 4\nseq_len = 32\n";
    for place in ["own.txt", "elsewhere/own.txt", "folder/own.txt"] {
        let workbench = Workbench::tiny("");
        for folder in ["elsewhere", "folder"] {
            fs::create_dir(workbench.path(folder)).unwrap();
        }
        let workbench = workbench.write(place, &corpus);
        let file = if place.starts_with("folder") { "folder/own.toml" } else { "own.toml" };
        let workbench = workbench.write(file, experiment);
        workbench.stdout(&format!("run {file} --data elsewhere"));
        assert_eq!(workbench.only_run()["state"], "finished", "{place}");
    }
}

/// Reports of a name are kept, the newest is `latest`, and what others put beside them stays.
#[test]
fn reports_are_kept_and_foreign_files_stay() {
    let workbench = Workbench::tiny(SWEEP);
    workbench.stdout(RUN);
    let shelf = workbench.path("runs/reports/tiny");
    let kept = || {
        let entries = fs::read_dir(&shelf).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name.starts_with("20")).collect::<BTreeSet<_>>()
    };
    let page = || fs::read_to_string(shelf.join("latest/report.html")).unwrap();
    let (first, first_page) = (kept(), page());
    assert_eq!(first.len(), 1, "{first:?}");
    for folder in ["runs/reports/tiny", "runs/reports/tiny/latest", "mine"] {
        fs::create_dir_all(workbench.path(folder)).unwrap();
        fs::write(workbench.path(&format!("{folder}/logo.svg")), "<svg/>").unwrap();
    }
    workbench.stdout(COMPARE);
    assert_eq!(kept(), first, "the same runs are the same report");
    workbench.stdout(&format!("{COMPARE} --metric valid/masked_accuracy"));
    assert_eq!(kept().len(), 2);
    assert!(page() != first_page && page().contains("valid/masked_accuracy"));
    let index = fs::read_to_string(shelf.join("index.html")).unwrap();
    kept().iter().for_each(|name| assert!(index.contains(&format!("{name}/report.html")), "{name}: {index}"));
    workbench.stdout(&format!("{COMPARE} --out mine"));
    for kept in ["runs/reports/tiny/logo.svg", "mine/logo.svg"] {
        assert!(workbench.path(kept).exists(), "{kept}");
    }
    assert!(shelf.join(first.first().unwrap()).join("logo.svg").exists());
    // The links of a report lead to the folders of its runs, wherever it lies.
    for (folder, way) in [("runs/reports/tiny/latest", "../../.."), ("mine", "../runs")] {
        let page = fs::read_to_string(workbench.path(folder).join("report.html")).unwrap();
        let run = workbench.run_folders()[0].file_name().unwrap().to_str().unwrap().to_owned();
        assert!(page.contains(&format!("href=\"{way}/{run}/\"")), "{folder}");
    }
}

/// A terminal of 80 columns is wide enough for what is printed without being asked for.
#[test]
fn lines_fit_a_terminal_of_80_columns() {
    let workbench = Workbench::tiny(SWEEP);
    for line in [RUN, COMPARE, "list", "show latest", "plan tiny.toml --set train.steps=20"] {
        let words = line.split_whitespace().collect::<Vec<_>>();
        let output = workbench.command(&words).env("COLUMNS", "80").output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{line}: {}", said[1]);
        let folder = workbench.path("").display().to_string();
        let wide = said
            .iter()
            .flat_map(|text| text.lines())
            .filter(|said| said.chars().count() > 80 && !said.contains(&folder));
        assert_eq!(wide.collect::<Vec<_>>(), [""; 0], "{line}");
    }
}

/// `run` ends with its answer; the tables are a flag away.
#[test]
fn the_answer_comes_before_the_tables() {
    let workbench = Workbench::tiny(SWEEP);
    let run = workbench.run(RUN);
    assert!(run.stdout.contains("of 4 cells") && run.stdout.contains("effect on"), "{}", run.stdout);
    assert!(run.stdout.lines().count() <= 12, "{}", run.stdout);
    for part in ["reports/tiny/latest/report.html", "--tables", "ablate list tiny", "ablate show "] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let tables = workbench.stdout(&format!("{COMPARE} --tables"));
    assert!(tables.contains("share of variance") && tables.contains("Luck:"), "{tables}");
}

#[test]
fn a_report_stays_below_the_store_whatever_its_experiment_is_called() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=2");
    for (name, folder) in [("../../up", "-..-..-up"), ("..", "-.."), ("a/b", "a-b"), ("한글", "한글")] {
        workbench.stdout(&format!("compare tiny.toml --set train.steps=2 --set experiment.name=\"{name}\""));
        assert!(workbench.path(&format!("runs/reports/{folder}/report.html")).exists(), "{name}");
    }
    // Five folders, and the list of them.
    assert_eq!(fs::read_dir(workbench.path("runs/reports")).unwrap().count(), 6);
    assert!(workbench.path("runs/reports/index.html").exists());
}

/// Who does not know a key, or what an error means, can ask.
#[test]
fn keys_and_problems_explain_themselves() {
    let workbench =
        Workbench::tiny("").write("bad.toml", "experiment.name = \"x\"\ndata.corpus = \"demo\"\nseeed = 1\n");
    let schedule = workbench.stdout("keys schedule");
    assert!(schedule.starts_with("[schedule]") && schedule.contains("warmup_ratio"), "{schedule}");
    let all = workbench.stdout("keys");
    assert!(all.contains(&schedule) && all.contains("[finetune.optimizer]"), "{all}");
    assert!(workbench.stdout("keys metrics").contains("validation MLM loss (nats/token)"));
    assert!(workbench.stdout("keys presets").contains("hidden_size = 32"));
    let schema: serde_json::Value = serde_json::from_str(&workbench.stdout("keys --json")).unwrap();
    assert_eq!(schema["properties"]["objective"]["properties"]["mask_ratio"]["exclusiveMaximum"], 1.0);
    let refused = workbench.run("keys shedule");
    assert!(refused.code == Some(2) && refused.stderr.contains("did you mean `schedule`?"), "{}", refused.stderr);

    let refused = workbench.run("plan bad.toml");
    assert!(refused.stderr.contains("unknown-key"), "{}", refused.stderr);
    let explained = workbench.stdout("explain unknown-key");
    assert!(explained.contains("Wrong:") && explained.contains("objective.mask_ration"), "{explained}");
    assert!(workbench.stdout("explain").contains("dead-axis"));
    assert!(workbench.run("explain unknown-kay").stderr.contains("did you mean `unknown-key`?"));
}
