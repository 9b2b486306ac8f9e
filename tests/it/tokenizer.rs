//! The same corpus gives the same tokenizer, byte for byte, in every process.

use std::fs;

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
    assert_eq!(first.len(), 3, "a tokenizer and the tokens of both sides");
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
