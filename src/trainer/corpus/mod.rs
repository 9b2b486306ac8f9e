//! The corpus: documents of sentences, from files or from the built-in generator, to memory-mapped token files.
