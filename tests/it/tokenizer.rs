//! The same corpus gives the same tokenizer, byte for byte, in every process.

use std::fs;
#[cfg(feature = "mecab")]
use std::path::Path;

#[cfg(feature = "mecab")]
use lindera::dictionary::{DictionaryBuilder, Metadata};

use crate::support::Workbench;

/// Name and bytes of each file in the cache.
fn cached(line: &str) -> Vec<(String, Vec<u8>)> {
    let workbench = Workbench::tiny("");
    workbench.stdout(line);
    let mut files = Vec::new();
    for folder in ["tokenizers", "tokens"] {
        for entry in fs::read_dir(workbench.path("runs/cache").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn every_process_writes_the_same_tokenizer_and_token_files() {
    let first = cached("run tiny.toml --set train.steps=1 --threads 1");
    assert_eq!(first.iter().filter(|(name, _)| name.ends_with(".json")).count(), 1);
    assert_eq!(first.len(), 4, "a tokenizer, its checksum and the tokens of both sides");
    for threads in [1, 2] {
        let again = cached(&format!("run tiny.toml --set train.steps=1 --threads {threads}"));
        assert!(again == first, "other names or bytes than before");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&first.iter().find(|(n, _)| n.ends_with(".json")).unwrap().1).unwrap();
    let specials: Vec<&str> =
        json["added_tokens"].as_array().unwrap().iter().map(|t| t["content"].as_str().unwrap()).collect();
    assert_eq!(specials, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
    assert_eq!(json["model"]["vocab"].as_object().unwrap().len(), 900);
}

/// A dictionary of these words, in the format that lindera reads.
#[cfg(feature = "mecab")]
fn dictionary(folder: &Path, words: &[&str]) {
    let source = tempfile::tempdir().unwrap();
    let lexicon: String = words.iter().map(|word| format!("{word},0,0,100,N\n")).collect();
    let characters = "DEFAULT 0 1 0\nSPACE 0 1 0\nHANGUL 0 0 2\n0x0020 SPACE\n0xAC00..0xD7A3 HANGUL\n";
    let unknown: String = ["DEFAULT", "SPACE", "HANGUL"].map(|kind| format!("{kind},0,0,1000,U\n")).concat();
    let files =
        [("words.csv", &*lexicon), ("char.def", characters), ("unk.def", &unknown), ("matrix.def", "1 1\n0 0 0\n")];
    for (name, text) in files {
        fs::write(source.path().join(name), text).unwrap();
    }
    let metadata = Metadata { flexible_csv: true, ..Metadata::default() };
    DictionaryBuilder::new(metadata).build_dictionary(source.path(), folder).unwrap();
}

/// A dictionary is part of what a run is: another one makes another run, a run is reproduced with its own, and one that is not
/// there or is another by now is refused by name.
#[test]
#[cfg(feature = "mecab")]
fn a_run_is_tokenized_with_its_dictionary() {
    let workbench = Workbench::tiny("");
    dictionary(&workbench.path("first"), &["는", "가", "에서", "을", "를"]);
    dictionary(&workbench.path("second"), &["는"]);
    let run = |dictionary: &str| {
        workbench.run(&format!("run tiny.toml --set train.steps=2 --set tokenizer.dictionary={dictionary}"))
    };
    for dictionary in ["first", "second"] {
        let output = run(dictionary);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
    }
    assert_eq!(workbench.list().len(), 2);
    // The dictionary is what it holds, not what it is called.
    fs::rename(workbench.path("second"), workbench.path("third")).unwrap();
    assert_eq!(run("third").code, Some(0));
    assert_eq!(workbench.list().len(), 2);
    let id = workbench.json("show latest --json", "ablate-run-1")["id"].as_str().unwrap().to_owned();
    let reproduced = workbench.run(&format!("reproduce {id}"));
    assert_eq!(reproduced.code, Some(1));
    let gone = "`tokenizer.dictionary` second: there is no such folder (looked at [FOLDER]/second, data/second)";
    assert!(workbench.scrub(&reproduced.stderr).contains(gone), "{}", reproduced.stderr);
    fs::rename(workbench.path("third"), workbench.path("second")).unwrap();
    assert!(workbench.stdout(&format!("reproduce {id}")).starts_with("identical"));
    let card = |_| fs::read_to_string(workbench.path("model/README.md")).unwrap();
    assert!(card(workbench.stdout(&format!("export {id} --format hf --out model"))).contains("`second`"));

    let refused = |dictionary: &str| {
        let output = run(dictionary);
        assert_eq!(output.code, Some(2));
        output.stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
    };
    assert!(refused("nowhere").contains("`tokenizer.dictionary` nowhere: there is no such folder (looked at "));
    assert!(
        refused("ko-dic")
            .contains("this program was built without it: build it with `cargo build --release --features ko-dic`")
    );
}

/// A program without the analysis says so when the experiment is planned, and how to build one with it.
#[test]
#[cfg(not(feature = "mecab"))]
fn a_dictionary_is_refused_by_a_program_that_cannot_read_it() {
    let output = Workbench::tiny("").run("plan tiny.toml --set tokenizer.dictionary=mine");
    assert_eq!(output.code, Some(2));
    let said = output.stderr.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert!(said.contains("build it with `cargo build --release --features mecab`"), "{said}");
}

/// A checkpoint's ids mean what its tokenizer says: with another one in its place the model is not used.
#[test]
fn a_checkpoint_is_not_used_with_another_tokenizer() {
    let workbench = Workbench::tiny("");
    let tokenizers = || {
        let entries = fs::read_dir(workbench.path("runs/cache/tokenizers")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect::<Vec<_>>()
    };
    workbench.stdout("run tiny.toml --set train.steps=1 --set tokenizer.min_frequency=2");
    let before = tokenizers();
    let id = workbench.only_run()["id"].as_str().unwrap().to_owned();
    workbench
        .stdout("run tiny.toml --set train.steps=1 --set tokenizer.min_frequency=3 --set tokenizer.vocab_size=880");
    let other = tokenizers().into_iter().find(|path| !before.contains(path)).unwrap();
    let ask = format!("fill-mask {id} [MASK]");
    let answer = workbench.stdout(&ask);
    fs::copy(other, &before[0]).unwrap();
    assert_eq!(workbench.stdout(&ask), answer, "it has its own beside its weights");
    // As of an older program: no tokenizer beside the run, no checksum in the cache.
    fs::remove_file(workbench.path("runs").join(&id).join("artifacts/tokenizer.json")).unwrap();
    fs::remove_file(before[0].with_extension("sum")).unwrap();
    let output = workbench.run(&ask);
    assert_eq!(output.code, Some(1));
    let said = format!("run {id} was trained with the tokenizer ");
    assert!(
        output.stderr.contains(&said) && output.stderr.contains("the ids would not mean the same"),
        "{}",
        output.stderr
    );
}
