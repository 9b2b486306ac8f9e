//! Files that build on files, as they lie on a disk, and where a value comes from.

use std::fs;

use insta::assert_snapshot;

use crate::support::Workbench;

/// `near.toml` and `sub/other.toml` build on files in other folders.
fn workbench() -> Workbench {
    let workbench = Workbench::tiny("").write("near.toml", NEAR).write("broken.toml", "base = \"sub/broken.toml\"\n");
    fs::create_dir(workbench.path("sub")).unwrap();
    let broken = "base = \"../tiny.toml\"\n[objective]\nmask_ratio = 1.5\n[model]\nnum_attention_heads = 3\n";
    workbench
        .write("sub/middle.toml", "base = \"../tiny.toml\"\n[train]\nbatch_size = 16\n")
        .write("sub/broken.toml", broken)
        .write("sub/circle.toml", "base = \"./../sub/../circle.toml\"\n")
        .write("circle.toml", "base = \"sub/circle.toml\"\n")
        .write("gone.toml", "base = \"sub/gone.toml\"\n")
}

const NEAR: &str = r#"base = "sub/middle.toml"
[train]
steps = 20
[sweep.grid]
"train.batch_size" = [8, 32]
[sweep.derive]
"train.eval_every" = "train.steps / 2"
"#;

#[test]
fn a_base_is_looked_up_from_the_file_that_names_it() {
    let workbench = workbench();
    let plan = workbench.json("plan near.toml --json", "ablate-plan-1");
    assert_eq!((plan["runs"].as_u64(), plan["cells"][0]["steps"].as_u64()), (Some(2), Some(20)));
    assert_eq!(plan["experiment"], "tiny");
}

#[test]
fn what_is_wrong_with_a_base_is_shown_in_it() {
    let workbench = workbench();
    let answers = ["broken.toml", "circle.toml", "gone.toml"].map(|file| {
        let output = workbench.run(&format!("plan {file}"));
        assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
        workbench.scrub(&output.stderr)
    });
    assert_snapshot!(answers.concat(), @r#"
    wrong-value

      × `objective.mask_ratio` must be a number more than 0 and less than 1, not 1.5
       ╭─[sub/broken.toml:3:14]
     2 │ [objective]
     3 │ mask_ratio = 1.5
       ·              ─┬─
       ·               ╰── this value
     4 │ [model]
       ╰────
      help: `objective.mask_ratio`: The share of ordinary tokens selected for prediction
    heads-divide-width

      × `model.hidden_size` 32 is not divisible by `model.num_attention_heads` 3
      │   in `sub/../tiny.toml:12:10`: nano has hidden_size = 32
       ╭─[sub/broken.toml:5:23]
     4 │ [model]
     5 │ num_attention_heads = 3
       ·                       ┬
       ·                       ╰── num_attention_heads = 3
       ╰────
      help: the nearest widths that are: 30 and 33; or give `model.attention_head_size`
    missing-key

      × `experiment.name` is missing
       ╭─[circle.toml:1:1]
     1 │ base = "sub/circle.toml"
       · ▲
       · ╰── in this file
       ╰────
      help: write `name = "..."` under [experiment]
    missing-key

      × `data.corpus` is missing
       ╭─[circle.toml:1:1]
     1 │ base = "sub/circle.toml"
       · ▲
       · ╰── in this file
       ╰────
      help: write `corpus = "..."` under [data]
    base-circle

      × a file cannot build on itself: circle.toml -> sub/circle.toml -> circle.toml
       ╭─[sub/circle.toml:1:8]
     1 │ base = "./../sub/../circle.toml"
       ·        ────────────┬────────────
       ·                    ╰── this leads back
       ╰────
      help: take `base` out of one of them
    missing-key

      × `experiment.name` is missing
       ╭─[gone.toml:1:1]
     1 │ base = "sub/gone.toml"
       · ▲
       · ╰── in this file
       ╰────
      help: write `name = "..."` under [experiment]
    missing-key

      × `data.corpus` is missing
       ╭─[gone.toml:1:1]
     1 │ base = "sub/gone.toml"
       · ▲
       · ╰── in this file
       ╰────
      help: write `corpus = "..."` under [data]
    unreadable-base

      × the base is not there: cannot read the experiment file `sub/gone.toml`: No such file or directory (os
      │ error 2); is the path right?
       ╭─[gone.toml:1:8]
     1 │ base = "sub/gone.toml"
       ·        ───────┬───────
       ·               ╰── this file
       ╰────
    "#);
}

#[test]
fn a_key_is_explained_layer_by_layer() {
    let workbench = workbench();
    assert_snapshot!(workbench.stdout("plan near.toml --explain train.batch_size"), @r"
    train.batch_size: Sequences a forward pass; a step learns from gradient_accumulation_steps times as many

    layer         value  where                   counts in
    default       32                                0 of 2
    base          8      sub/../tiny.toml:16:14     0 of 2
    base          16     sub/middle.toml:3:14       0 of 2
    [sweep.grid]  8      near.toml:5:23             1 of 2
    [sweep.grid]  32     near.toml:5:26             1 of 2
    ");
    assert_snapshot!(workbench.stdout("plan near.toml --explain train.eval_every --set train.steps=30"), @r"
    train.eval_every: Steps between evaluations

    layer           value                 where                   counts in
    default         100                                              0 of 2
    base            10                    sub/../tiny.toml:18:14     0 of 2
    [sweep.derive]  train.steps / 2 = 15  near.toml:7:22             2 of 2
    ");
    let explained = workbench.json("plan near.toml --explain train.steps --json", "ablate-explain-1");
    assert_eq!(explained["layers"][2]["file"], "near.toml");
    assert_eq!((explained["layers"][2]["line"].as_u64(), explained["layers"][2]["cells"].as_u64()), (Some(3), Some(2)));
    let unknown = workbench.run("plan near.toml --explain train.step");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(2), ""));
    assert_snapshot!(unknown.stderr, @"error: `--explain`: unknown key `train.step`; did you mean `train.steps`?");
}
