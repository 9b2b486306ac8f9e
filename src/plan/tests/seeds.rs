//! The recipes of the five known systems, as files.

use super::{experiment, planned};
use crate::plan::parameter_count;

const SEEDS: [(&str, &str); 5] = [
    ("aiffel", include_str!("../../../experiments/seeds/aiffel.toml")),
    ("long8v", include_str!("../../../experiments/seeds/long8v.toml")),
    ("chuck2win", include_str!("../../../experiments/seeds/chuck2win.toml")),
    ("paul-hyun", include_str!("../../../experiments/seeds/paul-hyun.toml")),
    ("boostcamp", include_str!("../../../experiments/seeds/boostcamp.toml")),
];

fn totals(text: &str, sets: &[&str]) -> Vec<u64> {
    planned(text, sets).cells.iter().map(|cell| parameter_count(&cell.runs[0].spec).total()).collect()
}

/// Counts by hand: V D + P D + 2 D, layers, heads. That of long8v without NSP is the 7.0M of its README.
#[test]
fn the_known_systems_have_their_sizes() {
    let counts = SEEDS.map(|(_, text)| totals(text, &[]));
    let expected: [&[u64]; 5] =
        [&[1_052_256, 4_551_936], &[7_088_178; 4], &[2_268_354], &[6_920_960; 3], &[101_720_098]];
    for ((name, _), (found, expected)) in SEEDS.iter().zip(counts.iter().zip(expected)) {
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(totals(SEEDS[1].1, &["objective.nsp=off"])[0], 7_022_386 - 2 * 256 - 2);
}

#[test]
fn the_files_are_without_oddities_and_ask_something() {
    for (name, text) in SEEDS {
        let experiment = experiment(text, &[]);
        assert!(experiment.warnings.is_empty() && experiment.question.ends_with('?'), "{name}");
        assert_eq!(experiment.name, format!("seed-{name}"));
    }
}

/// Every mistake of an original that a file offers by `--set` is accepted, and makes another run of it.
#[test]
fn mistakes_are_switches() {
    let mut offered = 0;
    for (name, text) in SEEDS {
        let plain = planned(text, &[]).runs()[0].hash;
        for line in text.lines().filter(|line| line.starts_with("#   --set ")) {
            let words: Vec<&str> = line.trim_start_matches('#').split_whitespace().collect();
            let sets: Vec<&str> = words.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1]).collect();
            assert_ne!(planned(text, &sets).runs()[0].hash, plain, "{name}: {line}");
            offered += 1;
        }
    }
    assert!(offered >= 5, "{offered}");
}
