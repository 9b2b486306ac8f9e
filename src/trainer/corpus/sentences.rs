//! Prose to sentences, Korean and English, by rules.
//!
//! A sentence ends at `.`, `?`, `!`, `…` or their wide forms, with the closing quotes and brackets that follow, when white space
//! comes next. What makes a full stop something else is listed below: abbreviations, initials, dates, list numbers, a
//! lower-case word after it, a quotation or bracket still open. Korean writers also leave the space out: after a final
//! ending (`다.`, `요.`, `까?`) a Hangul syllable begins the next sentence.

const TERMINATORS: &str = ".?!…。？！";
const CLOSERS: &str = "\"'”’»)]}」』》〉";

/// Last syllables of Korean sentence endings, after which a missing space is forgiven.
const FINAL_SYLLABLES: &str = "다요까죠오네";

/// English words that take a full stop without ending a sentence, in lower case.
const ABBREVIATIONS: [&str; 36] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "no", "vol", "fig", "gen", "col", "lt", "sgt",
    "capt", "gov", "sen", "rep", "hon", "rev", "inc", "ltd", "co", "corp", "dept", "univ", "approx", "cf", "ca", "al",
    "jan", "feb", "ph",
];

/// How far a quotation or bracket may reach, in bytes, to hold its sentences together.
const LONGEST_QUOTATION: usize = 400;

/// The sentences of one paragraph, in order, trimmed; all text but white space is in exactly one of them.
pub fn split_sentences(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut open = Enclosure::default();
    let mut chars = paragraph.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        open.pass(at, c);
        if !TERMINATORS.contains(c) {
            continue;
        }
        let mut end = at + c.len_utf8();
        let mut closed = false;
        while let Some(&(next_at, next)) = chars.peek() {
            let ends_more = TERMINATORS.contains(next) && !closed;
            let closes = CLOSERS.contains(next) && (next != '"' || open.in_quotation());
            if !ends_more && !closes {
                break;
            }
            closed |= closes;
            open.pass(next_at, next);
            end = next_at + next.len_utf8();
            chars.next();
        }
        let place =
            Place { before: &paragraph[start..at], marks: &paragraph[at..end], after: &paragraph[end..], closed };
        if !open.holds(&paragraph[end..], end) && place.ends_sentence() {
            sentences.push(paragraph[start..end].trim());
            start = end;
        }
    }
    sentences.push(paragraph[start..].trim());
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// The quotation and bracket that a position is in.
#[derive(Default)]
struct Enclosure {
    /// Where it opened and what closes it.
    open: Option<(usize, char)>,
}

impl Enclosure {
    fn pass(&mut self, at: usize, c: char) {
        match self.open {
            Some((from, closer)) => {
                if c == closer || at - from > LONGEST_QUOTATION {
                    self.open = None;
                }
            }
            None => {
                self.open = match c {
                    '"' => Some((at, '"')),
                    '“' => Some((at, '”')),
                    '‘' => Some((at, '’')),
                    '(' => Some((at, ')')),
                    '「' => Some((at, '」')),
                    '『' => Some((at, '』')),
                    _ => None,
                };
            }
        }
    }

    fn in_quotation(&self) -> bool {
        self.open.is_some_and(|(_, closer)| closer == '"')
    }

    /// Whether the enclosure is closed soon enough in what follows to be believed.
    fn holds(&self, rest: &str, at: usize) -> bool {
        self.open.is_some_and(|(from, closer)| rest.find(closer).is_some_and(|n| at + n - from <= LONGEST_QUOTATION))
    }
}

/// A possible end of a sentence.
struct Place<'a> {
    /// The sentence so far.
    before: &'a str,
    /// The terminators, with closing quotes and brackets.
    marks: &'a str,
    after: &'a str,
    /// Whether the marks end in a closing quote or bracket.
    closed: bool,
}

impl Place<'_> {
    fn ends_sentence(&self) -> bool {
        let Some(next) = self.after.chars().next() else { return true };
        if !next.is_whitespace() {
            return self.marks.starts_with(['。', '？', '！']) && !self.closed || self.lacks_a_korean_space(next);
        }
        let next_word = self.after.trim_start();
        if self.marks.ends_with(')') && !self.before.trim_start().starts_with('(') {
            return false;
        }
        let follows_hangul = self.before.ends_with(|c: char| ('가'..='힣').contains(&c));
        if next_word.starts_with(|c: char| c.is_lowercase() && !follows_hangul || TERMINATORS.contains(c)) {
            return false;
        }
        self.marks.trim_end_matches(|c| CLOSERS.contains(c)) != "." || !self.is_part_of_a_word(next_word)
    }

    fn lacks_a_korean_space(&self, next: char) -> bool {
        let ends_finally = self.before.ends_with(|c| FINAL_SYLLABLES.contains(c));
        ends_finally && !self.closed && ('가'..='힣').contains(&next)
    }

    /// Whether the full stop belongs to the word before it: an abbreviation, an initial, a date or a list number.
    fn is_part_of_a_word(&self, next_word: &str) -> bool {
        let word = self.before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_number(word) {
            let before = self.before.trim_end_matches(word).trim_end();
            let is_list_number = before.is_empty() && word.len() <= 3;
            let in_date =
                before.ends_with('.') && word.len() <= 2 || next_word.starts_with(|c: char| c.is_ascii_digit());
            return is_list_number || in_date;
        }
        let is_initial = word.len() == 1 && word.bytes().all(|b| b.is_ascii_uppercase()) && word != "I";
        let has_inner_stop = word.is_ascii() && word.split('.').filter(|part| part.len() == 1).count() >= 2;
        let is_time = ["a.m", "p.m"].contains(&word.to_ascii_lowercase().as_str());
        is_initial || has_inner_stop && !is_time || ABBREVIATIONS.contains(&word.to_ascii_lowercase().as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `|` marks where the paragraph is to be cut.
    #[track_caller]
    fn check(marked: &str) {
        let expected: Vec<_> = marked.split('|').map(str::trim).collect();
        assert_eq!(split_sentences(&marked.replace('|', "")), expected);
    }

    #[test]
    fn korean() {
        check("안녕하세요. |저는 학생입니다. |반갑습니다!");
        check("정말 그럴까요? |아니다… |그렇지 않다.");
        check("그는 \"집에 간다. 내일 온다.\"고 말했다. |그리고 떠났다.");
        check("“비가 온다.” |그가 말했다.");
        check("시작했습니다.|그리고 끝났다.");
        check("2019. 5. 3. 발표했다. |1.5배 늘었다.");
        check("1. 첫째 항목이다. |2. 둘째 항목이다.");
        check("가격은 3.14달러다. |www.example.com 에서 본다.");
        check("좋아요!! |최고예요~ 또 갈게요.");
        check("그는 (나중에. 아마도.) 온다고 했다. |끝.");
        check("전각이다。|다음이다。");
    }

    #[test]
    fn english() {
        check("Mr. Smith met Dr. Lee at 3.5 p.m. |They talked.");
        check("J. R. R. Tolkien wrote it. |He was born in 1892. |Then he moved.");
        check("\"Why?\" he asked. |\"I do not know.\" |She left.");
        check("The U.S. Army came, e.g. in May. |It stayed.");
        check("Stop! |Who goes there? |Nobody answered...");
        check("He said \"I go. You stay.\" |Then he left.");
        check("It sold no. 5 and etc. and so on. |So did I. |Yes.");
        check("H. americanus is related . |It may grow to 60 cm ( 24 in ) . |\" Red \" on cooking .");
        check("an unclosed \" quotation. |Another sentence.");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn nothing_is_lost_or_invented(text in "[가-깋다요a-cA-C0-2 .?!…\"'”“)( 。]{0,60}") {
            let squeezed = |text: &str| text.split_whitespace().collect::<String>();
            let sentences = split_sentences(&text);
            prop_assert_eq!(squeezed(&sentences.concat()), squeezed(&text));
            prop_assert!(sentences.iter().all(|s| !s.is_empty() && s.trim() == *s));
        }
    }
}
