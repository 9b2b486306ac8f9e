//! Korean morphology: particles by the final consonant, verb endings by the stem.
//!
//! A Hangul syllable is 0xAC00 + (initial * 21 + vowel) * 28 + final; contraction and the irregular stems are arithmetic on
//! these numbers.

const FIRST: u32 = 0xAC00;
const FINALS: u32 = 28;
const VOWELS: u32 = 21;
const NO_FINAL: u32 = 0;
const FINAL_N: u32 = 4;
const FINAL_D: u32 = 7;
const FINAL_R: u32 = 8;
const FINAL_B: u32 = 17;
const FINAL_S: u32 = 19;
const FINAL_SS: u32 = 20;

// Vowel numbers.
const A: u32 = 0;
const AE: u32 = 1;
const EO: u32 = 4;
const E: u32 = 5;
const YEO: u32 = 6;
const O: u32 = 8;
const WA: u32 = 9;
const OE: u32 = 11;
const U: u32 = 13;
const WO: u32 = 14;
const WAE: u32 = 10;
const EU: u32 = 18;
const I: u32 = 20;

/// Stems whose last consonant changes before a vowel.
const B_IRREGULAR: &str = "아름답 놀랍 새롭 어렵 무겁 가볍 즐겁 아깝 차갑 뜨겁 어둡 고맙 반갑 지겹 해롭 사납 싱겁 맵 괴롭 정겹 \
    더럽 시끄럽 단조롭 감미롭 흥미롭 실망스럽 굽";
const S_IRREGULAR: &str = "짓 낫 붓 잇 젓";
const D_IRREGULAR: &str = "듣 걷 싣 깨닫 일컫";

/// How final verbs end, throughout a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    /// `-다`.
    Plain,
    /// `-습니다`.
    Polite,
}

/// The text of `particle` (named by its form after a consonant) after `noun`.
pub(super) fn particle<'a>(noun: &str, particle: &'a str) -> &'a str {
    let last = noun.chars().last().and_then(split).map(|(_, _, last)| last);
    let ends_in_vowel = last.is_none_or(|last| last == NO_FINAL);
    let ends_in_vowel_or_r = ends_in_vowel || last == Some(FINAL_R);
    match particle {
        "은" if ends_in_vowel => "는",
        "이" if ends_in_vowel => "가",
        "을" if ends_in_vowel => "를",
        "과" if ends_in_vowel => "와",
        "으로" if ends_in_vowel_or_r => "로",
        "이라는" if ends_in_vowel => "라는",
        other => other,
    }
}

/// `noun` as a predicate: `-이다`, `-입니다`.
pub(super) fn copula(noun: &str, register: Register) -> String {
    let ends_in_vowel = noun.chars().last().and_then(split).is_some_and(|(_, _, last)| last == NO_FINAL);
    match register {
        Register::Plain if ends_in_vowel => format!("{noun}다"),
        Register::Plain => format!("{noun}이다"),
        Register::Polite => format!("{noun}입니다"),
    }
}

/// The past tense that ends a sentence.
pub(super) fn past(stem: &str, register: Register) -> String {
    let past = with_final(&infinitive(stem), FINAL_SS);
    past + if register == Register::Plain { "다" } else { "습니다" }
}

/// The present tense of an adjective that ends a sentence.
pub(super) fn present(stem: &str, register: Register) -> String {
    match (register, last_final(stem)) {
        (Register::Plain, _) => format!("{stem}다"),
        (Register::Polite, NO_FINAL | FINAL_R) => with_final(stem, FINAL_B) + "니다",
        (Register::Polite, _) => format!("{stem}습니다"),
    }
}

/// The form before a noun: past of a verb, present of an adjective.
pub(super) fn adnominal(stem: &str) -> String {
    let vowel_stem = before_vowel(stem);
    match last_final(&vowel_stem) {
        _ if stem.ends_with(['있', '없']) => format!("{stem}는"),
        // An irregular ㅅ or ㄷ leaves a stem that still takes 으.
        NO_FINAL if vowel_stem != stem && is_in(S_IRREGULAR, stem) => vowel_stem + "은",
        NO_FINAL => with_final(&vowel_stem, FINAL_N),
        FINAL_R if vowel_stem == stem => with_final(stem, FINAL_N),
        _ => vowel_stem + "은",
    }
}

/// The stem with 아 or 어, contracted: `받아`, `가`, `해`, `배워`, `아름다워`, `불러`.
pub(super) fn infinitive(stem: &str) -> String {
    if let Some(front) = stem.strip_suffix('하') {
        return format!("{front}해");
    }
    if let Some(front) =
        stem.strip_suffix('르').filter(|_| !["따르", "들르", "치르"].iter().any(|regular| stem.ends_with(regular)))
    {
        let ending = if is_bright(front) { "라" } else { "러" };
        return with_final(front, FINAL_R) + ending;
    }
    let is_s_irregular = is_in(S_IRREGULAR, stem);
    let stem = before_vowel(stem);
    let Some((initial, vowel, last)) = stem.chars().last().and_then(split) else { return stem };
    let bright = is_bright(&stem);
    if last != NO_FINAL || is_s_irregular {
        return stem + if bright { "아" } else { "어" };
    }
    let contracted = match vowel {
        A | EO | AE | E | YEO => vowel,
        O => WA,
        U => WO,
        OE => WAE,
        I => YEO,
        EU => {
            let front: String = stem.chars().take(stem.chars().count() - 1).collect();
            if is_bright(&front) { A } else { EO }
        }
        _ => return stem + "어",
    };
    replace_last(&stem, join(initial, contracted, NO_FINAL))
}

/// The stem as it is before a vowel: ㅂ becomes 우, ㅅ falls, ㄷ becomes ㄹ in the stems that are irregular.
fn before_vowel(stem: &str) -> String {
    match last_final(stem) {
        FINAL_B if is_in(B_IRREGULAR, stem) => with_final(stem, NO_FINAL) + "우",
        FINAL_S if is_in(S_IRREGULAR, stem) => with_final(stem, NO_FINAL),
        FINAL_D if is_in(D_IRREGULAR, stem) => with_final(stem, FINAL_R),
        _ => stem.to_owned(),
    }
}

/// Whether the last word of a phrase is in a list.
fn is_in(list: &str, stem: &str) -> bool {
    let last_word = stem.rsplit(' ').next().unwrap_or_default();
    list.split_whitespace().any(|irregular| irregular == last_word)
}

/// Whether the last vowel calls for 아.
fn is_bright(text: &str) -> bool {
    text.chars().last().and_then(split).is_some_and(|(_, vowel, _)| vowel == A || vowel == O)
}

fn last_final(text: &str) -> u32 {
    text.chars().last().and_then(split).map_or(NO_FINAL, |(_, _, last)| last)
}

fn with_final(text: &str, last: u32) -> String {
    match text.chars().last().and_then(split) {
        Some((initial, vowel, _)) => replace_last(text, join(initial, vowel, last)),
        None => text.to_owned(),
    }
}

fn replace_last(text: &str, last: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    chars.pop();
    chars.push(last);
    chars.into_iter().collect()
}

fn split(syllable: char) -> Option<(u32, u32, u32)> {
    ('가'..='힣').contains(&syllable).then(|| {
        let number = syllable as u32 - FIRST;
        (number / FINALS / VOWELS, number / FINALS % VOWELS, number % FINALS)
    })
}

fn join(initial: u32, vowel: u32, last: u32) -> char {
    char::from_u32(FIRST + (initial * VOWELS + vowel) * FINALS + last).expect("invariant: three numbers in range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_come_apart_and_together() {
        for syllable in '가'..='힣' {
            let (initial, vowel, last) = split(syllable).unwrap();
            assert_eq!(join(initial, vowel, last), syllable);
        }
        assert_eq!(split('a'), None);
    }

    #[test]
    fn particles_follow_the_final_consonant() {
        let with = |noun: &str, p| format!("{noun}{}", particle(noun, p));
        for (noun, p, expected) in [
            ("영화", "은", "영화는"),
            ("감독", "은", "감독은"),
            ("나무", "이", "나무가"),
            ("물", "이", "물이"),
            ("책", "을", "책을"),
            ("노래", "과", "노래와"),
            ("서울", "으로", "서울로"),
            ("부산", "으로", "부산으로"),
            ("제주", "으로", "제주로"),
            ("집", "에서", "집에서"),
        ] {
            assert_eq!(with(noun, p), expected);
        }
        assert_eq!(copula("의사", Register::Plain) + &copula("감독", Register::Plain), "의사다감독이다");
    }

    #[test]
    fn stems_are_inflected() {
        for (stem, expected_past, expected_adnominal) in [
            ("공개하", "공개했다", "공개한"),
            ("가", "갔다", "간"),
            ("오", "왔다", "온"),
            ("먹", "먹었다", "먹은"),
            ("받", "받았다", "받은"),
            ("열", "열었다", "연"),
            ("배우", "배웠다", "배운"),
            ("마시", "마셨다", "마신"),
            ("쓰", "썼다", "쓴"),
            ("모으", "모았다", "모은"),
            ("기르", "길렀다", "기른"),
            ("고르", "골랐다", "고른"),
            ("되", "됐다", "된"),
            ("보내", "보냈다", "보낸"),
            ("건네", "건넸다", "건넨"),
            ("서", "섰다", "선"),
            ("짓", "지었다", "지은"),
            ("듣", "들었다", "들은"),
            ("아름답", "아름다웠다", "아름다운"),
            ("무겁", "무거웠다", "무거운"),
            ("재미있", "재미있었다", "재미있는"),
            ("좋", "좋았다", "좋은"),
            ("길", "길었다", "긴"),
            ("느리", "느렸다", "느린"),
            ("굽", "구웠다", "구운"),
            ("치르", "치렀다", "치른"),
            ("고개를 젓", "고개를 저었다", "고개를 저은"),
            ("쉬", "쉬었다", "쉰"),
        ] {
            assert_eq!(past(stem, Register::Plain), expected_past);
            assert_eq!(adnominal(stem), expected_adnominal);
        }
        assert_eq!(past("열", Register::Polite), "열었습니다");
        let polite = ["훌륭하", "길", "좋", "아름답"].map(|stem| present(stem, Register::Polite));
        assert_eq!(polite, ["훌륭합니다", "깁니다", "좋습니다", "아름답습니다"]);
    }
}
