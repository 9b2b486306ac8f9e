//! How the answers of a task fall out in detail, beyond one number: which class is taken for which, and how each kind of
//! entity is found. A run records it as a fact of its last evaluation; facts are in no digest chain.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many texts of each class were given each class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    pub labels: Vec<String>,
    /// `counts[truth][answer]`, square, in the order of the labels.
    pub counts: Vec<Vec<u64>>,
}

/// How one kind of entity was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityCounts {
    pub kind: String,
    /// Found with the right place and kind.
    pub right: u64,
    /// All that the model named.
    pub predicted: u64,
    /// All that there are.
    #[serde(rename = "true")]
    pub truly: u64,
}

impl EntityCounts {
    /// Harmonic mean of precision and recall; absent where there is none and none was named.
    pub fn f1(&self) -> Option<f64> {
        let all = self.predicted + self.truly;
        (all > 0).then(|| 2.0 * self.right as f64 / all as f64)
    }
}

/// The detail that a task has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detail {
    Confusion(Confusion),
    Entities(Vec<EntityCounts>),
}

impl Detail {
    /// What names the fact of a confusion, after its side: `valid_confusion`.
    pub const CONFUSION: &'static str = "confusion";
    /// The same for entities.
    pub const ENTITIES: &'static str = "entities";

    /// The fact of one `side`, `valid` or `test`: its name and its value.
    pub fn fact(&self, side: &str) -> (String, Value) {
        match self {
            Self::Confusion(confusion) => (format!("{side}_{}", Self::CONFUSION), json!(confusion)),
            Self::Entities(entities) => (format!("{side}_{}", Self::ENTITIES), json!(entities)),
        }
    }

    /// Whether a fact of this name is such a detail: a table of numbers, and nothing to print in a line.
    pub fn is_fact(name: &str) -> bool {
        name.split_once('_').is_some_and(|(_, what)| what == Self::CONFUSION || what == Self::ENTITIES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_stable_names_and_fields() {
        let confusion = Confusion { labels: vec!["0".into(), "1".into()], counts: vec![vec![3, 1], vec![0, 4]] };
        let (name, value) = Detail::Confusion(confusion.clone()).fact("valid");
        assert_eq!(
            (name.as_str(), value.to_string()),
            ("valid_confusion", r#"{"labels":["0","1"],"counts":[[3,1],[0,4]]}"#.into())
        );
        assert_eq!(serde_json::from_value::<Confusion>(value).ok(), Some(confusion));
        let entities = vec![EntityCounts { kind: "PS".into(), right: 1, predicted: 2, truly: 4 }];
        assert_eq!(entities[0].f1(), Some(2.0 / 6.0));
        let (name, value) = Detail::Entities(entities).fact("test");
        assert_eq!(
            (name.as_str(), value.to_string()),
            ("test_entities", r#"[{"kind":"PS","right":1,"predicted":2,"true":4}]"#.into())
        );
        assert!(Detail::is_fact("valid_entities") && !Detail::is_fact("valid_examples") && !Detail::is_fact("floors"));
    }
}
