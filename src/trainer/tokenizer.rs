//! The tokenizer: WordPiece trained with the `tokenizers` crate, byte-identical in every process.
