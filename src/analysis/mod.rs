//! Stored points to numbers: series, aggregation over replicates, statistics. Pure.
