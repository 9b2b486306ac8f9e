//! What the address of the table asks for: a view is an address, so that a link is a view.

use super::super::encoded;
use crate::clock;
use crate::store::{RunQuery, StoreError, Trash};
use crate::types::RunId;

/// Columns and groups that are shown, at most.
const MOST_NAMES: usize = 100;

/// What an address asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    pub query: String,
    pub sort: String,
    pub columns: Vec<String>,
    /// What runs are grouped by; none where each has a row of its own.
    pub groups: Vec<String>,
    pub is_trash: bool,
    pub after: Option<(RunId, usize)>,
    /// Of groups, how many are passed over.
    pub from: usize,
}

impl Asked {
    /// What an address asks for whose parts `part` gives.
    pub fn of<'r>(part: impl Fn(&str) -> Option<&'r str>) -> Self {
        let text = |key: &str| part(key).unwrap_or_default().trim().to_owned();
        let names = |key: &str| {
            let mut names: Vec<String> = Vec::new();
            for name in text(key).split(',').map(str::trim).filter(|name| !name.is_empty()).take(MOST_NAMES) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            names
        };
        let after = part("after").and_then(|after| {
            let (id, number) = after.split_once('.')?;
            Some((id.parse().ok()?, number.parse().ok()?))
        });
        Self {
            query: text("q"),
            sort: text("sort"),
            columns: names("columns"),
            groups: names("group"),
            is_trash: part("trash").is_some(),
            after,
            from: text("from").parse().unwrap_or(0),
        }
    }

    /// The address that asks for this.
    pub fn address(&self) -> String {
        let after = self.after.as_ref().map(|(id, number)| format!("{id}.{number}"));
        let parts = [
            ("q", self.query.clone()),
            ("sort", self.sort.clone()),
            ("columns", self.columns.join(",")),
            ("group", self.groups.join(",")),
            ("trash", if self.is_trash { "1".to_owned() } else { String::new() }),
            ("after", after.unwrap_or_default()),
            ("from", if self.from > 0 { self.from.to_string() } else { String::new() }),
        ];
        let parts = parts.into_iter().filter(|(_, value)| !value.is_empty());
        format!("?{}", parts.map(|(key, value)| format!("{key}={}", encoded(&value))).collect::<Vec<_>>().join("&"))
    }

    /// The same view from its start, with these groups.
    pub fn grouped_by(&self, groups: Vec<String>) -> Self {
        Self { groups, after: None, from: 0, ..self.clone() }
    }

    /// The same view from its start, sorted by a name: the largest first where the smallest was first.
    pub fn sorted_by(&self, name: &str) -> Self {
        let sort = if self.sort == name { format!("-{name}") } else { name.to_owned() };
        Self { sort, after: None, from: 0, ..self.clone() }
    }

    /// How the view is sorted by a name, in the words of `aria-sort`.
    pub fn direction(&self, name: &str) -> Option<&'static str> {
        match self.sort.strip_prefix('-') {
            None => (self.sort == name).then_some("ascending"),
            Some(sort) => (sort == name).then_some("descending"),
        }
    }

    /// The query for the runs, in no order of its own.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn runs(&self) -> Result<RunQuery, StoreError> {
        let query = RunQuery::parse(&self.query, clock::now())?;
        Ok(if self.is_trash { query.from_trash(Trash::Only) } else { query })
    }

    /// Those runs of the view that fulfil a condition too. What a query says of how many there are stands beside all conditions, and
    /// alternatives in parentheses: the one that can be read is meant.
    pub fn narrowed(&self, condition: &str) -> Self {
        let query = match self.query.as_str() {
            "" => condition.to_owned(),
            query => {
                let enclosed = format!("({query}) and {condition}");
                match RunQuery::parse(&enclosed, clock::now()) {
                    Ok(_) => enclosed,
                    Err(_) => format!("{query} and {condition}"),
                }
            }
        };
        Self { query, groups: Vec::new(), after: None, from: 0, sort: String::new(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::server::wire::decoded;

    fn read(address: &str) -> Asked {
        let pairs = address.trim_start_matches('?').split('&').filter_map(|part| part.split_once('='));
        let text = |text: &str| decoded(text, true).expect("it is encoded");
        let parts: BTreeMap<String, String> = pairs.map(|(key, value)| (text(key), text(value))).collect();
        Asked::of(|key| parts.get(key).map(String::as_str))
    }

    #[test]
    fn an_address_is_a_view() {
        let asked = Asked {
            query: "name = \"a & b=c,+%\" or lr > 1e-3".to_owned(),
            sort: "-valid/loss".to_owned(),
            columns: vec!["~train/loss".to_owned(), "학습률".to_owned()],
            groups: vec!["lr".to_owned(), "schedule".to_owned()],
            is_trash: true,
            after: Some(("7h2kq9xw".parse().unwrap(), 100)),
            from: 200,
        };
        assert_eq!(read(&asked.address()), asked);
        assert_eq!(read("?"), Asked::default());
        assert_eq!(read("?group=lr,,%20lr%20,a&columns=,").groups, ["lr", "a"]);
    }

    #[test]
    fn what_narrows_a_view_holds_for_all_of_it() {
        let narrowed = |query: &str| Asked { query: query.to_owned(), ..Asked::default() }.narrowed("lr = 1").query;
        assert_eq!(narrowed(""), "lr = 1");
        assert_eq!(narrowed("a = 1 or b = 2"), "(a = 1 or b = 2) and lr = 1");
        assert_eq!(narrowed("a = 1 limit=5"), "a = 1 limit=5 and lr = 1");
        assert_eq!(narrowed("trash=yes"), "(trash=yes) and lr = 1");
    }
}
