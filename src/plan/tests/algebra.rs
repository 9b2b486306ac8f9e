//! The sweep algebra: random sweeps against a brute-force expansion, and each of its parts as a person reads it.

use std::collections::BTreeMap;

use super::{alone, file, planned, read};
use crate::experiment;
use crate::plan::expand;

/// Whole-number keys, in the order of the key table.
const KEYS: [&str; 8] = [
    "tokenizer.vocab_size",
    "tokenizer.min_frequency",
    "tokenizer.limit_alphabet",
    "model.num_hidden_layers",
    "train.batch_size",
    "train.eval_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
];

type Values = BTreeMap<usize, Vec<i64>>;
type Cell = BTreeMap<usize, i64>;

/// A sweep over [`KEYS`], by index.
#[derive(Clone, Debug, Default)]
struct Sweep {
    base: Cell,
    grid: Values,
    zips: Vec<Values>,
    whens: Vec<(Values, Values)>,
    excludes: Vec<Values>,
    includes: Vec<Cell>,
}

/// Expands a sweep in the plainest way.
fn brute_force(sweep: &Sweep) -> Vec<Cell> {
    let product = |cells: Vec<Cell>, rows: Vec<Cell>| -> Vec<Cell> {
        let join = |cell: &Cell, row: &Cell| cell.clone().into_iter().chain(row.clone()).collect::<Cell>();
        cells.iter().flat_map(|cell| rows.iter().map(|row| join(cell, row)).collect::<Vec<_>>()).collect()
    };
    let column = |(key, values): (&usize, &Vec<i64>)| values.iter().map(|value| Cell::from([(*key, *value)])).collect();
    let grid = |cells: Vec<Cell>, grid: &Values| grid.iter().map(column).fold(cells, product);
    let mut varied: Vec<usize> = sweep.grid.keys().copied().collect();
    varied.extend(sweep.zips.iter().chain(sweep.whens.iter().map(|when| &when.1)).flat_map(|part| part.keys()));
    varied.extend(sweep.includes.iter().flat_map(|row| row.keys()));
    let holds = |cell: &Cell, condition: &Values| {
        condition.iter().all(|(key, any_of)| match cell.get(key).or(sweep.base.get(key)) {
            Some(value) => any_of.contains(value) && (cell.contains_key(key) || !varied.contains(key)),
            None => false,
        })
    };
    let is_only_rows = sweep.grid.is_empty() && sweep.zips.is_empty() && !sweep.includes.is_empty();
    let mut cells = grid(if is_only_rows { vec![] } else { vec![Cell::new()] }, &sweep.grid);
    let mut zips: Vec<&Values> = sweep.zips.iter().collect();
    zips.sort_by_key(|zip| zip.keys().next().copied());
    for zip in zips {
        let rows = zip.values().next().map_or(0, Vec::len);
        let row = |i: usize| zip.iter().map(|(key, values)| (*key, values[i])).collect();
        cells = product(cells, (0..rows).map(row).collect());
    }
    let mut whens = sweep.whens.clone();
    whens.sort_by_key(|when| when.1.keys().next().copied());
    while !whens.is_empty() {
        let waits = |when: &Values| whens.iter().any(|other| other.1.keys().any(|key| when.contains_key(key)));
        let Some(i) = whens.iter().position(|when| !waits(&when.0)) else { break };
        let (condition, axes) = whens.remove(i);
        let expand = |cell: Cell| if holds(&cell, &condition) { grid(vec![cell], &axes) } else { vec![cell] };
        cells = cells.into_iter().flat_map(expand).collect();
    }
    cells.retain(|cell| !sweep.excludes.iter().any(|exclude| holds(cell, exclude)));
    let mut rows = sweep.includes.clone();
    rows.sort();
    cells.extend(rows);
    let mut seen = std::collections::BTreeSet::new();
    cells.retain(|cell| seen.insert(cell.clone()));
    cells
}

/// Numbers from a seed, for made-up sweeps.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }

    /// A value, or with `n` values several distinct ones in any order.
    fn value(&mut self) -> i64 {
        16 + self.below(4) as i64
    }

    fn values(&mut self, n: usize) -> Vec<i64> {
        let mut all = vec![16, 17, 18, 19];
        self.shuffle(&mut all);
        all.truncate(n);
        all
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len()).rev().for_each(|i| items.swap(i, self.below(i + 1)));
    }

    fn condition(&mut self) -> Values {
        let n = 1 + self.below(2);
        let mut condition = Values::new();
        for _ in 0..n {
            let (key, n) = (self.below(KEYS.len()), 1 + self.below(2));
            condition.insert(key, self.values(n));
        }
        condition
    }

    /// Each key has one part in the sweep, or none, or a base value.
    fn sweep(&mut self) -> Sweep {
        let mut sweep = Sweep::default();
        let (mut zips, mut whens) = (vec![Values::new(); 2], vec![Values::new(); 2]);
        let rows = [1 + self.below(3), 1 + self.below(3)];
        for key in 0..KEYS.len() {
            let n = 1 + self.below(3);
            match self.below(9) {
                0..2 => drop(sweep.grid.insert(key, self.values(n))),
                part @ 2..4 => drop(zips[part - 2].insert(key, (0..rows[part - 2]).map(|_| self.value()).collect())),
                part @ 4..6 => drop(whens[part - 4].insert(key, self.values(n))),
                6 => drop(sweep.base.insert(key, self.value())),
                _ => {}
            }
        }
        sweep.zips = zips.into_iter().filter(|zip| !zip.is_empty()).collect();
        for axes in whens.into_iter().filter(|axes| !axes.is_empty()) {
            let condition: Values = self.condition().into_iter().filter(|(key, _)| !axes.contains_key(key)).collect();
            if !condition.is_empty() {
                sweep.whens.push((condition, axes));
            }
        }
        sweep.excludes = (0..self.below(3)).map(|_| self.condition()).collect();
        for _ in 0..self.below(3) {
            let n = 1 + self.below(4);
            sweep.includes.push((0..n).map(|_| (self.below(KEYS.len()), self.value())).collect());
        }
        // A key that both has a base value and varies would have to be absent somewhere.
        let varied = |key: &usize| sweep.includes.iter().any(|row| row.contains_key(key));
        sweep.base.retain(|key, _| !varied(key));
        sweep
    }

    /// The sweep as a file, its keys and tables in any order.
    fn file(&mut self, sweep: &Sweep) -> String {
        let mut tables = vec!["[experiment]\nname = \"x\"\n".to_owned(), "[data]\ncorpus = \"demo\"\n".to_owned()];
        for (key, value) in &sweep.base {
            let (section, leaf) = KEYS[*key].split_once('.').expect("a section");
            match tables.iter_mut().find(|table| table.starts_with(&format!("[{section}]"))) {
                Some(table) => table.push_str(&format!("{leaf} = {value}\n")),
                None => tables.push(format!("[{section}]\n{leaf} = {value}\n")),
            }
        }
        let lists =
            |values: &Values| values.iter().map(|(key, values)| (*key, format!("{values:?}"))).collect::<Vec<_>>();
        if !sweep.grid.is_empty() {
            tables.push(format!("[sweep.grid]\n{}", self.lines(lists(&sweep.grid), "\n")));
        }
        for zip in &sweep.zips {
            tables.push(format!("[[sweep.zip]]\n{}", self.lines(lists(zip), "\n")));
        }
        for (condition, axes) in &sweep.whens {
            let (condition, axes) = (self.lines(lists(condition), ", "), self.lines(lists(axes), ", "));
            tables.push(format!("[[sweep.when]]\nif = {{ {condition} }}\ngrid = {{ {axes} }}\n"));
        }
        for exclude in &sweep.excludes {
            let matches = self.lines(lists(exclude), ", ");
            tables.push(format!("[[sweep.exclude]]\nmatch = {{ {matches} }}\nbecause = \"so\"\n"));
        }
        for row in &sweep.includes {
            let row = row.iter().map(|(key, value)| (*key, value.to_string())).collect();
            tables.push(format!("[[sweep.include]]\n{}", self.lines(row, "\n")));
        }
        self.shuffle(&mut tables);
        tables.concat()
    }

    fn lines(&mut self, mut items: Vec<(usize, String)>, between: &str) -> String {
        self.shuffle(&mut items);
        let lines: Vec<String> = items.iter().map(|(key, value)| format!("\"{}\" = {value}", KEYS[*key])).collect();
        format!("{}{}", lines.join(between), if between == "\n" { "\n" } else { "" })
    }
}

/// Expands the file with the program, and checks that its tally adds up.
fn expanded(text: &str) -> Vec<Cell> {
    let draft = experiment::read(text, "x.toml", &[], &mut alone).expect("TOML");
    assert!(draft.diagnostics.is_empty(), "{text}\n{:?}", draft.diagnostics);
    let (expansion, _) = expand(&draft.experiment);
    let tally = &expansion.tally;
    let taken: usize = tally.excludes.iter().map(|(n, _)| n).sum();
    let made = tally.product + tally.when.unwrap_or(0) + tally.includes.unwrap_or(0);
    assert_eq!(
        (made - taken - tally.duplicates, tally.cells),
        (expansion.points.len(), expansion.points.len()),
        "{text}"
    );
    let cell = |point| {
        let key = |name| KEYS.iter().position(|key| *key == name).expect("one of ours");
        let value = |value: &experiment::Value| value.to_string().parse().expect("a whole number");
        draft.experiment.values(point).map(|(axis, setting)| (key(axis.key.name), value(&setting.value))).collect()
    };
    expansion.points.iter().map(cell).collect()
}

fn check_sweeps(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut draws = Draws(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let sweep = draws.sweep();
        let (first, second) = (draws.file(&sweep), draws.file(&sweep));
        let expected = brute_force(&sweep);
        assert_eq!(expanded(&first), expected, "seed {seed}\n{first}");
        assert_eq!(expanded(&second), expected, "seed {seed}, in another order\n{second}");
    }
}

#[test]
fn sweeps_expand_like_brute_force_in_any_order_of_the_file() {
    check_sweeps(0..2_000);
}

#[test]
#[ignore = "a minute: the same with more sweeps"]
fn a_hundred_thousand_sweeps_expand_like_brute_force() {
    check_sweeps(2_000..102_000);
}

const WHOLE: &str = r#"
[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3, 0.4]
"objective.nsp" = ["off", "random"]
[[sweep.zip]]
"model.preset" = ["nano", "micro"]
"optimizer.lr" = [1e-3, 5e-4]
[[sweep.when]]
if = { "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.0, 0.1] }
[[sweep.exclude]]
match = { "objective.mask_ratio" = 0.4, "model.preset" = "micro" }
because = "OOM on 8 GB"
[[sweep.include]]
"objective.mask_ratio" = 0.8
[[sweep.include]]
"objective.mask_ratio" = 0.8
[sweep.replicates]
seeds = 2
"#;

#[test]
fn the_arithmetic_says_what_each_stage_did() {
    let plan = planned(&file(WHOLE), &[]);
    insta::assert_snapshot!(plan.tally, @"grid 3 x 2 x zip 2 = 12, when +6, exclude -3 (OOM on 8 GB), include +2, duplicates -1 = 16 cells");
    assert_eq!((plan.cells.len(), plan.runs().len()), (16, 32));
    let labels: Vec<&str> = plan.cells.iter().map(|cell| cell.label.as_str()).collect();
    insta::assert_snapshot!(labels.join("\n"), @r"
    preset=nano mask_ratio=0.15 nsp=off lr=0.001
    preset=micro mask_ratio=0.15 nsp=off lr=5e-4
    preset=nano mask_ratio=0.15 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.15 nsp=random short_seq_prob=0.1 lr=0.001
    preset=micro mask_ratio=0.15 nsp=random short_seq_prob=0 lr=5e-4
    preset=micro mask_ratio=0.15 nsp=random short_seq_prob=0.1 lr=5e-4
    preset=nano mask_ratio=0.3 nsp=off lr=0.001
    preset=micro mask_ratio=0.3 nsp=off lr=5e-4
    preset=nano mask_ratio=0.3 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.3 nsp=random short_seq_prob=0.1 lr=0.001
    preset=micro mask_ratio=0.3 nsp=random short_seq_prob=0 lr=5e-4
    preset=micro mask_ratio=0.3 nsp=random short_seq_prob=0.1 lr=5e-4
    preset=nano mask_ratio=0.4 nsp=off lr=0.001
    preset=nano mask_ratio=0.4 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.4 nsp=random short_seq_prob=0.1 lr=0.001
    mask_ratio=0.8
    ");
    let plain = planned(&file("[sweep.grid]\ntrain.batch_size = [1, 2]\n"), &[]);
    assert_eq!(plain.tally.to_string(), "grid 2 = 2 cells");
    assert_eq!(planned(&file(""), &[]).tally.to_string(), "1 cell");
}

#[test]
fn an_absent_axis_has_no_value_and_the_run_has_the_file_s() {
    let text = "objective.short_seq_prob = 0.3\n".to_owned() + WHOLE;
    let plan = planned(&file(&text), &[]);
    assert!(plan.cells[0].axes.iter().all(|(key, _)| *key != "objective.short_seq_prob"));
    assert_eq!(plan.cells[0].runs[0].spec.objective.short_seq_prob, 0.3);
    assert_eq!(plan.cells[2].runs[0].spec.objective.short_seq_prob, 0.0);
    let row = plan.cells.last().expect("cells");
    assert_eq!(row.axes.len(), 1);
    assert_eq!(row.runs[0].spec.model.hidden_size, 128, "no preset");
}

#[test]
fn ranges_are_axes_of_exact_decimals() {
    let by_step = "[sweep.grid]\n\"objective.mask_ratio\" = { from = 0.1, to = 0.5, step = 0.1 }\n\"optimizer.lr\" = [1e-5, { logspace = [1e-4, 1e-2], n = 3 }]\n";
    let by_hand = "[sweep.grid]\n\"objective.mask_ratio\" = [0.1, 0.2, 0.3, 0.4, 0.5]\n\"optimizer.lr\" = [1e-5, 1e-4, 1e-3, 1e-2]\n";
    let hashes = |text: &str| planned(&file(text), &[]).runs().iter().map(|run| run.hash).collect::<Vec<_>>();
    assert_eq!(hashes(by_step), hashes(by_hand));
    assert_eq!(hashes(by_step).len(), 20);
}

/// The mistakes and oddities of a file with this sweep.
fn mistakes(sweep: &str) -> String {
    match read(&file(sweep), "x.toml", &[], &mut alone) {
        Err(problems) => problems.to_string(),
        Ok(experiment) => {
            let lines: Vec<String> =
                experiment.warnings.iter().map(|problem| problem.line(&experiment.source)).collect();
            lines.join("\n")
        }
    }
}

#[test]
fn every_part_has_its_shape() {
    insta::assert_snapshot!(mistakes(r#"
[sweep]
zip = 3
[[sweep.when]]
if = { "objective.nsp" = "of" }
grids = { "objective.nsp_negative_prob" = [0.3] }
[[sweep.when]]
if = { "objective.nsp" = "random", "optimizer.lr" = 1e-3 }
grid = { "optimizer.lr" = [1e-4, 1e-3] }
[[sweep.when]]
if = {}
grid = {}
[[sweep.exclude]]
match = { "train.seed" = 3 }
[[sweep.exclude]]
because = "why not"
[[sweep.include]]
[[sweep.include]]
"objective.mask_ration" = 0.8
"train.steps" = 3
"train.epochs" = 3
"#), @r#"
    x.toml:5:1: error: `sweep.zip` must be a list of tables, not 3 (write `[[sweep.zip]]` above each, and its keys below)
    x.toml:6:1: error: a `[[sweep.when]]` needs `if` and `grid` (write `if = { KEY = VALUE }` and `grid = { KEY = [VALUES] }`)
    x.toml:8:1: error: unknown key `grids` (did you mean `grid`?)
    x.toml:11:10: error: this `[[sweep.when]]` gives `optimizer.lr` values where it has one (a condition names keys that other parts of the sweep vary)
    x.toml:13:6: error: the `if` of this `[[sweep.when]]` is empty (name a key, or take the table out)
    x.toml:14:8: error: the `grid` of this `[[sweep.when]]` is empty (name a key, or take the table out)
    x.toml:15:1: error: a `[[sweep.exclude]]` must say why: `because` is missing (write `because = "..."`: plan and report show it)
    x.toml:16:11: error: `train.seed` cannot be swept (seeds repeat a cell, they are no axis: `[sweep.replicates]` with `seeds = 3`)
    x.toml:17:1: error: a `[[sweep.exclude]]` needs `match` (write `match = { KEY = VALUE }`)
    x.toml:19:1: error: `[[sweep.include]]` names no keys (name the values of the cell, or take it out)
    x.toml:21:1: error: unknown key `objective.mask_ration` (did you mean `objective.mask_ratio`?)
    x.toml:23:18: error: `train.steps` and `train.epochs` exclude each other (take one of them out)
    "#);
}

#[test]
fn parts_that_match_nothing_say_why() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3]
"objective.nsp" = ["off", "random"]
[[sweep.when]]
if = { "objective.nsp" = "swap" }
grid = { "objective.nsp_negative_prob" = [0.3, 0.5] }
[[sweep.exclude]]
match = { "objective.mask_ratio" = 0.5 }
because = "too much"
[[sweep.exclude]]
match = { "train.batch_size" = 64 }
because = "too large"
[[sweep.include]]
"objective.mask_ratio" = 0.15
"objective.nsp" = "off"
"#), @r"
    x.toml:8:26: error: this `[[sweep.when]]` holds in no cell, so its axes never exist (the axis has off, random)
    x.toml:11:36: error: this `[[sweep.exclude]]` matches no cell (the axis has 0.15, 0.3)
    x.toml:14:32: error: this `[[sweep.exclude]]` matches no cell (`train.batch_size` is no axis, and is 32 here)
    x.toml:16:1: warning: this `[[sweep.include]]` adds nothing: the sweep has the cell already (take it out)
    ");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
[[sweep.include]]
"objective.nsp" = "off"
"#), @"x.toml:6:1: warning: this `[[sweep.include]]` adds nothing: the sweep has the cell already (take it out)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
[[sweep.exclude]]
match = { "objective.nsp" = ["off", "random"] }
because = "nothing works"
"#), @"x.toml:7:1: error: the plan has no runs: every cell is excluded (let the exclusions match fewer cells)");
}

#[test]
fn conditional_axes_do_not_contradict_each_other() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"objective.mask_ratio" = [0.15, 0.3]
[[sweep.when]]
if = { "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.1, 0.2] }
[[sweep.when]]
if = { "objective.mask_ratio" = 0.3, "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.3, 0.4] }
"#), @"x.toml:8:1: error: two `[[sweep.when]]` give `objective.short_seq_prob` values in one cell (they contradict each other where objective.mask_ratio = 0.3, objective.nsp = random: let their conditions exclude each other)");
    insta::assert_snapshot!(mistakes(r#"
[[sweep.when]]
if = { "train.batch_size" = 8 }
grid = { "train.eval_every" = [5, 10] }
[[sweep.when]]
if = { "train.eval_every" = 10 }
grid = { "train.batch_size" = [8, 16] }
"#), @"x.toml:8:1: error: these `[[sweep.when]]` wait for each other: each asks for an axis that another gives (let one of them ask for axes of [sweep.grid] or [[sweep.zip]] alone)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"schedule.warmup_ratio" = [0.1, 0.2]
[[sweep.zip]]
"objective.nsp" = ["off", "random"]
[[sweep.when]]
if = { "objective.nsp" = "off" }
grid = { "schedule.warmup_steps" = [10, 20] }
"#), @"x.toml:8:1: error: `objective.nsp` is varied by [sweep.grid] and by a [[sweep.zip]] (take it out of one of them)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"schedule.warmup_ratio" = [0.1, 0.2]
[[sweep.when]]
if = { "objective.nsp" = "off" }
grid = { "schedule.warmup_steps" = [10, 20] }
"#), @"x.toml:6:1: error: `schedule.warmup_ratio` and `schedule.warmup_steps` exclude each other, and cells have both (let their conditions exclude each other, or take one of them out)");
}

#[test]
fn an_axis_that_no_run_reads_is_a_mistake() {
    insta::assert_snapshot!(mistakes(r#"
data.text_field = "body"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"objective.nsp_negative_prob" = [0.3, 0.5]
"data.text_field" = ["text", "body"]
"#), @r#"
    x.toml:4:19: error: `data.text_field` is swept, so this value is never used (take one of them out)
    x.toml:7:1: error: `objective.nsp_negative_prob` is varied, but no run reads it where `objective.nsp` is off (vary it only where it is read: `[[sweep.when]]` with `if = { "objective.nsp" = ["random", "swap"] }` and `grid = { "objective.nsp_negative_prob" = [...] }`)
    x.toml:8:1: error: `data.text_field` is varied, but no run reads it where `data.corpus` is demo (vary it only where it is read: `[[sweep.when]]` with `if = { "data.format" = "jsonl" }` and `grid = { "data.text_field" = [...] }`)
    "#);
    insta::assert_snapshot!(mistakes("[sweep.grid]\n\"train.batch_size\" = [8]\n"), @"x.toml:4:1: warning: the axis `train.batch_size` has one value, so it compares nothing (give it more, or write `batch_size` under [train])");
}

#[test]
fn ranges_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.mask_ratio" = { from = 0.2, to = 1.0, step = 0.2 }
"train.batch_size" = [8, { from = 8, to = 17, step = 4 }]
"train.eval_every" = { linspace = [1, 2], n = 3 }
"optimizer.lr" = { logspace = [0, 1e-2], n = 3 }
"#), @r"
    x.toml:5:26: error: `objective.mask_ratio` must be a number more than 0 and less than 1, not 1 (`objective.mask_ratio`: The share of ordinary tokens selected for prediction)
    x.toml:6:26: error: steps of 4 from 8 miss 17 (the steps nearest to it are 16 and 20)
    x.toml:7:22: error: `train.eval_every` must be a whole number, at least 1, not 1.5 (`train.eval_every`: Steps between evaluations)
    x.toml:8:31: error: a `logspace` is between numbers above 0 (`linspace` may begin at 0)
    ");
}

#[test]
fn arguments_fix_axes_of_the_grid_alone() {
    let refused =
        |set: &str| read(&file(WHOLE), "x.toml", &[set.to_owned()], &mut alone).expect_err("refused").to_string();
    insta::assert_snapshot!(refused("model.preset=nano"), @"--set model.preset=nano: error: `model.preset` is varied by a `[[sweep.zip]]`, and cannot be fixed alone (an argument can fix axes of [sweep.grid]; change the file for the others)");
    insta::assert_snapshot!(refused("objective.short_seq_prob=0.1"), @"--set objective.short_seq_prob=0.1: error: `objective.short_seq_prob` is varied by a `[[sweep.when]]`, and cannot be fixed alone (an argument can fix axes of [sweep.grid]; change the file for the others)");
}

#[test]
fn computed_keys_follow_the_cell() {
    let text = "[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"\n\"schedule.warmup_steps\" = \"round(train.steps / 16)\"\n\"optimizer.lr\" = \"0.1 + 0.2\"\n[sweep.grid]\n\"model.hidden_size\" = [32, 64]\n";
    let plan = planned(&file(text), &[]);
    let spec = |i: usize| &plan.cells[i].runs[0].spec;
    assert_eq!((spec(0).model.intermediate_size, spec(1).model.intermediate_size), (128, 256));
    assert_eq!(spec(0).schedule.warmup, crate::plan::Warmup::Steps(63));
    assert_eq!(spec(0).optimizer.lr.to_bits(), 0.3f64.to_bits());
    assert_eq!(plan.cells[0].label, "hidden_size=32", "a computed key is no axis");
}

#[test]
fn formulas_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(mistakes(r#"
train.batch_size = 8
[sweep.grid]
"model.hidden_size" = [64, 100]
[[sweep.exclude]]
match = { "model.num_attention_heads" = 2 }
because = "too few"
[sweep.derive]
"model.num_attention_heads" = "model.hidden_size / 64"
"model.num_hidden_layers" = "model.hidden_size / (model.hidden_size - 64)"
"train.batch_size" = "32"
"train.steps" = "train.eval_every * 10"
"train.eval_every" = "train.steps / 10"
"train.seq_len" = "4 * model.hidden_sise"
"train.checkpoint_every" = "sine(2)"
"model.hidden_act" = "1"
"train.eval_instances" = 3
"#), @r#"
    x.toml:4:20: error: `train.batch_size` is computed, so it can have no other value (take one of them out)
    x.toml:8:41: error: a condition asks for `model.num_attention_heads`, which is computed (ask for the keys that it is computed from)
    x.toml:11:31: error: `model.num_attention_heads` must be a whole number, at least 1 and at most 1024, and is computed as 1.5625 (in the cell where model.hidden_size = 100; round(), floor() and ceil() make whole numbers)
    x.toml:12:29: error: `model.num_hidden_layers` must be a whole number, at least 1 and at most 1024, and is computed as 2.77778 (in the cell where model.hidden_size = 100; round(), floor() and ceil() make whole numbers)
    x.toml:12:50: error: `model.num_hidden_layers` cannot be computed: this divides by zero (in the cell where model.hidden_size = 64)
    x.toml:14:18: error: computed keys need each other, so none can be computed (compute one of them from other keys)
    x.toml:16:24: error: `train.seq_len` is computed by no formula: unknown key `model.hidden_sise` (did you mean `model.hidden_size`?)
    x.toml:17:29: error: `train.checkpoint_every` is computed by no formula: unknown function `sine` (the functions are min, max, floor, ceil, round, abs, sqrt, log2)
    x.toml:18:1: error: `model.hidden_act` cannot be computed: `model.hidden_act` is not a number (`model.hidden_act`: The feed-forward activation)
    x.toml:19:26: error: a computed key takes a formula in quotes, not 3 (write for example `"train.eval_instances" = "2 * train.eval_instances"`)
    "#);
}

/// Every typo of every word of the algebra's tables is refused by name.
#[test]
fn the_words_of_the_algebra_are_checked() {
    for (word, typo) in [("if", "iff"), ("grid", "gird"), ("match", "mach"), ("because", "becuase"), ("zip", "zipp")] {
        let problems = mistakes(&WHOLE.replacen(&format!("{word} = "), &format!("{typo} = "), 1).replacen(
            &format!("sweep.{word}]]"),
            &format!("sweep.{typo}]]"),
            1,
        ));
        assert!(
            problems.contains(&format!("did you mean `{word}`?"))
                || problems.contains(&format!("did you mean `[[sweep.{word}]]`?")),
            "{typo}: {problems}"
        );
    }
}

/// Nothing is asserted about its time and memory: run it under a tool that measures them.
#[test]
#[ignore = "large"]
fn a_hundred_thousand_cells_are_planned() {
    let axis = |key: &str, from: usize, n: usize| {
        format!("\"{key}\" = {{ from = {from}, to = {}, step = 1 }}\n", from + n - 1)
    };
    let keys = [("tokenizer.vocab_size", 100), ("train.eval_every", 50), ("train.batch_size", 20)];
    let axes: String = keys.iter().map(|(key, n)| axis(key, 100, *n)).collect();
    let experiment = super::experiment(&file(&format!("[sweep.grid]\n{axes}")), &[]);
    let plan = crate::plan::plan(&experiment, super::facts).expect("a plan");
    assert_eq!((plan.cells.len(), plan.runs().len()), (100_000, 100_000));
}
