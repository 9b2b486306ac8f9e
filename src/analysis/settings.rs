//! The settings that the name and the value of an axis stand for: one, unless the axis is joint; then `optimizer+lr` with the value
//! `muon 0.008` is taken apart for whoever reads a cell or types it into a query: `optimizer=muon lr=0.008`.

/// Between names, which are keys and have none of their own.
pub(super) const OF_NAMES: char = '+';
/// Between values.
pub(super) const OF_VALUES: char = ' ';

/// Each name with its value; of an axis of one setting, the one pair.
pub fn settings_of<'a>(name: &'a str, value: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let is_joint = name.contains(OF_NAMES) && name.split(OF_NAMES).count() == value.split(OF_VALUES).count();
    let joint = is_joint.then(|| name.split(OF_NAMES).zip(value.split(OF_VALUES)));
    let single = (!is_joint).then_some((name, value));
    joint.into_iter().flatten().chain(single)
}

/// `optimizer=muon lr=0.008`; of an axis of one setting, `mask_ratio=0.3`.
pub fn spelled(name: &str, value: &str) -> String {
    settings_of(name, value).map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_setting_is_itself() {
        assert_eq!(spelled("mask_ratio", "0.3"), "mask_ratio=0.3");
        assert_eq!(spelled("path", "a b"), "path=a b");
        assert_eq!(spelled("optimizer+lr", "muon 0.008"), "optimizer=muon lr=0.008");
        assert_eq!(spelled("a+b", "c"), "a+b=c");
    }
}
