//! The weights of another run as the first of a model's own.

use super::parameters::Parameter;

/// Weights of another run that do not fit a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error("the weights to start from have no `{name}`, which this model needs {expected:?}")]
    Missing { name: String, expected: Vec<usize> },
    #[error("`{name}` is {found:?} in the weights to start from, and {expected:?} in this model")]
    Misshapen { name: String, found: Vec<usize>, expected: Vec<usize> },
}

/// What every model on BERT's body begins with.
const BODY: &str = "bert.";
/// The part of the body that pretraining without pairs has not.
pub const POOLER: &str = "bert.pooler.";

/// Whether the parameter of this name is of the body, which stages have in common.
pub fn is_of_body(name: &str) -> bool {
    name.starts_with(BODY)
}

/// Whether the model cannot begin without another run's values of the parameter of this name. Heads and the pooler are drawn
/// afresh where that run has none.
pub fn is_needed(name: &str) -> bool {
    is_of_body(name) && !name.starts_with(POOLER)
}

/// Gives the parameters that `takes` names the values that they have in `weights`.
///
/// # Errors
/// When one that is [needed](is_needed) is not there, or one has another shape.
pub fn take_over(own: &mut [Parameter], weights: &[Parameter], takes: impl Fn(&str) -> bool) -> Result<(), StartError> {
    for parameter in own.iter_mut().filter(|parameter| takes(&parameter.name)) {
        let (name, expected) = (parameter.name.clone(), parameter.shape.clone());
        match weights.iter().find(|theirs| theirs.name == name) {
            Some(theirs) if theirs.shape == expected => parameter.values.clone_from(&theirs.values),
            Some(theirs) => return Err(StartError::Misshapen { name, found: theirs.shape.clone(), expected }),
            None if is_needed(&name) => return Err(StartError::Missing { name, expected }),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, values: &[f32]) -> Parameter {
        Parameter { name: name.to_owned(), shape: vec![values.len()], values: values.to_vec() }
    }

    #[test]
    fn what_the_other_run_has_is_taken_and_a_head_that_it_lacks_stays_as_drawn() {
        let fresh = || ["bert.a", "bert.pooler.w", "cls.b", "cls.c"].map(|name| parameter(name, &[0.0, 0.0]));
        let theirs = [parameter("bert.a", &[1.0, 2.0]), parameter("cls.c", &[5.0, 6.0]), parameter("x", &[9.0])];
        let mut own = fresh();
        take_over(&mut own, &theirs, |_| true).unwrap();
        assert_eq!(own.map(|its| its.values[0]), [1.0, 0.0, 0.0, 5.0]);
        let mut own = fresh();
        take_over(&mut own, &theirs, is_of_body).unwrap();
        assert_eq!(own.map(|its| its.values[0]), [1.0, 0.0, 0.0, 0.0]);
        let missing = take_over(&mut fresh(), &theirs[1..], |_| true);
        assert_eq!(missing, Err(StartError::Missing { name: "bert.a".into(), expected: vec![2] }));
        let misshapen = take_over(&mut fresh(), &[parameter("bert.a", &[1.0])], |_| true);
        assert_eq!(misshapen, Err(StartError::Misshapen { name: "bert.a".into(), found: vec![1], expected: vec![2] }));
    }
}
