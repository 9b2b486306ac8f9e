//! The small arithmetic of `[sweep.derive]`: keys computed from other keys.
//!
//! ```text
//! sum     = product (("+" | "-") product)*
//! product = factor (("*" | "/") factor)*
//! factor  = "-" factor | NUMBER | section.key | NAME "(" sum ("," sum)* ")" | "(" sum ")"
//! ```
//!
//! Numbers are exact decimals ([`Decimal`]). Every part knows where it stands in the text, so that a division by zero is
//! told at its divisor.

use super::decimal::Decimal;
use super::keys::{self, Key};
use super::value::Kind;
use crate::suggest;
use crate::syntax::{self, Language, Lexer, Mistake, Span, Token};

/// A formula, read and known to name keys that are numbers.
#[derive(Clone, Debug)]
pub struct Expression {
    root: Part,
}

#[derive(Clone, Debug)]
struct Part {
    span: Span,
    term: Term,
}

#[derive(Clone, Debug)]
enum Term {
    Number(Decimal),
    Key(&'static Key),
    Negate(Box<Part>),
    Call(&'static Function, Vec<Part>),
}

/// An operator or a function of the arithmetic.
#[derive(Debug)]
struct Function {
    name: &'static str,
    /// The least and the largest number of arguments.
    arguments: (usize, usize),
    compute: fn(&[Decimal]) -> Result<Decimal, &'static str>,
}

const ADD: Function = Function { name: "+", arguments: (2, 2), compute: |x| Ok(x[0].add(x[1])) };
const SUBTRACT: Function = Function { name: "-", arguments: (2, 2), compute: |x| Ok(x[0].subtract(x[1])) };
const MULTIPLY: Function = Function { name: "*", arguments: (2, 2), compute: |x| Ok(x[0].multiply(x[1])) };
const DIVIDE: Function =
    Function { name: "/", arguments: (2, 2), compute: |x| x[0].divide(x[1]).ok_or("this divides by zero") };

static OPERATORS: [Function; 4] = [ADD, SUBTRACT, MULTIPLY, DIVIDE];

static FUNCTIONS: [Function; 8] = [
    Function { name: "min", arguments: (1, 99), compute: |x| Ok(x.iter().copied().min().unwrap_or(Decimal::ZERO)) },
    Function { name: "max", arguments: (1, 99), compute: |x| Ok(x.iter().copied().max().unwrap_or(Decimal::ZERO)) },
    Function { name: "floor", arguments: (1, 1), compute: |x| Ok(x[0].floor()) },
    Function { name: "ceil", arguments: (1, 1), compute: |x| Ok(x[0].ceil()) },
    Function { name: "round", arguments: (1, 1), compute: |x| Ok(x[0].round()) },
    Function { name: "abs", arguments: (1, 1), compute: |x| Ok(x[0].max(x[0].negate())) },
    Function { name: "sqrt", arguments: (1, 1), compute: sqrt },
    Function { name: "log2", arguments: (1, 1), compute: log2 },
];

/// Significant digits of a root or a logarithm: fewer than a double's, so that an exact result comes out exact.
const SIGNIFICANT: usize = 15;

fn sqrt(x: &[Decimal]) -> Result<Decimal, &'static str> {
    let root = (x[0] >= Decimal::ZERO).then(|| Decimal::rounded(x[0].to_f64().sqrt(), SIGNIFICANT)).flatten();
    root.ok_or("this is the root of a number below zero")
}

fn log2(x: &[Decimal]) -> Result<Decimal, &'static str> {
    let log = (x[0] > Decimal::ZERO).then(|| Decimal::rounded(libm::log2(x[0].to_f64()), SIGNIFICANT)).flatten();
    log.ok_or("this is the logarithm of a number that is not above zero")
}

/// The longest formula: its parentheses nest no deeper than a program's stack.
const MAX_LENGTH: usize = 1000;

/// Signs of the arithmetic; names are those of functions, or keys with their points.
const LANGUAGE: Language = Language { signs: &["+", "-", "*", "/", "(", ")", ","], in_names: "." };

impl Expression {
    /// Reads a formula.
    ///
    /// # Errors
    /// The first mistake: text that is no formula, a function or key that there is not, a key that is no number.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        if text.len() > MAX_LENGTH {
            return Err(Mistake::new(0..text.len(), format!("a formula has at most {MAX_LENGTH} characters")));
        }
        let mut parser = Parser(Lexer::new(LANGUAGE, text));
        let root = parser.sum()?;
        let rest = parser.0.peek();
        if rest.kind != syntax::Kind::End {
            let mistake = Mistake::new(rest.span.clone(), "this is not expected here");
            return Err(mistake.help("an operator is one of + - * /"));
        }
        Ok(Self { root })
    }

    /// The keys that the formula names, with their places in its text.
    pub fn keys(&self) -> Vec<(&'static Key, Span)> {
        let mut found = Vec::new();
        self.root.collect_keys(&mut found);
        found
    }

    /// The value, where `look_up` says what the keys are.
    ///
    /// # Errors
    /// A division by zero and the like, or a key without a value, at its place.
    pub fn evaluate(&self, look_up: &dyn Fn(&'static Key) -> Option<Decimal>) -> Result<Decimal, Mistake> {
        self.root.evaluate(look_up)
    }
}

impl Part {
    fn collect_keys(&self, found: &mut Vec<(&'static Key, Span)>) {
        match &self.term {
            Term::Number(_) => {}
            Term::Key(key) => found.push((key, self.span.clone())),
            Term::Negate(inner) => inner.collect_keys(found),
            Term::Call(_, arguments) => arguments.iter().for_each(|argument| argument.collect_keys(found)),
        }
    }

    fn evaluate(&self, look_up: &dyn Fn(&'static Key) -> Option<Decimal>) -> Result<Decimal, Mistake> {
        match &self.term {
            Term::Number(number) => Ok(*number),
            Term::Key(key) => {
                look_up(key).ok_or_else(|| Mistake::new(self.span.clone(), format!("`{}` has no value here", key.name)))
            }
            Term::Negate(inner) => Ok(inner.evaluate(look_up)?.negate()),
            Term::Call(function, arguments) => {
                let values: Vec<Decimal> =
                    arguments.iter().map(|argument| argument.evaluate(look_up)).collect::<Result<_, _>>()?;
                // The last argument is the one to look at: the divisor.
                let span = arguments.last().map_or(&self.span, |last| &last.span);
                (function.compute)(&values).map_err(|message| Mistake::new(span.clone(), message))
            }
        }
    }
}

struct Parser<'t>(Lexer<'t>);

impl Parser<'_> {
    fn sum(&mut self) -> Result<Part, Mistake> {
        self.chain(&OPERATORS[..2], Self::product)
    }

    fn product(&mut self) -> Result<Part, Mistake> {
        self.chain(&OPERATORS[2..], Self::factor)
    }

    /// Operands with operators of one rank between them, from the left.
    fn chain(
        &mut self,
        operators: &'static [Function],
        operand: fn(&mut Self) -> Result<Part, Mistake>,
    ) -> Result<Part, Mistake> {
        let mut left = operand(self)?;
        while let Some(operator) = operators.iter().find(|operator| self.0.peek().is(operator.name)) {
            self.0.take();
            let right = operand(self)?;
            left = Part { span: left.span.start..right.span.end, term: Term::Call(operator, vec![left, right]) };
        }
        Ok(left)
    }

    fn factor(&mut self) -> Result<Part, Mistake> {
        let next = self.0.peek().clone();
        match next.kind {
            syntax::Kind::Number => {
                self.0.take();
                let number = next.text.replace('_', "").parse();
                let number = number.map_err(|_| Mistake::new(next.span.clone(), "this is not a number"))?;
                Ok(Part { span: next.span, term: Term::Number(number) })
            }
            syntax::Kind::Name => {
                self.0.take();
                self.named(next)
            }
            _ if next.is("-") => {
                self.0.take();
                let inner = self.factor()?;
                Ok(Part { span: next.span.start..inner.span.end, term: Term::Negate(Box::new(inner)) })
            }
            _ if next.is("(") => {
                self.0.take();
                let inner = self.sum()?;
                let end = self.close(&next.span)?;
                Ok(Part { span: next.span.start..end, ..inner })
            }
            _ => {
                let mistake = Mistake::new(next.span, "a number or a key is missing here");
                Err(mistake.help("write for example 4 * model.hidden_size"))
            }
        }
    }

    /// Where the parenthesis that was opened at `open` ends.
    fn close(&mut self, open: &Span) -> Result<usize, Mistake> {
        let closed = self.0.take_sign(")").map(|sign| sign.span.end);
        closed.ok_or_else(|| Mistake::new(open.clone(), "this parenthesis is not closed"))
    }

    /// A key, or a function of what stands in parentheses after its name.
    fn named(&mut self, name: Token<'_>) -> Result<Part, Mistake> {
        match self.0.take_sign("(") {
            Some(open) => self.call(name, &open.span),
            None => Ok(Part { term: Term::Key(number_key(name.text, &name.span)?), span: name.span }),
        }
    }

    fn call(&mut self, name: Token<'_>, open: &Span) -> Result<Part, Mistake> {
        let Some(function) = FUNCTIONS.iter().find(|function| function.name == name.text) else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
            let mistake = Mistake::new(name.span, format!("unknown function `{}`", name.text));
            return Err(match suggest::nearest(name.text, names.iter().copied()) {
                Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
                None => mistake.help(format!("the functions are {}", names.join(", "))),
            });
        };
        let mut arguments = vec![self.sum()?];
        while self.0.take_sign(",").is_some() {
            arguments.push(self.sum()?);
        }
        let end = self.close(open)?;
        let (least, most) = function.arguments;
        if (least..=most).contains(&arguments.len()) {
            return Ok(Part { span: name.span.start..end, term: Term::Call(function, arguments) });
        }
        let message = format!("`{}` takes one number, not {}", name.text, arguments.len());
        Err(Mistake::new(open.start..end, message))
    }
}

/// The key of this name, when it is one of a run and a number.
pub(super) fn number_key(name: &str, span: &Span) -> Result<&'static Key, Mistake> {
    let Some(key) = keys::find(name) else {
        let mistake = Mistake::new(span.clone(), format!("unknown key `{name}`"));
        return Err(match keys::nearest_key(name, &[]) {
            Some(nearest) => mistake.help(format!("did you mean `{nearest}`?")),
            None => mistake.help("a key is written section.key, like `model.hidden_size`"),
        });
    };
    if key.name == "train.seed" {
        let mistake = Mistake::new(span.clone(), "a cell has no seed of its own");
        return Err(mistake.help("seeds repeat a cell: `[sweep.replicates]`"));
    }
    let is_number = matches!(key.kind, Kind::Integer { .. } | Kind::Float(_) | Kind::FloatOrOff(_));
    if key.is_setting() && is_number {
        return Ok(key);
    }
    Err(Mistake::new(span.clone(), format!("`{name}` is not a number")).help(format!("`{name}`: {}", key.doc)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        let width = |key: &'static Key| (key.name == "model.hidden_size").then(|| Decimal::from(128));
        let value = Expression::read(text).and_then(|expression| expression.evaluate(&width));
        match value {
            Ok(value) => value.to_f64().to_string(),
            Err(mistake) => {
                let help = mistake.help.map(|help| format!(" ({help})")).unwrap_or_default();
                format!("`{}`: {}{help}", &text[mistake.span], mistake.message)
            }
        }
    }

    #[test]
    fn formulas_compute_or_say_where_they_fail() {
        let texts = [
            "4 * model.hidden_size",
            "0.1 + 0.2",
            "1 - 2 - 3",
            "2 + 3 * 4 / (1 + 1)",
            "-(2 - 5) * -1",
            "max(1, min(5, 3), 2) + floor(-0.5) + ceil(0.1) + round(2.5) + abs(-1)",
            "sqrt(model.hidden_size * 2) + log2(8)",
            "1e-3 * 5",
            "1 / (model.hidden_size - 128)",
            "sqrt(0 - 1)",
            "sqr(2)",
            "sine(2)",
            "floor(1, 2)",
            "4 * model.hidden_sise",
            "model.hidden_act",
            "train.seed",
            "train.steps",
            "(1 + 2",
            "1 2",
            "2 *",
            "1.2.3",
            "가",
            "",
        ];
        let shown: Vec<String> = texts.iter().map(|text| format!("{text} -> {}", check(text))).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        4 * model.hidden_size -> 512
        0.1 + 0.2 -> 0.3
        1 - 2 - 3 -> -4
        2 + 3 * 4 / (1 + 1) -> 8
        -(2 - 5) * -1 -> -3
        max(1, min(5, 3), 2) + floor(-0.5) + ceil(0.1) + round(2.5) + abs(-1) -> 7
        sqrt(model.hidden_size * 2) + log2(8) -> 19
        1e-3 * 5 -> 0.005
        1 / (model.hidden_size - 128) -> `(model.hidden_size - 128)`: this divides by zero
        sqrt(0 - 1) -> `0 - 1`: this is the root of a number below zero
        sqr(2) -> `sqr`: unknown function `sqr` (did you mean `sqrt`?)
        sine(2) -> `sine`: unknown function `sine` (the functions are min, max, floor, ceil, round, abs, sqrt, log2)
        floor(1, 2) -> `(1, 2)`: `floor` takes one number, not 2
        4 * model.hidden_sise -> `model.hidden_sise`: unknown key `model.hidden_sise` (did you mean `model.hidden_size`?)
        model.hidden_act -> `model.hidden_act`: `model.hidden_act` is not a number (`model.hidden_act`: The feed-forward activation)
        train.seed -> `train.seed`: a cell has no seed of its own (seeds repeat a cell: `[sweep.replicates]`)
        train.steps -> `train.steps`: `train.steps` has no value here
        (1 + 2 -> `(`: this parenthesis is not closed
        1 2 -> `2`: this is not expected here (an operator is one of + - * /)
        2 * -> ``: a number or a key is missing here (write for example 4 * model.hidden_size)
        1.2.3 -> `1.2.3`: this is not a number
        가 -> `가`: a number or a key is missing here (write for example 4 * model.hidden_size)
         -> ``: a number or a key is missing here (write for example 4 * model.hidden_size)
        ");
    }

    /// A made-up formula over small whole numbers, and its value by plain integers.
    fn formula() -> impl Strategy<Value = (String, i64)> {
        let leaf = (0i64..10).prop_map(|n| (n.to_string(), n));
        leaf.prop_recursive(4, 16, 2, |inner| {
            (inner.clone(), inner, 0..5usize).prop_map(|((a, x), (b, y), operator)| match operator {
                0 => (format!("({a} + {b})"), x + y),
                1 => (format!("({a} - {b})"), x - y),
                2 => (format!("{a}*({b})").replacen(&a, &format!("({a})"), 1), x * y),
                3 => (format!("max({a}, {b})"), x.max(y)),
                _ => (format!("-({a})"), -x),
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn formulas_of_whole_numbers_compute_like_integers((text, value) in formula()) {
            let found = Expression::read(&text).expect("a formula").evaluate(&|_| None).expect("a value");
            prop_assert_eq!(found, Decimal::from(value), "{}", text);
        }

        #[test]
        fn no_text_is_too_much(text in "[-+*/(), 0-9a-z._가]{0,20}") {
            if let Err(mistake) = Expression::read(&text) {
                prop_assert!(text.get(mistake.span).is_some(), "{}", text);
            }
        }
    }
}
