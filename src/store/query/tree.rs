//! The abstract tree of a query: conditions under and, or and not, as they were written and where.
//!
//! Both grammars end in it: [`read`](super::read) and [`mlflow`](super::mlflow). What the names mean, and whether the values
//! fit them, is found out against a store by [`resolve`](super::resolve).

use crate::syntax::Span;

/// Things under and, or and not. No parts under an and: everything; under an or: nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree<T> {
    And(Vec<Tree<T>>),
    Or(Vec<Tree<T>>),
    Not(Box<Tree<T>>),
    Leaf(T),
}

impl<T> Tree<T> {
    /// What everything fulfils.
    pub fn all() -> Self {
        Self::And(Vec::new())
    }

    /// What does not fulfil `tree`.
    pub fn not(tree: Self) -> Self {
        Self::Not(Box::new(tree))
    }

    /// All of these; one alone is itself.
    pub fn and(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::And(parts) }
    }

    /// Any of these; one alone is itself.
    pub fn or(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::Or(parts) }
    }

    /// The leaves, from left to right.
    pub fn leaves(&self) -> Vec<&T> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::leaves).collect(),
            Self::Not(tree) => tree.leaves(),
            Self::Leaf(leaf) => vec![leaf],
        }
    }

    /// The tree with another tree in place of each leaf.
    ///
    /// # Errors
    /// The first that a leaf gives.
    pub fn try_graft<U, E>(&self, graft: &mut impl FnMut(&T) -> Result<Tree<U>, E>) -> Result<Tree<U>, E> {
        let mut of_all = |parts: &[Self]| parts.iter().map(|part| part.try_graft(graft)).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::And(parts) => Tree::And(of_all(parts)?),
            Self::Or(parts) => Tree::Or(of_all(parts)?),
            Self::Not(tree) => Tree::not(tree.try_graft(graft)?),
            Self::Leaf(leaf) => graft(leaf)?,
        })
    }

    /// Whether it holds, where that is known of its leaves: the definition, which SQL is held against.
    pub fn holds(&self, is_true: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(is_true)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(is_true)),
            Self::Not(tree) => !tree.holds(is_true),
            Self::Leaf(leaf) => is_true(leaf),
        }
    }
}

/// What is said of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub name: Name,
    pub test: Test,
    /// Whether it is said not to be so: `!=`, `not in`, `not like`, `is not`. A run that lacks what is named fulfils neither
    /// the test nor this; tags and experiments can be lacked.
    pub is_negated: bool,
}

/// A name as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    /// What it is a name of, where the query says so.
    pub kind: Option<Kind>,
    /// The step of a metric's value.
    pub at: Option<i64>,
    pub span: Span,
}

/// What a name may be a name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Attribute,
    Setting,
    Metric,
    /// A tag `name=value`.
    Tag,
    Provenance,
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// It stands so to this one.
    Compare(Order, Literal),
    /// It is one of these.
    OneOf(Vec<Literal>),
    /// It is like this, where `%` is any text and `_` one character.
    Like { pattern: Literal, ignore_case: bool },
    /// It is there.
    Exists,
    /// It is not a number, as a diverged loss.
    IsNan,
    /// The name is the name of an experiment, the beginning of a run's id, or `latest`.
    Word,
    /// The run stands on this one, or on one that does.
    DescendsFrom(Literal),
}

impl Test {
    /// The texts that it holds a name against.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Compare(_, literal) | Self::DescendsFrom(literal) => vec![&literal.text],
            Self::OneOf(literals) => literals.iter().map(|literal| literal.text.as_str()).collect(),
            Self::Like { .. } | Self::Exists | Self::IsNan | Self::Word => Vec::new(),
        }
    }
}

/// How two values stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    /// As it is written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Without its quotes.
    pub text: String,
    pub is_quoted: bool,
    pub span: Span,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graft_keeps_the_shape() {
        let tree = Tree::And(vec![Tree::Leaf(1), Tree::not(Tree::Or(vec![Tree::Leaf(2), Tree::Leaf(3)]))]);
        let doubled = tree.try_graft(&mut |n| Ok::<_, ()>(Tree::Leaf(n * 2))).unwrap();
        assert_eq!(doubled.leaves(), [&2, &4, &6]);
        assert_eq!(tree.try_graft(&mut |n| if *n == 3 { Err(*n) } else { Ok(Tree::Leaf(*n)) }), Err(3));
        assert!(tree.holds(&|n| *n == 1) && !tree.holds(&|n| *n < 3) && Tree::<i32>::all().holds(&|_| false));
    }
}
