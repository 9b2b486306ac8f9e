//! What the digest chain of steps and evaluations says about a log: whether its records follow from each other, and which
//! checkpoints it leads to.
//!
//! Logs of version 1 have no links between their lines, but every step carries the digest chain: a step or evaluation
//! that is missing, changed, moved or another run's leads to another digest. A checkpoint carries the chain as well, and
//! may only be gone on from where the log leads to the same: else the steps between the two would be in no record.

use super::event::{ChainDigest, Event};
use crate::types::{Chain, ContentHash, MetricName, SpecHash, Step};

/// The digest chain, counted anew from a log's records.
#[derive(Clone, Debug)]
pub struct Continuity {
    start: Chain,
    chain: Counted,
    /// The chain after steps that can be gone on from, the oldest first: of each checkpoint, and of each step since the
    /// last one.
    after: Vec<(Step, Counted)>,
    /// How many of these are of checkpoints.
    checkpoints: usize,
}

/// Every digest chain that the records so far can have given. There are several after a value that was not a number: the
/// chain has its bits, the log has not. The next digest tells which it was. Empty: too many to tell.
type Counted = Vec<Chain>;

/// What is not a number, as processors make it: 0 / 0 on x86 has the sign, elsewhere and in the library it has not.
const NOT_A_NUMBER: [u64; 2] = [0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0000];

/// How many of them in one record are told apart.
const MOST_UNKNOWN: usize = 4;

impl Continuity {
    /// Before the first record of a run of `spec`.
    pub fn start(spec: SpecHash) -> Self {
        let start = Chain::start(spec);
        Self { start, chain: vec![start], after: Vec::new(), checkpoints: 0 }
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// When it does not follow from those before it. What follows is held against its own digests again.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Step { step, chain, metrics } => {
                self.extend(*step, &metrics.0);
                let is_right = self.settle(|counted| ChainDigest::of(&counted.hash()) == *chain);
                if is_right {
                    Ok(())
                } else {
                    Err(format!("the digest of step {step} does not follow from the records before it"))
                }
            }
            Event::Evaluation { step, metrics } => {
                self.extend(*step, &metrics.0);
                Ok(())
            }
            Event::Checkpoint { step, .. } => {
                self.keep(*step);
                Ok(())
            }
            Event::Resumed { step, .. } => self.resume(*step),
            Event::Fact { name, value } if name == "final_chain" => {
                let is_right = self.settle(|counted| value.as_str() == Some(&counted.hash().to_string()));
                if is_right {
                    Ok(())
                } else {
                    Err("the final digest does not follow from the records before it".to_owned())
                }
            }
            _ => Ok(()),
        }
    }

    /// Whether the records lead to the state after `step` with this digest chain.
    pub fn reaches(&self, step: Step, chain: &ContentHash) -> bool {
        // Where there are too many to tell, no more can be said than that the step is there.
        self.at(step).is_some_and(|counted| counted.is_empty() || counted.iter().any(|its| its.hash() == *chain))
    }

    fn at(&self, step: Step) -> Option<Counted> {
        if step == Step(0) {
            return Some(vec![self.start]);
        }
        self.after.iter().rev().find(|(its, _)| *its == step).map(|(_, counted)| counted.clone())
    }

    /// Keeps the chains that a recorded digest allows; whether there are any, or it cannot be told.
    fn settle(&mut self, is_right: impl Fn(&Chain) -> bool) -> bool {
        if self.chain.is_empty() {
            return true;
        }
        let kept: Counted = self.chain.iter().copied().filter(is_right).collect();
        let is_any = !kept.is_empty();
        if is_any {
            self.chain = kept;
            if let Some(last) = self.after.last_mut() {
                last.1.clone_from(&self.chain);
            }
        }
        is_any
    }

    fn extend(&mut self, step: Step, metrics: &[(MetricName, f64)]) {
        let is_unknown = |(name, value): &(MetricName, f64)| name.is_deterministic() && value.is_nan();
        let unknown: Vec<usize> = (0..metrics.len()).filter(|&i| is_unknown(&metrics[i])).collect();
        if unknown.len() > MOST_UNKNOWN || self.chain.len() > 1 << MOST_UNKNOWN {
            self.chain.clear();
        }
        let before = std::mem::take(&mut self.chain);
        for choice in 0..1_usize << unknown.len().min(MOST_UNKNOWN) {
            let mut metrics = metrics.to_vec();
            for (bit, &i) in unknown.iter().enumerate() {
                metrics[i].1 = f64::from_bits(NOT_A_NUMBER[choice >> bit & 1]);
            }
            self.chain.extend(before.iter().copied().map(|mut chain| {
                chain.extend_named(step, metrics.iter().map(|(name, value)| (name.as_str(), *value)));
                chain
            }));
        }
        match self.after.last_mut() {
            Some(last) if last.0 == step => last.1.clone_from(&self.chain),
            _ => self.after.push((step, self.chain.clone())),
        }
    }

    /// A checkpoint of `step` is there: of the steps before it only checkpoints can be gone on from.
    fn keep(&mut self, step: Step) {
        if let Some(chain) = self.at(step).filter(|_| step != Step(0)) {
            self.after.truncate(self.checkpoints);
            self.after.retain(|(its, _)| *its < step);
            self.after.push((step, chain));
            self.checkpoints = self.after.len();
        }
    }

    fn resume(&mut self, step: Step) -> Result<(), String> {
        let found = self.at(step);
        self.after.retain(|(its, _)| *its <= step);
        self.checkpoints = self.after.len();
        let is_there = found.is_some();
        self.chain = found.unwrap_or_default();
        if is_there { Ok(()) } else { Err(format!("training resumes after step {step}, of which there is no record")) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::event::Metrics;
    use super::super::testing::{at, checkpoint, evaluation, step};
    use super::*;

    fn spec() -> SpecHash {
        SpecHash(ContentHash::of(b"spec"))
    }

    fn resumed(step: u64) -> Event {
        Event::Resumed { step: Step(step), at: at(0) }
    }

    /// A log as a trainer writes it that is stopped and started again: after each leg it goes on from one of the
    /// checkpoints so far; with the chain after each step and its evaluation, of the newest time that it was made.
    fn trained(legs: &[(u64, usize)]) -> (Vec<Event>, BTreeMap<u64, ContentHash>) {
        let (mut events, mut saved) = (Vec::new(), vec![(0, Chain::start(spec()))]);
        let mut after = BTreeMap::new();
        for &(steps, from) in legs {
            let (start, mut chain) = saved[from % saved.len()];
            saved.truncate(from % saved.len() + 1);
            after.retain(|&step, _| step <= start);
            events.push(resumed(start));
            for number in start + 1..=start + steps {
                let Event::Step { step, metrics, .. } = step(number, 1.0 / number as f64) else { unreachable!() };
                chain.extend_named(step, metrics.0.iter().map(|(name, value)| (name.as_str(), *value)));
                events.push(Event::Step { step, chain: ChainDigest::of(&chain.hash()), metrics });
                if number % 3 == 0 {
                    let measured = evaluation(number, 2.0 / number as f64);
                    if let Event::Evaluation { metrics, .. } = &measured {
                        chain.extend_named(step, metrics.0.iter().map(|(name, value)| (name.as_str(), *value)));
                    }
                    events.push(measured);
                }
                after.insert(number, chain.hash());
                if number % 4 == 0 {
                    events.push(checkpoint(number));
                    saved.push((number, chain));
                }
            }
        }
        (events, after)
    }

    fn first_fault(events: &[Event]) -> Option<usize> {
        let mut continuity = Continuity::start(spec());
        events.iter().position(|event| continuity.take(event).is_err())
    }

    fn any_legs() -> impl Strategy<Value = Vec<(u64, usize)>> {
        prop::collection::vec((1..14u64, 0..5usize), 1..5)
    }

    proptest! {
        #[test]
        fn what_a_trainer_writes_is_whole_and_leads_to_its_checkpoints(legs in any_legs()) {
            let (events, after) = trained(&legs);
            let mut continuity = Continuity::start(spec());
            for event in &events {
                prop_assert_eq!(continuity.take(event), Ok(()));
                if let Event::Step { step, chain, .. } = event {
                    prop_assert!(step.0 % 3 == 0 || ChainDigest::of(&continuity.chain[0].hash()) == *chain);
                }
            }
            let last = after.keys().last().copied().unwrap_or(0);
            for step in (4..=last).step_by(4) {
                prop_assert!(continuity.reaches(Step(step), &after[&step]), "step {}", step);
                prop_assert!(!continuity.reaches(Step(step), &ContentHash::of(b"other")));
            }
            prop_assert!(!continuity.reaches(Step(last + 1), &spec().0));
        }

        /// A step or evaluation that is taken out or changed is noticed no later than with the next step.
        #[test]
        fn a_lost_or_changed_record_is_noticed(legs in any_legs(), which: prop::sample::Index, is_lost: bool) {
            let (mut events, _) = trained(&legs);
            let measured: Vec<usize> = (0..events.len())
                .filter(|&i| matches!(events[i], Event::Step { .. } | Event::Evaluation { .. }))
                .collect();
            let at = *which.get(&measured);
            let is_followed = matches!(events.get(at + 1), Some(Event::Step { .. } | Event::Evaluation { .. }))
                && events[at + 1..].iter().any(|event| matches!(event, Event::Step { .. }));
            prop_assume!(is_followed || matches!(events[at], Event::Step { .. }) && !is_lost);
            match (&mut events[at], is_lost) {
                (Event::Step { metrics, .. } | Event::Evaluation { metrics, .. }, false) => metrics.0[0].1 += 1e-9,
                _ => drop(events.remove(at)),
            }
            let fault = first_fault(&events);
            let next_leg = events[at..].iter().position(|event| matches!(event, Event::Resumed { .. }));
            // What is lost at the very end of a leg is made again by the next.
            prop_assert!(fault.is_some() || next_leg.is_some(), "{:?}", events);
        }
    }

    #[test]
    fn going_on_from_a_step_that_is_not_there_is_noticed() {
        let (mut events, _) = trained(&[(6, 0), (3, 1)]);
        assert_eq!(first_fault(&events), None);
        let resumed = events.iter().rposition(|event| matches!(event, Event::Resumed { .. })).unwrap();
        events.drain(3..resumed);
        assert_eq!(first_fault(&events), Some(3));
    }

    #[test]
    fn the_end_is_held_against_the_chain() {
        let (mut events, after) = trained(&[(7, 0)]);
        let end = |hash: &ContentHash| Event::Fact { name: "final_chain".into(), value: hash.to_string().into() };
        events.push(end(&after[&7]));
        assert_eq!(first_fault(&events), None);
        events.pop();
        events.push(end(&after[&6]));
        assert_eq!(first_fault(&events), Some(events.len() - 1));
    }

    /// A log says NaN; the chain has its bits, whichever they are.
    #[test]
    fn what_is_not_a_number_is_found_out_by_the_next_digest() {
        for bits in NOT_A_NUMBER {
            let name = |text: &str| text.parse::<MetricName>().unwrap();
            let measured = |step: u64, value: f64| (Step(step), vec![(name("valid/a"), value), (name("valid/b"), 1.0)]);
            let mut chain = Chain::start(spec());
            let mut events = vec![resumed(0)];
            for number in 1..4 {
                let (step, metrics) = measured(number, f64::from_bits(bits));
                chain.extend_named(step, metrics.iter().map(|(name, value)| (name.as_str(), *value)));
                events.push(Event::Step {
                    step,
                    chain: ChainDigest::of(&chain.hash()),
                    metrics: Metrics(metrics.clone()),
                });
                chain.extend_named(step, metrics.iter().map(|(name, value)| (name.as_str(), *value)));
                events.push(Event::Evaluation { step, metrics: Metrics(metrics) });
            }
            assert_eq!(first_fault(&events), None);
            let mut continuity = Continuity::start(spec());
            events.iter().for_each(|event| continuity.take(event).unwrap());
            assert!(continuity.reaches(Step(3), &chain.hash()) && !continuity.reaches(Step(2), &chain.hash()));
            events.remove(2);
            assert_eq!(first_fault(&events), Some(2));
        }
    }
}
