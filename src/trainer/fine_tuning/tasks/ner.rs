//! `ner`: named entities, a tag for each character of a text. The model tags tokens.

use std::ops::Range;
use std::path::Path;

use burn::tensor::Tensor;
use rayon::prelude::*;

use super::{Asked, Definition, Predicted, best, mean, values};
use crate::trainer::fine_tuning::batch::{full_words, row_tags};
use crate::trainer::fine_tuning::examples::{Answer, Encoder, Example, Tags};
use crate::trainer::fine_tuning::labelled::floors::{Floor, of_tagged};
use crate::trainer::fine_tuning::labelled::metrics::{entities_by_kind, tagging};
use crate::trainer::fine_tuning::labelled::tagged::{check_tagged, labels_of_tagged};
use crate::trainer::fine_tuning::labelled::{
    Columns, TaggedText, TaskError, TextExample, read_tagged, tags_of_characters, tags_of_tokens,
};
use crate::trainer::model::int_tensor;
use crate::trainer::tokenizer::SpecialIds;
use crate::types::answers::Detail;
use crate::types::metrics::{self, Judged};

/// The task.
pub enum Ner {}

impl Definition for Ner {
    type Text = TaggedText;

    fn read(path: &Path, bytes: &[u8], _columns: &Columns) -> Result<(Vec<TaggedText>, usize), TaskError> {
        read_tagged(path, bytes).map(|texts| (texts, 0))
    }

    fn labels(path: &Path, texts: &[TaggedText]) -> Result<Vec<String>, TaskError> {
        labels_of_tagged(path, texts)
    }

    fn check(path: &Path, texts: &[TaggedText], labels: &[String]) -> Result<(), TaskError> {
        check_tagged(path, texts, labels)
    }

    fn content(text: &TaggedText) -> String {
        text.characters.iter().collect()
    }

    fn unlabelled(text: &TextExample, labels: &[String]) -> TaggedText {
        let characters: Vec<char> = text.text.chars().collect();
        TaggedText { tags: vec![labels[0].clone(); characters.len()], characters, line: text.line }
    }

    fn encode(encoder: &mut Encoder, example: &TaggedText) -> (Example, bool) {
        let text: String = example.characters.iter().collect();
        let mut tokens = encoder.encode_with_offsets(&text);
        let is_cut = tokens.len() > encoder.seq_len - 2;
        tokens.truncate(encoder.seq_len - 2);
        let SpecialIds { cls, sep, .. } = encoder.tokenizer.special_ids();
        let ids: Vec<u32> = [cls].into_iter().chain(tokens.iter().map(|token| token.0)).chain([sep]).collect();
        let of_characters: Vec<usize> = example.tags.iter().map(|tag| encoder.label(tag)).collect();
        let ranges: Vec<Range<usize>> = tokens.into_iter().map(|token| token.1).collect();
        let of_tokens = tags_of_tokens(&ranges, &of_characters);
        let tags = Tags { ranges, of_tokens, of_characters, text: example.characters.clone() };
        (Example { segments: vec![0; ids.len()], ids, answer: Answer::Tags(tags) }, is_cut)
    }

    fn floors(_train: &[TaggedText], held_out: &[TaggedText], labels: &[String]) -> Vec<Floor> {
        of_tagged(held_out, labels)
    }

    fn loss(asked: &Asked) -> Tensor<1> {
        let Asked { model, spec, batch, training, device } = asked;
        let logits = model.tag_logits(&batch.tokens, &batch.words, spec, *training);
        match &model.crf {
            Some(crf) => crf.loss(logits, &row_tags(batch), &full_words(batch)) / batch.answers.len().max(1) as f64,
            None => {
                let rows: Vec<i32> = batch.words.iter().flat_map(|rows| rows.clone()).map(|row| row as i32).collect();
                let logits = logits.select(0, int_tensor(&rows, device));
                mean(asked.losses(logits, &batch.answers), batch.answers.len())
            }
        }
    }

    fn predict(asked: &Asked, examples: &[Example]) -> Vec<Predicted> {
        let Asked { model, spec, batch, .. } = asked;
        let logits = model.tag_logits(&batch.tokens, &batch.words, spec, None);
        let labels = logits.dims()[1];
        let values = values(logits);
        let of_rows: Vec<u32> = match &model.crf {
            Some(crf) => crf.decode(&values, &full_words(batch)),
            None => values.par_chunks(labels).map(|row| best(row) as u32).collect(),
        };
        let of_example = |(example, rows): (&Example, &Range<usize>)| {
            let of_tokens: Vec<usize> = of_rows[rows.clone()].iter().map(|&tag| tag as usize).collect();
            let of_characters = match tags_of(example) {
                Some(tags) => tags_of_characters(&tags.text, &tags.ranges, &of_tokens, &asked.task().labels),
                None => Vec::new(),
            };
            Predicted::Tags { of_tokens, of_characters }
        };
        examples.iter().zip(&batch.words).map(of_example).collect()
    }

    fn scores(examples: &[Example], predicted: &[Predicted], labels: &[String]) -> Vec<(&'static Judged, f64)> {
        let (gold, found) = tags_of_all(examples, predicted);
        let scores = tagging(&gold, &found, labels);
        vec![
            (&metrics::ENTITY_F1, scores.entity_f1),
            (&metrics::ENTITY_MACRO_F1, scores.entity_macro_f1),
            (&metrics::CHAR_MACRO_F1, scores.char_macro_f1),
            (&metrics::CHAR_MACRO_F1_WITHOUT_O, scores.char_macro_f1_without_o),
            (&metrics::CHAR_ACCURACY, scores.char_accuracy),
        ]
    }

    fn detail(examples: &[Example], predicted: &[Predicted], labels: &[String]) -> Detail {
        let (gold, found) = tags_of_all(examples, predicted);
        Detail::Entities(entities_by_kind(&gold, &found, labels))
    }
}

/// The true tags of each text's characters, and the answers.
fn tags_of_all<'a>(examples: &'a [Example], predicted: &'a [Predicted]) -> (Vec<&'a [usize]>, Vec<&'a [usize]>) {
    let gold = examples.iter().filter_map(tags_of).map(|tags| tags.of_characters.as_slice());
    (gold.collect(), predicted.iter().map(predicted_tags).collect())
}

fn tags_of(example: &Example) -> Option<&Tags> {
    match &example.answer {
        Answer::Tags(tags) => Some(tags),
        Answer::Class(_) => None,
    }
}

fn predicted_tags(predicted: &Predicted) -> &[usize] {
    match predicted {
        Predicted::Tags { of_characters, .. } => of_characters,
        Predicted::Class { .. } => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Encoder as Body, HeadKind, Task, TokenizerKind};
    use crate::trainer::model::task::of_task;
    use crate::trainer::model::task::tests::spec;
    use crate::trainer::tokenizer::MergeDropout;
    use crate::trainer::tokenizer::tests::train;
    use crate::types::Seed;

    /// However a text is split, each token has the tag of its first character; of characters the tags come back as they were. Each
    /// epoch and each example has a split of its own, and always the same.
    #[test]
    fn tags_follow_every_split() {
        let spec = spec(Task::Ner, HeadKind::Linear, Body::Trained);
        let mut stage = of_task(&spec).clone();
        stage.labels = ["O", "B-PS", "I-PS"].map(str::to_owned).to_vec();
        let tokenizer = train(TokenizerKind::Bpe, false);
        let encoder = || {
            let mut encoder = Encoder::new(&spec, &stage, &tokenizer);
            encoder.seq_len = 64;
            encoder
        };
        let characters: Vec<char> = "나는 학교에서 나무를 보았다 나무는 학교에".chars().collect();
        let tag = |at: usize| ["O", "B-PS", "I-PS"][if (3..7).contains(&at) { 1 + usize::from(at > 3) } else { 0 }];
        let tags = (0..characters.len()).map(|at| tag(at).to_owned()).collect();
        let text = TaggedText { characters, tags, line: 1 };
        let gold: Vec<usize> = text.tags.iter().map(|tag| encoder().label(tag)).collect();
        let anew = |p: f64| {
            let dropout = MergeDropout::new(&tokenizer, p).unwrap();
            encoder().dropping(dropout, Seed(3), vec![text.clone(), text.clone()], Ner::encode)
        };
        let plain = Ner::encode(&mut encoder(), &text);
        assert_eq!(anew(0.0)(5, 1), plain);
        let mut splits = Vec::new();
        let halved = anew(0.5);
        for (epoch, index) in (0..8).flat_map(|epoch| [(epoch, 0), (epoch, 1)]) {
            let (example, is_cut) = halved(epoch, index);
            assert_eq!((example.clone(), is_cut), halved(epoch, index));
            let tags = tags_of(&example).unwrap();
            assert_eq!(tags.ranges.len() + 2, example.ids.len());
            assert!(tags.ranges.iter().zip(&tags.of_tokens).all(|(range, tag)| *tag == gold[range.start]));
            assert!(!is_cut);
            splits.push(example.ids);
        }
        splits.sort();
        splits.dedup();
        assert!(splits.len() > 12, "{} splits", splits.len());
        let (of_characters, _) = anew(1.0)(0, 0);
        let tags = tags_of(&of_characters).unwrap();
        assert_eq!(tags_of_characters(&tags.text, &tags.ranges, &tags.of_tokens, &stage.labels), gold);
    }
}
