//! Names as people shorten them: keys by their ends, and what a name says that it is a name of.

use std::collections::BTreeMap;

use super::tree::Kind;

/// Keys by themselves and by their last part.
pub fn ends<'k>(keys: impl Iterator<Item = &'k String>, by: char) -> impl Iterator<Item = (&'k str, &'k str)> {
    keys.flat_map(move |key| [(key.as_str(), key.as_str()), (key.rsplit(by).next().unwrap_or(key), key.as_str())])
}

/// What a name is said to be a name of, and the name itself.
pub fn prefixed(text: &str) -> (&str, Option<Kind>) {
    for (prefix, kind) in [
        ("setting.", Kind::Setting),
        ("param.", Kind::Setting),
        ("params.", Kind::Setting),
        ("metric.", Kind::Metric),
        ("metrics.", Kind::Metric),
        ("provenance.", Kind::Provenance),
    ] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return (rest, Some(kind));
        }
    }
    (text, None)
}

/// The keys that a name means: itself, or those that end in it; and both where it has no dot, so that a guest's `lr` takes
/// nothing from `optimizer.lr`; `schedule` means `schedule.kind`, as tables have it.
pub fn named<V>(known: &BTreeMap<String, V>, text: &str) -> Vec<String> {
    let ends = |key: &str| key.strip_suffix(text).is_some_and(|rest| rest.ends_with('.'));
    let own = known.contains_key(text).then(|| text.to_owned());
    if let Some(own) = own.clone().filter(|own| own.contains('.')) {
        return vec![own];
    }
    let found: Vec<String> = own.into_iter().chain(shallowest(known.keys().filter(|key| ends(key)))).collect();
    if !found.is_empty() {
        return found;
    }
    let is_kind = |key: &str| key.strip_suffix(".kind").is_some_and(|key| key == text || ends(key));
    shallowest(known.keys().filter(|key| is_kind(key)))
}

/// Of several keys those in the fewest tables: `seed` is that of the training, not that of the built-in corpus. A stage after the
/// first has its keys in a table of its own, which is not counted.
fn shallowest<'k>(keys: impl Iterator<Item = &'k String>) -> Vec<String> {
    let depth = |key: &str| key.strip_prefix("finetune.").unwrap_or(key).matches('.').count();
    let keys = keys.collect::<Vec<_>>();
    let least = keys.iter().map(|key| depth(key)).min();
    keys.into_iter().filter(|key| Some(depth(key)) == least).cloned().collect()
}
