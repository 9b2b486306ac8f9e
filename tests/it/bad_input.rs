//! Wrong requests: each gives one clear message with its place, its cause and what would be right, ends with exit code 2
//! (1 when the work failed), and loses nothing.

use std::fs;
use std::process::{Command, Stdio};

use insta::assert_snapshot;

use crate::support::{ONE_DIVERGES, Output, TINY, Workbench, finish};

/// What the program answers to a request that is wrong: it must say so with 2, print no data and make no run.
fn refused(workbench: &Workbench, line: &str) -> String {
    let output = workbench.run(line);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{line}: {}", output.stderr);
    assert!(workbench.run_folders().is_empty(), "{line}");
    workbench.scrub(&output.stderr)
}

const ALL_MISTAKES: &str = r#"[experiment]
name = "bad"
metric = "valid/mlm_los"
[data]
corpus = "demo"
[model]
preset = "nano"
hidden_siz = 64
hidden_size = 33
[objective]
mask_ratio = 1.5
nsp = true
[train]
steps = "many"
seq_len = 200
[sweep.grid]
"objective.masking" = []
"objectve.nsp" = ["off"]
"optimizer.lr" = [1e-3, -1.0]
[sweep.replicates]
seeds = [1, 2, 1]
[sweep.zip]
"a" = [1]
[finetune]
task = "ner"
[report]
colour_by = "train.steps"
"#;

#[test]
fn all_mistakes_of_a_file_are_reported_in_one_pass() {
    let workbench = Workbench::tiny("").write("bad.toml", ALL_MISTAKES);
    let answer = refused(&workbench, "plan bad.toml");
    assert_eq!(refused(&workbench, "run bad.toml"), answer);
    assert_eq!(refused(&workbench, "compare bad.toml"), answer);
    assert!(!workbench.path("runs").exists(), "no store is made for a file that is wrong");
    assert_snapshot!(answer, @r#"
    wrong-value

      × `experiment.metric` cannot be the text "valid/mlm_los"
       ╭─[bad.toml:3:10]
     2 │ name = "bad"
     3 │ metric = "valid/mlm_los"
       ·          ───────┬───────
       ·                 ╰── this value
     4 │ [data]
       ╰────
      help: did you mean "valid/mlm_loss"?
    unknown-key

      × unknown key `model.hidden_siz`
       ╭─[bad.toml:8:1]
     7 │ preset = "nano"
     8 │ hidden_siz = 64
       · ─────┬────
       ·      ╰── not of this format
     9 │ hidden_size = 33
       ╰────
      help: did you mean `model.hidden_size`?
    heads-divide-width

      × `model.hidden_size` 33 is not divisible by `model.num_attention_heads` 2
        ╭─[bad.toml:7:10]
      6 │ [model]
      7 │ preset = "nano"
        ·          ───┬──
        ·             ╰── nano has num_attention_heads = 2
      8 │ hidden_siz = 64
      9 │ hidden_size = 33
        ·               ─┬
        ·                ╰── hidden_size = 33
     10 │ [objective]
        ╰────
      help: the nearest widths that are: 32 and 34; or give `model.attention_head_size`
    wrong-value

      × `objective.mask_ratio` must be a number more than 0 and less than 1, not 1.5
        ╭─[bad.toml:11:14]
     10 │ [objective]
     11 │ mask_ratio = 1.5
        ·              ─┬─
        ·               ╰── this value
     12 │ nsp = true
        ╰────
      help: `objective.mask_ratio`: The share of ordinary tokens selected for prediction
    wrong-value

      × `objective.nsp` must be "off", "random" or "swap", not true
        ╭─[bad.toml:12:7]
     11 │ mask_ratio = 1.5
     12 │ nsp = true
        ·       ──┬─
        ·         ╰── this value
     13 │ [train]
        ╰────
      help: `objective.nsp`: Next-sentence prediction: off, against another document, or against the swapped
            pair
    wrong-value

      × `train.steps` must be a whole number, at least 1, not the text "many"
        ╭─[bad.toml:14:9]
     13 │ [train]
     14 │ steps = "many"
        ·         ───┬──
        ·            ╰── this value
     15 │ seq_len = 200
        ╰────
      help: `train.steps`: Optimizer steps; excludes epochs and budget
    sequence-too-long

      × `train.seq_len` 200 is longer than `model.max_position_embeddings` 128
        ╭─[bad.toml:7:10]
      6 │ [model]
      7 │ preset = "nano"
        ·          ───┬──
        ·             ╰── nano has max_position_embeddings = 128
      8 │ hidden_siz = 64
      9 │ hidden_size = 33
     10 │ [objective]
     11 │ mask_ratio = 1.5
     12 │ nsp = true
     13 │ [train]
     14 │ steps = "many"
     15 │ seq_len = 200
        ·           ─┬─
        ·            ╰── seq_len = 200
     16 │ [sweep.grid]
        ╰────
      help: shorten the sequences to 128, or give the model 200 positions
    empty-axis

      × the axis `objective.masking` is empty
        ╭─[bad.toml:17:23]
     16 │ [sweep.grid]
     17 │ "objective.masking" = []
        ·                       ─┬
        ·                        ╰── no values
     18 │ "objectve.nsp" = ["off"]
        ╰────
      help: give it values, or take it out
    unknown-key

      × unknown key `objectve.nsp`
        ╭─[bad.toml:18:1]
     17 │ "objective.masking" = []
     18 │ "objectve.nsp" = ["off"]
        · ───────┬──────
        ·        ╰── not of this format
     19 │ "optimizer.lr" = [1e-3, -1.0]
        ╰────
      help: did you mean `objective.nsp`?
    wrong-value

      × `optimizer.lr` must be a number more than 0, not -1.0
        ╭─[bad.toml:19:25]
     18 │ "objectve.nsp" = ["off"]
     19 │ "optimizer.lr" = [1e-3, -1.0]
        ·                         ──┬─
        ·                           ╰── this value
     20 │ [sweep.replicates]
        ╰────
      help: `optimizer.lr`: The peak learning rate
    given-twice

      × `sweep.replicates.seeds` has the seed 1 twice
        ╭─[bad.toml:21:9]
     20 │ [sweep.replicates]
     21 │ seeds = [1, 2, 1]
        ·         ────┬────
        ·             ╰── this value
     22 │ [sweep.zip]
        ╰────
      help: `sweep.replicates.seeds` must be how many seeds, at least 1, or a list of distinct whole numbers
    wrong-shape

      × `sweep.zip` must be a list of tables, not a table
        ╭─[bad.toml:22:8]
     21 │ seeds = [1, 2, 1]
     22 │ [sweep.zip]
        ·        ─┬─
        ·         ╰── this key
     23 │ "a" = [1]
        ╰────
      help: write `[[sweep.zip]]` above each, and its keys below
    missing-key

      × `finetune.data` is missing
        ╭─[bad.toml:25:8]
     24 │ [finetune]
     25 │ task = "ner"
        ·        ──┬──
        ·          ╰── in this file
     26 │ [report]
        ╰────
      help: write `data = "..."` under [finetune]
    unknown-axis

      × `report.colour_by` must name an axis of the sweep, not "train.steps"
        ╭─[bad.toml:27:13]
     26 │ [report]
     27 │ colour_by = "train.steps"
        ·             ──────┬──────
        ·                   ╰── this value
        ╰────
      help: the axes are objective.masking, optimizer.lr
    "#);
}

#[test]
fn overrides_are_held_to_the_same_rules() {
    let workbench = Workbench::tiny("");
    let sets = [
        "train.stepz=3",
        "steps=3",
        "train.steps",
        "train.steps=abc",
        "train.steps=-1",
        "model.hidden_size=33",
        "train.seq_len=300",
        "train.device=gpu",
        "optimizer.kind=lion",
        "data.corpus=nowhere.txt",
    ];
    let answers: String = sets.map(|set| refused(&workbench, &format!("plan tiny.toml --set {set}"))).concat();
    assert_snapshot!(answers, @r#"
    unknown-key

      × unknown key `train.stepz`
      │   in `--set train.stepz=3`: not of this format
      help: did you mean `train.steps`?
    unknown-key

      × unknown key `steps`
      │   in `--set steps=3`: not of this format
      help: did you mean `train.steps`?
    bad-argument

      × `--set` takes KEY=VALUE
      │   in `--set train.steps`: this argument
      help: write for example --set train.steps=100
    wrong-value

      × `train.steps` must be a whole number, at least 1, not the text "abc"
      │   in `--set train.steps=abc`: this value
      help: `train.steps`: Optimizer steps; excludes epochs and budget
    wrong-value

      × `train.steps` must be a whole number, at least 1, not -1
      │   in `--set train.steps=-1`: this value
      help: `train.steps`: Optimizer steps; excludes epochs and budget
    heads-divide-width

      × `model.hidden_size` 33 is not divisible by `model.num_attention_heads` 2
      │   in `--set model.hidden_size=33`: hidden_size = 33
        ╭─[tiny.toml:12:10]
     11 │ [model]
     12 │ preset = "nano"
        ·          ───┬──
        ·             ╰── nano has num_attention_heads = 2
     13 │
        ╰────
      help: the nearest widths that are: 32 and 34; or give `model.attention_head_size`
    sequence-too-long

      × `train.seq_len` 300 is longer than `model.max_position_embeddings` 128
      │   in `--set train.seq_len=300`: seq_len = 300
        ╭─[tiny.toml:12:10]
     11 │ [model]
     12 │ preset = "nano"
        ·          ───┬──
        ·             ╰── nano has max_position_embeddings = 128
     13 │
        ╰────
      help: shorten the sequences to 128, or give the model 300 positions
    wrong-value

      × `train.device` cannot be the text "gpu"
      │   in `--set train.device=gpu`: this value
      help: did you mean "wgpu"?
    not-supported-yet

      × `optimizer.kind = "lion"` is not supported yet
      │   in `--set optimizer.kind=lion`: this value
      help: `optimizer.kind` must be "adamw", "adam", "lamb" or "muon"
    unreadable-corpus

      × there is no corpus `nowhere.txt`; looked for [FOLDER]/nowhere.txt and data/nowhere.txt
      │   in `--set data.corpus=nowhere.txt`: this corpus
    "#);
}

#[test]
fn an_experiment_file_that_cannot_be_read_is_named() {
    let workbench =
        Workbench::tiny("").write("empty.toml", "").write("latin.toml", b"[experiment]\nname = \"caf\xe9\"\n");
    let answers: String = ["nowhere.toml", ".", "latin.toml", "empty.toml"]
        .map(|file| refused(&workbench, &format!("run {file}")))
        .concat();
    assert_snapshot!(answers, @r#"
    error: cannot read the experiment file `nowhere.toml`: No such file or directory (os error 2); is the path right?
    error: cannot read the experiment file `.`: Is a directory (os error 21); name the experiment file in it
    error: latin.toml:2:12: the file is not UTF-8 (byte 24); save it in UTF-8
    missing-key

      × `experiment.name` is missing
       ╭─[empty.toml:1:1]
       ╰────
      help: write `name = "..."` under [experiment]
    missing-key

      × `data.corpus` is missing
       ╭─[empty.toml:1:1]
       ╰────
      help: write `corpus = "..."` under [data]
    "#);
}

#[test]
fn a_corpus_that_cannot_be_used_is_refused_with_its_place() {
    let workbench = Workbench::tiny("")
        .write("empty.txt", "")
        .write("blank.txt", "\n \n\n")
        .write("one.txt", "One sentence.\nAnother one here.\n")
        .write("cp949.txt", b"One sentence.\nAnother \xb0\xa1 here.\n\nA second document.\n")
        .write("broken.jsonl", "{\"text\": \"One.\"}\n{\"text\": \"Two\n")
        .write("field.jsonl", "{\"text\": \"One.\"}\n{\"body\": \"Two.\"}\n");
    let corpora = ["nowhere.txt", "empty.txt", "blank.txt", "one.txt", "cp949.txt", "broken.jsonl", "field.jsonl"];
    let answers = corpora.map(|corpus| {
        let experiment = format!("[experiment]\nname = \"corpus\"\n[data]\ncorpus = \"{corpus}\"\n");
        fs::write(workbench.path("corpus.toml"), experiment).unwrap();
        refused(&workbench, "run corpus.toml")
    });
    assert_snapshot!(answers.concat(), @r#"
    unreadable-corpus

      × there is no corpus `nowhere.txt`; looked for [FOLDER]/nowhere.txt and data/nowhere.txt
       ╭─[corpus.toml:4:10]
     3 │ [data]
     4 │ corpus = "nowhere.txt"
       ·          ──────┬──────
       ·                ╰── this corpus
       ╰────
    unreadable-corpus

      × the corpus holds no text
       ╭─[corpus.toml:4:10]
     3 │ [data]
     4 │ corpus = "empty.txt"
       ·          ─────┬─────
       ·               ╰── this corpus
       ╰────
    unreadable-corpus

      × the corpus holds no text
       ╭─[corpus.toml:4:10]
     3 │ [data]
     4 │ corpus = "blank.txt"
       ·          ─────┬─────
       ·               ╰── this corpus
       ╰────
    error: the corpus holds 1 document(s) of one and the same text, and one must be held out: put a blank line between documents
    error: [FOLDER]/cp949.txt:2:9: not UTF-8 (byte 22 of the file); convert the file, for example with `iconv -f CP949 -t UTF-8`
    error: [FOLDER]/broken.jsonl:2:0: not a JSON object: control character (\u0000-\u001F) found while parsing a string
    error: [FOLDER]/field.jsonl:2: no text in the field `text`; the line has `body`: set `data.text_field` to one that holds text
    "#);
}

#[test]
fn a_name_that_no_folder_can_have_is_refused_by_plan() {
    let long = format!("x{}", "y".repeat(5_000));
    for name in ["a\\u0000b", "a\\u001b[1m", &long] {
        let text = TINY.replace("name = \"tiny\"", &format!("name = \"{name}\""));
        let workbench = Workbench::tiny("").write("tiny.toml", text);
        let output = workbench.run("plan tiny.toml");
        assert_eq!(output.code, Some(2), "{}", output.stdout);
        assert!(output.stderr.contains("is one line of at most 100 characters"), "{}", output.stderr);
    }
}

#[test]
fn a_vocabulary_that_the_text_cannot_fill_is_refused_before_the_first_run() {
    let workbench = Workbench::tiny("");
    let of_plan =
        [20_000, 20].map(|size| refused(&workbench, &format!("plan tiny.toml --set tokenizer.vocab_size={size}")));
    assert!(!workbench.path("runs").exists(), "a plan writes nothing");
    let sizes =
        [20_000, 20].map(|size| refused(&workbench, &format!("run tiny.toml --set tokenizer.vocab_size={size}")));
    assert_eq!(of_plan, sizes);
    assert_snapshot!(sizes.concat(), @r"
    error: `tokenizer.vocab_size` is 20000, but the training text fills only 2753 entries at `tokenizer.min_frequency` = 2; lower the one or the other, or add text
    error: `tokenizer.vocab_size` is 20, but the special tokens and the 470 characters of the training text take 791 entries; raise it, or lower `tokenizer.limit_alphabet`
    ");
}

#[test]
fn runs_that_are_not_there_are_not_guessed() {
    let workbench = Workbench::tiny("[sweep.replicates]\nseeds = 40\n");
    assert_snapshot!(refused(&workbench, "show latest"), @r"error: there is no run store at `runs`; `ablate run FILE` makes one, `--runs DIR` names another");
    workbench.stdout("run tiny.toml --set train.steps=1 --jobs 4");
    let wrong = |line: &str| {
        let output = workbench.run(line);
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""), "{line}: {}", output.stderr);
        output.stderr
    };
    // Of forty ids, some two begin alike: there are 36 characters.
    let ids: Vec<String> = workbench.list().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect();
    let alike = |id: &&String| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1;
    let first = &ids.iter().find(alike).unwrap()[..1];
    for line in [format!("show {first}"), format!("diff latest {first}"), format!("reproduce {first}")] {
        let answer = wrong(&line);
        assert!(answer.starts_with(&format!("error: `{first}` begins ")), "{answer}");
        assert!(answer.ends_with("; type one more character\n"), "{answer}");
    }
    for line in ["show not-an-id", "diff latest not-an-id", "reproduce not-an-id"] {
        assert_eq!(wrong(line), "error: no run is called `not-an-id`; `ablate list` shows all runs\n", "{line}");
    }
    let mistyped = format!("{}{}", &ids[0][..7], if ids[0].ends_with('z') { 'y' } else { 'z' });
    let answer = wrong(&format!("show {mistyped}"));
    assert!(
        answer.starts_with(&format!("error: no run is called `{mistyped}`; did you mean `{}`", ids[0])),
        "{answer}"
    );
}

#[test]
fn a_store_that_is_none_is_said_so() {
    let workbench = Workbench::tiny("").write("file", "");
    let lines =
        ["--runs file run tiny.toml", "--runs file list", "--runs nowhere list", "--runs nowhere reproduce latest"];
    assert_snapshot!(lines.map(|line| refused(&workbench, line)).concat(), @r"
    error: `file` is a file, but a store is a folder; name another with `--runs DIR`
    error: `file` is a file, but a store is a folder; name another with `--runs DIR`
    error: there is no run store at `nowhere`; `ablate run FILE` makes one, `--runs DIR` names another
    error: there is no run store at `nowhere`; `ablate run FILE` makes one, `--runs DIR` names another
    ");
    assert!(!workbench.path("nowhere").exists());
}

/// A user without rights gets told; the superuser may write anywhere, so there is nothing to see.
#[cfg(unix)]
#[test]
fn a_read_only_store_can_be_read_and_refuses_runs() {
    use std::os::unix::fs::PermissionsExt;

    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=1");
    let runs = workbench.path("runs");
    let set_mode = |mode| fs::set_permissions(&runs, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o555);
    let is_enforced = fs::write(runs.join("probe"), "").is_err();
    let listed = workbench.list().len();
    let refused = workbench.run("run tiny.toml --set train.steps=2");
    set_mode(0o755);
    assert_eq!(listed, 1);
    if is_enforced {
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains("it is read-only for this user; name another store"), "{}", refused.stderr);
    }
}

#[test]
fn a_run_that_diverges_fails_alone_and_says_where() {
    let workbench = Workbench::tiny(ONE_DIVERGES);
    let output = workbench.run("run tiny.toml --jobs 2 --set train.steps=10");
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains(" lr=1e35: train/loss stopped being finite at step 2: it is NaN"),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains("1 trained, 0 reused, 1 failed"), "{}", output.stderr);
    let runs = workbench.list();
    let failed = runs.iter().find(|run| run["state"] == "failed").unwrap();
    assert_eq!(failed["reason"], "train/loss stopped being finite at step 2: it is NaN");
    assert_eq!(runs.iter().filter(|run| run["state"] == "finished").count(), 1);
    assert!(workbench.stdout("list state=failed").contains("failed"));
    assert!(workbench.stdout("compare tiny.toml --set train.steps=10").contains("1 failed"));

    let again = workbench.run("run tiny.toml --set train.steps=10");
    assert_eq!((again.code, workbench.run_folders().len()), (Some(1), 2), "not without being asked: {}", again.stderr);
    assert!(again.stderr.contains("before; --retry executes it again"), "{}", again.stderr);
    let retried = workbench.run("run tiny.toml --set train.steps=10 --retry");
    // A retry goes on in the run's own folder, and what diverged diverges again.
    assert_eq!((retried.code, workbench.run_folders().len()), (Some(1), 2), "{}", retried.stderr);
    assert!(retried.stderr.contains("0 trained, 1 reused, 1 failed"), "{}", retried.stderr);
}

/// No file may grow beyond `blocks` of 512 bytes: what a disk that is nearly full does to big files.
fn with_little_room(workbench: &Workbench, blocks: u32, line: &str) -> Output {
    let program = workbench.command(&[]);
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {} {line}", program.get_program().display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(workbench.path("")).env("NO_COLOR", "1");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell.spawn().unwrap())
}

#[test]
fn a_disk_without_room_for_a_checkpoint_fails_the_run_and_spares_the_store() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml --set train.steps=1");
    let output = with_little_room(&workbench, 400, "run tiny.toml");
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(output.stderr.contains("cannot write the checkpoint"), "{}", output.stderr);
    assert!(output.stderr.contains("step-00000005.safetensors: File too large"), "{}", output.stderr);
    assert_eq!(workbench.list().len(), 2);
    workbench.stdout("run tiny.toml --retry");
    let states: Vec<_> = workbench.list().iter().map(|run| run["state"].to_string()).collect();
    assert_eq!(states.iter().filter(|state| *state == "\"finished\"").count(), 2, "{states:?}");
}

/// Whatever the room, the answer is an exit code of the contract and a word on standard error, and the store stays whole.
#[test]
fn any_room_is_survived() {
    for blocks in [0, 1, 8, 40, 120, 2000] {
        let workbench = Workbench::tiny("");
        let output = with_little_room(&workbench, blocks, "run tiny.toml --set train.steps=6");
        assert!(matches!(output.code, Some(0..=2)), "{blocks}: {output:?}");
        assert!(
            output.code == Some(0) || output.stderr.contains("cannot") || output.stderr.contains("failed"),
            "{output:?}"
        );
        assert!(!output.stderr.contains("panicked"), "{blocks}: {}", output.stderr);
        workbench.stdout("run tiny.toml --set train.steps=6 --retry");
        assert!(workbench.list().iter().any(|run| run["state"] == "finished"), "{blocks}");
    }
}

#[test]
fn a_wrong_command_line_is_answered_with_2() {
    let workbench = Workbench::tiny("");
    for line in
        ["", "trian tiny.toml", "run", "run tiny.toml --jobs 0", "run tiny.toml --threads x", "list state=bogus"]
    {
        assert_eq!(workbench.run(line).code, Some(2), "{line}");
    }
    assert!(!workbench.path("runs").exists());
}
