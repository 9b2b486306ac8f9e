//! The versions of everything that the store writes, in one table: what a version is of, what it changed, who reads it.
//!
//! Readers accept every version up to the newest, for ever; writers write the newest. The index is the exception: it is
//! derived, so one of any other version is made anew.

/// A shape of a file that the store writes or once wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The file in a run's folder, or in the store's.
    pub file: &'static str,
    pub version: u32,
    /// What is different from the version before.
    pub change: &'static str,
    /// The type that reads it.
    pub reader: &'static str,
}

/// All versions, the oldest of each file first.
pub const FORMATS: [Format; 13] = [
    Format {
        file: "events.log",
        version: 1,
        change: "a line of JSON an event, each with a CRC-32",
        reader: "store::EventReader, which holds the digest chain of steps and evaluations against them",
    },
    Format {
        file: "events.log",
        version: LOG,
        change: "lines are linked to each other, and the header to the run and to the files beside the log; points of guests",
        reader: "store::EventReader",
    },
    Format {
        file: "params.json",
        version: PARAMS,
        change: "the parameters of a run that has no specification",
        reader: "store::RunDir::read_subject",
    },
    Format {
        file: "labels.json",
        version: LABELS,
        change: "tags, name, note, groups and trash of a run",
        reader: "store::RunDir::labels",
    },
    Format { file: "index.sqlite", version: 1, change: "runs, metrics, settings", reader: "nobody: made anew" },
    Format {
        file: "index.sqlite",
        version: 2,
        change: "guests, labels, lineage, several experiments a run, the place to which a log was read",
        reader: "nobody: made anew",
    },
    Format {
        file: "index.sqlite",
        version: 3,
        change: "settings as numbers, provenance, tags, first values, time worked, bytes on the disk",
        reader: "nobody: made anew",
    },
    Format {
        file: "index.sqlite",
        version: 4,
        change: "times of last values, and the data sets that a guest read",
        reader: "nobody: made anew",
    },
    Format { file: "index.sqlite", version: INDEX, change: "when all folders were looked at", reader: "store::Index" },
    Format {
        file: "experiments.json",
        version: EXPERIMENTS,
        change: "ids, names, tags and trash of experiments, as clients know them",
        reader: "store::Store::experiment_book",
    },
    Format {
        file: ".sweeps/ID/sweep.json",
        version: SWEEP,
        change: "what a sweep executes, who, and by which command",
        reader: "store::Store::sweeps",
    },
    Format {
        file: "views.json",
        version: VIEWS,
        change: "views of runs that people saved",
        reader: "store::Store::view_book",
    },
    Format {
        file: "cache/digests",
        version: DIGEST,
        change: "what a long log says but for its points, and its points in chunks",
        reader: "store::SeriesBook; of any other version made anew",
    },
];

/// The newest version of each file.
pub const LOG: u32 = 2;
pub const PARAMS: u32 = 1;
pub const LABELS: u32 = 1;
pub const INDEX: u32 = 5;
pub const EXPERIMENTS: u32 = 1;
pub const SWEEP: u32 = 1;
pub const VIEWS: u32 = 1;
pub const DIGEST: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_with_what_is_written() {
        for (file, newest) in [
            ("events.log", LOG),
            ("params.json", PARAMS),
            ("labels.json", LABELS),
            ("index.sqlite", INDEX),
            ("experiments.json", EXPERIMENTS),
            (".sweeps/ID/sweep.json", SWEEP),
            ("views.json", VIEWS),
            ("cache/digests", DIGEST),
        ] {
            let versions: Vec<u32> = FORMATS.iter().filter(|format| format.file == file).map(|f| f.version).collect();
            assert_eq!(versions, (1..=newest).collect::<Vec<_>>(), "{file}");
        }
    }
}
