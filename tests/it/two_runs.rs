//! Two programs at one experiment: each specification is executed once.

use crate::support::{Workbench, finish};

#[test]
fn two_runs_of_one_file_share_the_work() {
    let workbench = Workbench::tiny("[sweep.replicates]\nseeds = 4\n");
    let both =
        [workbench.start("run tiny.toml --threads 1 --tables"), workbench.start("run tiny.toml --threads 1 --tables")];
    for output in both.map(finish) {
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(output.stdout.contains("(n=4)"), "{}", output.stdout);
    }
    let mut hashes: Vec<String> = workbench.list().iter().map(|run| run["spec_hash"].to_string()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!((hashes.len(), workbench.run_folders().len()), (4, 4));
    assert!(workbench.list().iter().all(|run| run["state"] == "finished"));
}

/// They prepare the same cache at the same moment, and neither sees half of the other's files.
#[test]
fn two_experiments_of_one_corpus_share_the_cache() {
    let workbench = Workbench::tiny("");
    let lines = ["run tiny.toml --set train.seed=1 --threads 1", "run tiny.toml --set train.seed=2 --threads 1"];
    for output in lines.map(|line| workbench.start(line)).map(finish) {
        assert_eq!(output.code, Some(0), "{}", output.stderr);
    }
    assert_eq!(std::fs::read_dir(workbench.path("runs/cache/tokenizers")).unwrap().count(), 2, "one, and its checksum");
    assert_eq!(workbench.run_folders().len(), 2);
}
