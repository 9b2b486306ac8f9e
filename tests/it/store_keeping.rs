//! The store as people keep it: found by queries, tagged, put into the trash and brought back, cleaned and repaired.

use std::fs;

use crate::support::{Workbench, finish};

const RATES: &str = "[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3]\n[sweep.replicates]\nseeds = [0, 1]\n";

/// Four finished runs.
fn swept() -> Workbench {
    let workbench = Workbench::tiny(RATES);
    workbench.stdout("run tiny.toml --jobs 1");
    workbench
}

/// What `list` with these arguments prints, its words not split.
fn list(workbench: &Workbench, arguments: &[&str]) -> crate::support::Output {
    let all = [&["list"], arguments].concat();
    finish(workbench.command(&all).spawn().unwrap())
}

/// The lines of a table below its header.
fn rows(output: &crate::support::Output) -> usize {
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    output.stdout.lines().count().saturating_sub(1)
}

#[test]
fn runs_are_found_sorted_and_shown_by_whatever_they_have() {
    let workbench = swept();
    for (query, expected) in [
        ("state = finished and lr >= 0.002", 2),
        ("lr>0.001 or valid/mlm_loss.min < 0", 2),
        ("not (lr = 1e-3) and took < \"1 h\" and started > yesterday", 2),
        ("lr=0.001,0.002 experiment=tiny", 4),
        ("dirty in (true, false) and exists(valid/mlm_loss) and disk > 1kB", 4),
        ("train/loss.at(40) > 0 and tag != keep", 4),
        ("tiny limit=3", 3),
    ] {
        assert_eq!(rows(&list(&workbench, &[query])), expected, "{query}");
    }
    // What a row shows can be typed back.
    let shown = list(&workbench, &["limit=1"]).stdout;
    let words: Vec<&str> = shown.lines().nth(1).unwrap().split_whitespace().collect();
    let cell = words.last().unwrap();
    assert!(cell.starts_with("lr="), "{shown}");
    assert_eq!(rows(&list(&workbench, &[cell])), 2);

    let csv = list(&workbench, &["--sort", "-lr", "--columns", "lr,seed,valid/mlm_loss.min,took", "--csv"]).stdout;
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, "lr,seed,valid/mlm_loss.min,took"));
    assert!(lines[1].starts_with("2e-3,") && lines[4].starts_with("1e-3,"), "{csv}");
    let all = list(&workbench, &["--csv"]).stdout;
    assert!(all.starts_with("id,state,experiment,") && all.lines().next().unwrap().contains("optimizer.lr"), "{all}");
}

#[test]
fn a_mistake_in_a_query_is_pointed_at_and_never_means_no_runs() {
    let workbench = swept();
    let said = |query: &str| {
        let output = list(&workbench, &[query]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{query}: {}", output.stderr);
        output.stderr
    };
    insta::assert_snapshot!(said("lr > 0.1 and mask_ration >= 0.3"), @r"
    error: no run has a setting `mask_ration`

      lr > 0.1 and mask_ration >= 0.3
                   ^^^^^^^^^^^
      did you mean `objective.mask_ratio`?
    ");
    insta::assert_snapshot!(said("(lr > 0.1"), @r"
    error: `)` is missing here

      (lr > 0.1
               ^
    ");
    insta::assert_snapshot!(said("quickstrat"), @r"
    error: `quickstrat` is no experiment and begins no run's id

      quickstrat
      ^^^^^^^^^^
      `ablate list` shows all runs
    ");
    assert!(said("valid/mlm_loss < low").contains("which is compared with numbers"));
}

#[test]
fn runs_are_tagged_named_grouped_and_noted() {
    let workbench = swept();
    workbench.stdout("tag lr=0.001 --add keep --add draft");
    workbench.stdout("tag tag=draft seed=1 --remove draft");
    assert_eq!(rows(&list(&workbench, &["tag:keep"])), 2);
    assert_eq!(rows(&list(&workbench, &["tag:draft"])), 1);
    workbench.stdout("tag lr=0.002 --add one,two --add three");
    assert_eq!([rows(&list(&workbench, &["tag:one"])), rows(&list(&workbench, &["tag:two tag:three"]))], [2, 2]);
    workbench.stdout("tag lr=0.002 --remove one,three");
    assert_eq!([rows(&list(&workbench, &["tag:one or tag:three"])), rows(&list(&workbench, &["tag:two"]))], [0, 2]);
    assert_eq!(workbench.run("tag lr=0.002 --add one,,two").code, Some(2));
    let output = finish(workbench.command(&["rename", "latest", "the best"]).spawn().unwrap());
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    workbench.stdout("note latest seen in the meeting");
    // Who only asks changes nothing.
    assert_eq!(workbench.stdout("note latest"), "seen in the meeting\n");
    assert_eq!(workbench.stdout("rename latest"), "the best\n");
    let shown = workbench.stdout("show latest");
    assert!(shown.contains("name the best") && shown.contains("note seen in the meeting"), "{shown}");
    assert_eq!(rows(&list(&workbench, &["name = \"the best\" and note like \"%meeting\""])), 1);
    workbench.stdout("group lr=0.002 --join second");
    assert_eq!(rows(&list(&workbench, &["second"])), 2);
    workbench.stdout("group second seed=1 --leave second");
    assert_eq!(rows(&list(&workbench, &["second"])), 1);
    assert_eq!(workbench.run("group tiny --leave tiny").code, Some(2));
    // Runs stay what they were.
    assert_eq!(workbench.run("fsck").code, Some(0));
    assert!(workbench.run("run tiny.toml").stderr.contains("4 reused"));
}

#[test]
fn what_is_deleted_comes_back_until_it_is_collected() {
    let workbench = swept();
    workbench.stdout("delete lr=0.001");
    assert_eq!((workbench.list().len(), rows(&list(&workbench, &["trash=yes"]))), (2, 2));
    let again = workbench.run("delete lr=0.001");
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("2 runs of the trash would; `ablate restore` brings runs back"), "{}", again.stderr);
    let output = workbench.run("restore lr=0.002");
    assert!(output.stderr.contains("2 runs outside of the trash would"), "{}", output.stderr);
    workbench.stdout("restore seed=0");
    assert_eq!(workbench.list().len(), 3);
    let folders = workbench.run_folders().len();
    let dry = workbench.stdout("gc --dry-run --trash-days 0");
    assert!(dry.contains("runs in the trash") && dry.contains("checkpoints of finished runs"), "{dry}");
    assert!(dry.contains("1 run  "), "{dry}");
    assert_eq!(workbench.run_folders().len(), folders);
    workbench.stdout("gc --trash-days 0");
    assert_eq!(workbench.run_folders().len(), folders - 1);
    assert_eq!(workbench.run("gc --trash-days 0").stderr, "nothing to remove\n");
    // What is left still has its weights.
    let id = workbench.list()[0]["id"].as_str().unwrap().to_owned();
    workbench.stdout(&format!("fill-mask {id} [MASK]"));
    assert_eq!(workbench.run("fsck").code, Some(0));
    assert!(workbench.stdout("du").contains("checkpoints"));
}

/// A run's folder has all that the run needs: neither the cache nor the corpus.
#[test]
fn a_run_tells_the_file_that_plans_it_again() {
    let workbench = Workbench::tiny("[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]\n");
    workbench.stdout("run tiny.toml --threads 1 --set train.steps=3");
    let id =
        workbench.json("list mask_ratio=0.3 --json", "ablate-list-1")["runs"][0]["id"].as_str().unwrap().to_owned();
    let output = workbench.run(&format!("show {id} --toml"));
    assert!(output.code == Some(0) && output.stderr.contains("Plans specification"), "{}", output.stderr);
    let workbench = workbench.write("again.toml", &output.stdout);
    let again = workbench.run("run again.toml");
    assert!(again.stderr.contains("0 trained, 1 reused"), "{}{}", again.stdout, again.stderr);
}

#[test]
fn a_run_is_whole_without_the_cache() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml");
    let before = workbench.stdout("fill-mask latest [MASK]");
    fs::remove_dir_all(workbench.path("runs/cache")).unwrap();
    assert_eq!(workbench.stdout("fill-mask latest [MASK]"), before);
    assert!(!workbench.path("runs/cache/tokenizers").exists());
}

#[test]
fn damage_is_set_aside_and_trained_again() {
    let workbench = swept();
    let [log, checkpoint] = ["events.log", "checkpoints/step-00000040.safetensors"];
    let folders = workbench.run_folders();
    let text = fs::read_to_string(folders[0].join(log)).unwrap();
    // All but the header.
    fs::write(folders[0].join(log), text.split_inclusive('\n').next().unwrap()).unwrap();
    let mut weights = fs::read(folders[1].join(checkpoint)).unwrap();
    let half = weights.len() / 2;
    weights[half] ^= 1;
    fs::write(folders[1].join(checkpoint), weights).unwrap();

    let compared = workbench.json("compare tiny.toml --json", "ablate-comparison-2").to_string();
    assert!(compared.contains("cannot be read") && compared.contains("ablate fsck --repair"), "{compared}");
    assert!(!compared.contains("\"planned\""), "{compared}");
    let found = workbench.run("fsck");
    assert_eq!(found.code, Some(1));
    assert!(found.stdout.contains("was cut to its header") && found.stdout.contains("digest"), "{}", found.stdout);
    assert_eq!(workbench.run("fsck --repair").code, Some(0));
    assert_eq!((workbench.run("fsck").code, workbench.run_folders().len()), (Some(0), 3));
    assert!(workbench.path("runs/.set-aside").join(folders[0].file_name().unwrap()).join(log).exists());
    let output = workbench.run("run tiny.toml");
    assert!(output.stderr.contains("1 trained, 3 reused"), "{}", output.stderr);
}

/// What a run says of itself is shown, not obeyed.
#[test]
fn escapes_of_a_run_are_inert() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml");
    let words = ["tag", "latest", "--add", "a\u{1b}[31mb"];
    assert_eq!(finish(workbench.command(&words).spawn().unwrap()).code, Some(2));
    let words = ["note", "latest", "a\u{1b}]0;title\u{7}b"];
    assert_eq!(finish(workbench.command(&words).spawn().unwrap()).code, Some(0));
    let output = list(&workbench, &["--columns", "id,note"]);
    assert!(output.stdout.contains("\\u{1b}]0;title") && !output.stdout.contains('\u{1b}'), "{}", output.stdout);
}

/// What an unset variable or a forgotten option leaves of a command takes nothing away: not the runs, not the last report.
#[test]
fn what_was_forgotten_takes_nothing_away() {
    let workbench = swept();
    let delete = |query: &str| finish(workbench.command(&["delete", query]).spawn().unwrap());
    for (query, expected) in [("", "every run of the store"), ("limit=1", "every run"), ("id=''", "begins every id")] {
        let output = delete(query);
        assert_eq!(output.code, Some(2), "{query}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{query}: {}", output.stderr);
    }
    assert_eq!(rows(&list(&workbench, &[])), 4);
    let latest = || fs::read_to_string(workbench.path("runs/reports/tiny/latest/report.html")).unwrap();
    let before = latest();
    workbench.stdout("compare tiny.toml --set train.steps=7");
    assert_eq!(latest(), before, "no run of seven steps has finished");
    // The way that the message names.
    assert_eq!(delete("id like \"%\"").code, Some(0));
    assert_eq!(rows(&list(&workbench, &[])), 0);
}
