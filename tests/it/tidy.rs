//! The rules of the source tree: who may import whom, which crate lives where, and what every file has.
//!
//! The table is that of the design. Only what is compiled into the program is held to it: a module's tests may use what
//! they like.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What a module may import, itself always included. Of the ground floor (`clock` to `syntax`) each takes what its purity
/// allows: nothing below the runner asks for the time.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("types", &[]),
    ("clock", &["types"]),
    ("csv", &[]),
    ("durable", &[]),
    ("suggest", &[]),
    ("syntax", &[]),
    ("experiment", &["types", "suggest", "syntax"]),
    ("plan", &["types", "suggest", "experiment"]),
    ("trainer", &["types", "durable", "plan"]),
    // Of the store, the leases count seconds; nothing in it asks for the time of day.
    ("store", &["types", "clock", "durable", "suggest", "syntax", "plan"]),
    ("exchange", &["types", "csv", "durable", "store"]),
    ("runner", &["types", "clock", "durable", "suggest", "plan", "trainer", "store"]),
    ("analysis", &["types", "store"]),
    ("plot", &["types", "analysis"]),
    ("report", &["types", "csv", "durable", "experiment", "plan", "store", "analysis", "plot"]),
    ("server", &["types", "clock", "store", "exchange", "analysis", "report"]),
    (
        "cli",
        &[
            "types",
            "clock",
            "durable",
            "suggest",
            "syntax",
            "experiment",
            "plan",
            "trainer",
            "store",
            "exchange",
            "runner",
            "analysis",
            "plot",
            "report",
            "server",
        ],
    ),
];

/// Crates and the places that alone may name them: a module, or a folder or file in one.
const LIVES_ONLY_IN: &[(&str, &[&str])] = &[
    ("toml", &["experiment"]),
    // Specifications, corpora, weights and digests are all named by one hash, whose type is in `types`.
    ("blake3", &["types"]),
    ("burn", &["trainer"]),
    ("tokenizers", &["trainer"]),
    ("lindera", &["trainer/tokenizer"]),
    ("safetensors", &["trainer"]),
    ("memmap2", &["trainer"]),
    ("gemm", &["trainer/kernels"]),
    ("gemm_common", &["trainer/kernels"]),
    ("gemm_f32", &["trainer/kernels"]),
    // The index, and the databases of other trackers.
    ("rusqlite", &["store", "exchange/mlflow"]),
    ("getrandom", &["store"]),
    ("strsim", &["suggest"]),
    // A corpus may be a folder, as the store is.
    ("walkdir", &["store", "trainer/corpus"]),
    ("signal_hook", &["runner"]),
    ("statrs", &["analysis"]),
    ("plotters", &["plot"]),
    ("png", &["plot"]),
    ("ab_glyph", &["plot"]),
    ("dejavu", &["plot"]),
    ("maud", &["report", "server/page"]),
    ("flate2", &["plot", "exchange/archive"]),
    ("parquet", &["exchange/table"]),
    ("pdf_writer", &["plot"]),
    ("subsetter", &["plot"]),
    ("hyper", &["server"]),
    ("hyper_util", &["server"]),
    ("tokio", &["server"]),
    ("rustix", &["server", "clock", "store/file_system", "store/lease", "exchange/folder"]),
    ("saphyr_parser", &["exchange/yaml"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("miette", &["cli"]),
    ("terminal_size", &["cli"]),
];

/// Lines that a file may have without its tests.
const LONGEST: usize = 560;

/// A source file, its tests and its comments taken out.
struct SourceFile {
    /// Below `src`, with `/` between its parts.
    path: String,
    text: String,
    /// The lines of code, without comments and without the module `tests`.
    code: Vec<(usize, String)>,
}

fn sources() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths: Vec<PathBuf> = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    paths.sort();
    assert!(paths.len() > 80, "the sources were not found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        SourceFile { code: code_of(&text), path, text }
    };
    paths.into_iter().map(read).collect()
}

/// Everything before the file's test module, without comments and with the text of string literals left out.
fn code_of(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod tests"));
    let code = lines[..tests.unwrap_or(lines.len())].iter().enumerate();
    code.map(|(at, line)| (at + 1, without_strings(line))).filter(|(_, line)| !line.trim().is_empty()).collect()
}

/// A line without its comment and the insides of its string literals.
fn without_strings(line: &str) -> String {
    let mut rest = line.chars().peekable();
    let (mut kept, mut is_inside) = (String::new(), false);
    while let Some(c) = rest.next() {
        match c {
            '\\' if is_inside => drop(rest.next()),
            '"' if !kept.ends_with('\'') || is_inside => is_inside = !is_inside,
            '/' if !is_inside && rest.peek() == Some(&'/') => break,
            _ if is_inside => {}
            _ => kept.push(c),
        }
    }
    kept
}

impl SourceFile {
    /// The module that the file belongs to; none for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<&str> {
        let first = self.path.split('/').next()?.trim_end_matches(".rs");
        MAY_IMPORT.iter().map(|(module, _)| *module).find(|module| *module == first)
    }

    /// Helpers of tests are no part of the program.
    fn is_for_tests(&self) -> bool {
        let names = ["tests", "testing.rs", "tests.rs", "fixture.rs", "fuzzing.rs", "simulation.rs", "planted_null.rs"];
        self.path.split('/').any(|part| names.contains(&part))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places
            .iter()
            .any(|place| self.path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs"))
    }
}

/// What follows `crate::` in a line: one name, or several in braces.
fn imported(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        let group = rest.strip_prefix('{').map_or(rest, |group| group);
        let parts = if group.len() < rest.len() { group.split(',').collect() } else { vec![rest] };
        names.extend(parts.iter().filter_map(|part| {
            let end = part.trim().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(part.trim().len());
            Some(&part.trim()[..end]).filter(|name| !name.is_empty())
        }));
    }
    names
}

/// Whether a line names the crate: `name::` at the beginning of a path, or `use name`.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let is_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.');
        is_word && (after.starts_with("::") || (before.trim_end().ends_with("use") && after.starts_with(';')))
    })
}

/// Fails with all complaints, one a line.
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn modules_import_only_what_lies_before_them() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !file.is_for_tests()) {
        let Some(module) = file.module() else { continue };
        let allowed = MAY_IMPORT.iter().find(|(name, _)| *name == module).unwrap().1;
        for (number, line) in &file.code {
            if line.ends_with("crate::{") {
                complaints
                    .push(format!("src/{}:{number}: modules in braces over several lines escape this test", file.path));
            }
            for name in imported(line).into_iter().filter(|name| MAY_IMPORT.iter().any(|(known, _)| known == name)) {
                if name != module && !allowed.contains(&name) {
                    complaints.push(format!("src/{}:{number}: `{module}` may not import `{name}`", file.path));
                }
            }
        }
    }
    none(complaints);
}

/// The floors of the trainer, the lowest first: a room imports from lower floors only, so stages do not know one another, and
/// the kernels know no model.
const TRAINER_FLOORS: [&[&str]; 8] = [
    &["sequences", "schedule", "recorder", "rng"],
    &["tokenizer"],
    &["corpus", "kernels"],
    &["model", "device"],
    &["optimizer", "hugging_face"],
    &["checkpoint"],
    &["step_loop"],
    &["pretraining", "fine_tuning"],
];

#[test]
fn rooms_of_the_trainer_import_from_lower_floors_only() {
    let floor_of = |room: &str| TRAINER_FLOORS.iter().position(|floor| floor.contains(&room));
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.is_in(&["trainer"]) && !file.is_for_tests()) {
        let Some(room) = file.path.split('/').nth(1).map(|name| name.trim_end_matches(".rs")) else { continue };
        if room == "mod" {
            continue;
        }
        let Some(floor) = floor_of(room) else {
            complaints.push(format!("src/{}: the room `{room}` has no floor", file.path));
            continue;
        };
        // Below `trainer/ROOM/` the trainer is further up than `super`.
        let is_beside = file.path.split('/').count() == 2 || file.path.split('/').nth(2) == Some("mod.rs");
        for (number, line) in &file.code {
            let far = line.match_indices("crate::trainer::").map(|(at, path)| &line[at + path.len()..]);
            let near =
                line.match_indices("use super::").filter(|_| is_beside).map(|(at, path)| &line[at + path.len()..]);
            for rest in far.chain(near) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let name = &rest[..end];
                if name != room && floor_of(name).is_some_and(|other| other >= floor) {
                    complaints.push(format!("src/{}:{number}: `{room}` may not import `{name}`", file.path));
                }
            }
        }
    }
    none(complaints);
}

/// The trainer and the store see the specification of a run, not how it was planned; the analysis reads the store.
#[test]
fn the_trainer_and_the_store_take_no_more_than_the_specification() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.is_in(&["trainer", "store"]) && !file.is_for_tests()) {
        for (number, line) in &file.code {
            for planning in ["plan::plan", "plan::Plan", "plan::expand", "plan::Cell", "plan::read", "plan::estimate"] {
                if line.contains(planning) {
                    complaints.push(format!("src/{}:{number}: {planning}", file.path));
                }
            }
        }
    }
    none(complaints);
}

#[test]
fn crates_live_in_the_module_that_is_about_them() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| !file.is_for_tests()) {
        for (number, line) in &file.code {
            for (name, places) in LIVES_ONLY_IN.iter().filter(|(name, _)| names_crate(line, name)) {
                if !file.is_in(places) {
                    complaints.push(format!(
                        "src/{}:{number}: `{name}` lives only in {}",
                        file.path,
                        places.join(" and ")
                    ));
                }
            }
        }
    }
    none(complaints);
}

/// A rule about a crate that nobody uses any more is noise.
#[test]
fn the_rules_speak_of_crates_that_are_used() {
    let sources = sources();
    let used: BTreeSet<&str> = LIVES_ONLY_IN
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| sources.iter().any(|file| file.code.iter().any(|(_, line)| names_crate(line, name))))
        .collect();
    let unused: Vec<String> = LIVES_ONLY_IN
        .iter()
        .filter(|(name, _)| !used.contains(name))
        .map(|(name, _)| format!("`{name}` is used nowhere"))
        .collect();
    none(unused);
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_too_long() {
    let mut complaints = Vec::new();
    for file in sources() {
        if !file.text.starts_with("//! ") {
            complaints.push(format!("src/{}: does not open with what it is for", file.path));
        }
        let lines = file.text.lines().count();
        let without_tests = file.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().lines().count();
        if without_tests > LONGEST {
            complaints.push(format!(
                "src/{}: {without_tests} of {lines} lines without its tests, more than {LONGEST}",
                file.path
            ));
        }
    }
    none(complaints);
}

#[test]
fn one_place_prints_and_nothing_is_left_undone() {
    let mut complaints = Vec::new();
    for file in sources() {
        for (number, line) in &file.code {
            let prints = ["println!", "print!", "eprintln!", "eprint!", "dbg!"];
            let may_print = file.path == "cli/printer.rs" || file.is_for_tests();
            if prints.iter().any(|name| names_macro(line, name)) && !may_print {
                complaints.push(format!("src/{}:{number}: prints; cli::printer does that", file.path));
            }
        }
        for (at, line) in file.text.lines().enumerate() {
            if ["todo!", "unimplemented!", "TODO", "FIXME", "XXX"].iter().any(|mark| line.contains(mark)) {
                complaints.push(format!("src/{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    none(complaints);
}

fn names_macro(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn the_reader_of_sources_sees_what_it_should() {
    assert_eq!(imported("use crate::store::{Store, RunDir};"), ["store"]);
    assert_eq!(imported("use crate::{plan, types::Step};"), ["plan", "types"]);
    assert_eq!(imported("fn f(x: crate::plan::Plan) -> crate::types::Step"), ["plan", "types"]);
    assert!(names_crate("use png::Encoder;", "png") && names_crate("    let x = png::Encoder::new();", "png"));
    assert!(!names_crate("super::png::draw()", "png") && !names_crate("render_png::f()", "png"));
    assert_eq!(without_strings(r#"let x = "crate::store"; // crate::cli"#).trim(), "let x = ;");
    assert_eq!(without_strings(r#"let x = ("a\"b", 'c', "//");"#), "let x = (, 'c', );");
    assert_eq!(code_of("use a;\n\n// b\n#[cfg(test)]\nmod tests {\n    use c;\n}\n"), [(1, "use a;".to_owned())]);
}
