//! English morphology: past tense, plural, articles.

/// Verbs whose past is not in `-ed`: base, past, participle.
const IRREGULAR: [(&str, &str, &str); 23] = [
    ("shoot", "shot", "shot"),
    ("write", "wrote", "written"),
    ("break", "broke", "broken"),
    ("wear", "wore", "worn"),
    ("take", "took", "taken"),
    ("sing", "sang", "sung"),
    ("build", "built", "built"),
    ("read", "read", "read"),
    ("drive", "drove", "driven"),
    ("buy", "bought", "bought"),
    ("dig", "dug", "dug"),
    ("weave", "wove", "woven"),
    ("feed", "fed", "fed"),
    ("keep", "kept", "kept"),
    ("lend", "lent", "lent"),
    ("draw", "drew", "drawn"),
    ("set", "set", "set"),
    ("reset", "reset", "reset"),
    ("find", "found", "found"),
    ("send", "sent", "sent"),
    ("lay", "laid", "laid"),
    ("beat", "beat", "beaten"),
    ("lead", "led", "led"),
];

/// Verbs that double their last consonant.
const DOUBLING: [&str; 3] = ["plan", "stop", "chop"];

/// The past tense of a verb.
pub(super) fn past(verb: &str) -> String {
    let irregular = IRREGULAR.iter().find(|(base, _, _)| *base == verb);
    irregular.map_or_else(|| regular_past(verb), |(_, past, _)| (*past).to_owned())
}

/// The past participle of a verb.
pub(super) fn participle(verb: &str) -> String {
    let irregular = IRREGULAR.iter().find(|(base, _, _)| *base == verb);
    irregular.map_or_else(|| regular_past(verb), |(_, _, participle)| (*participle).to_owned())
}

fn regular_past(verb: &str) -> String {
    match verb.strip_suffix('y').filter(|front| !front.ends_with(is_vowel)) {
        Some(front) => format!("{front}ied"),
        None if verb.ends_with('e') => format!("{verb}d"),
        None if DOUBLING.contains(&verb) => format!("{verb}{}ed", &verb[verb.len() - 1..]),
        None => format!("{verb}ed"),
    }
}

/// The plural of a noun.
pub(super) fn plural(noun: &str) -> String {
    match noun.strip_suffix('y').filter(|front| !front.ends_with(is_vowel)) {
        Some(front) => format!("{front}ies"),
        None if noun.ends_with("fe") => format!("{}ves", &noun[..noun.len() - 2]),
        None if ["s", "x", "ch", "sh"].iter().any(|ending| noun.ends_with(ending)) => format!("{noun}es"),
        None => format!("{noun}s"),
    }
}

/// `a` or `an`, by the letter that follows.
pub(super) fn article(next: &str) -> &'static str {
    if next.starts_with(|c: char| is_vowel(c.to_ascii_lowercase())) { "an" } else { "a" }
}

fn is_vowel(letter: char) -> bool {
    "aeiou".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_inflected() {
        let pasts = ["release", "study", "play", "plan", "write", "repair"].map(past);
        assert_eq!(pasts, ["released", "studied", "played", "planned", "wrote", "repaired"]);
        assert_eq!((participle("break"), participle("press")), ("broken".to_owned(), "pressed".to_owned()));
        let plurals = ["film", "story", "day", "match", "box", "knife", "bus"].map(plural);
        assert_eq!(plurals, ["films", "stories", "days", "matches", "boxes", "knives", "buses"]);
        assert_eq!(["old", "new", "Irish"].map(article), ["an", "a", "an"]);
    }
}
