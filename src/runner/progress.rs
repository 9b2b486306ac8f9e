//! What a run is doing, read from what its log gained since the last look: whoever launched it, and on whatever machine.

use crate::store::{Event, LogPlace, Metrics, RunDir};
use crate::types::MetricName;

/// What people follow of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// What the worker does before its first step.
    Phase(&'static str),
    /// Steps done of all steps, the loss of the last one (absent when it is not a number), and real tokens per second.
    Step { step: u64, steps: u64, loss: Option<f64>, tokens_per_s: f64 },
    /// The held-out loss of an evaluation.
    Evaluation { step: u64, metric: MetricName, value: f64 },
    /// Something a person should know.
    Warning(String),
}

/// Reads a log while it is written. Progress is only for people who watch: what cannot be read is passed over.
#[derive(Debug)]
pub struct LogFollower {
    run: RunDir,
    /// After the last record that was read.
    place: LogPlace,
    steps: u64,
}

impl LogFollower {
    /// Follows what `run` records from now on.
    pub fn new(run: &RunDir) -> Self {
        let mut follower = Self { run: run.clone(), place: LogPlace::START, steps: 0 };
        follower.new_events();
        follower
    }

    /// What happened since the last call: of steps only the last, of everything else all.
    pub fn news(&mut self) -> Vec<Progress> {
        let (mut news, mut last_step) = (Vec::new(), None);
        for event in self.new_events() {
            match event {
                Event::Fact { name, .. } if name == "execution" => news.push(Progress::Phase("preparing data")),
                Event::Fact { name, value } if name == "total_steps" => {
                    self.steps = value.as_u64().unwrap_or_default();
                    news.push(Progress::Phase("training"));
                }
                Event::Warning { text } => news.push(Progress::Warning(text)),
                Event::Step { step, metrics, .. } => last_step = Some((step.0, metrics)),
                Event::Evaluation { step, metrics } => {
                    let is_loss =
                        |(name, _): &&(MetricName, f64)| ["valid/mlm_loss", "valid/loss"].contains(&name.as_str());
                    let found = metrics.0.iter().find(is_loss).cloned();
                    news.extend(found.map(|(metric, value)| Progress::Evaluation { step: step.0, metric, value }));
                }
                Event::State { .. }
                | Event::Fact { .. }
                | Event::Checkpoint { .. }
                | Event::Resumed { .. }
                | Event::Points { .. }
                | Event::Parameters { .. } => {}
            }
        }
        news.extend(last_step.map(|(step, metrics)| self.step(step, &metrics)));
        news
    }

    fn step(&self, step: u64, metrics: &Metrics) -> Progress {
        let value = |name: &str| metrics.0.iter().find(|(n, _)| n.as_str() == name).map(|&(_, value)| value);
        let loss = value("train/loss").filter(|loss| loss.is_finite());
        let tokens_per_s = value("time/tokens_per_s").unwrap_or_default();
        Progress::Step { step, steps: self.steps.max(step), loss, tokens_per_s }
    }

    /// The whole records that were added since the last call. A torn one is waited for; the next writer cuts it off.
    fn new_events(&mut self) -> Vec<Event> {
        let Ok(mut reader) = self.run.events_since(self.place) else { return Vec::new() };
        let events = reader.by_ref().map_while(Result::ok).collect();
        self.place = reader.reached();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::store::{ChainDigest, RunState};
    use crate::types::{Step, Timestamp};

    fn step(step: u64, loss: f64) -> Event {
        let metrics = Metrics(vec![("train/loss".parse().unwrap(), loss), ("time/tokens_per_s".parse().unwrap(), 8.0)]);
        Event::Step { step: Step(step), chain: ChainDigest(step), metrics }
    }

    #[test]
    fn a_follower_tells_what_is_new_and_of_steps_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        let run = testing::new_run(&sources.store, 1);
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        log.append(&step(1, 9.0)).unwrap();
        let mut follower = LogFollower::new(&run);
        assert_eq!(follower.news(), [], "what is past is no news");
        let evaluation = Metrics(vec![("valid/loss".parse().unwrap(), 4.0)]);
        for event in [
            Event::Fact { name: "total_steps".into(), value: 40.into() },
            step(2, 8.0),
            Event::Evaluation { step: Step(2), metrics: evaluation },
            Event::Warning { text: "beware".into() },
            step(3, f64::NAN),
            Event::State { state: RunState::Finished, reason: None, at: Timestamp::from_unix_millis(0) },
        ] {
            log.append(&event).unwrap();
        }
        let expected = [
            Progress::Phase("training"),
            Progress::Evaluation { step: 2, metric: "valid/loss".parse().unwrap(), value: 4.0 },
            Progress::Warning("beware".into()),
            Progress::Step { step: 3, steps: 40, loss: None, tokens_per_s: 8.0 },
        ];
        assert_eq!(follower.news(), expected);
        assert_eq!(follower.news(), []);
    }

    /// A torn line is no news until it is whole, and none when the next writer cuts it off.
    #[test]
    fn a_torn_line_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        let run = testing::new_run(&sources.store, 1);
        let append = |bytes: &[u8]| {
            let mut file = std::fs::OpenOptions::new().append(true).open(run.events_path()).unwrap();
            std::io::Write::write_all(&mut file, bytes).unwrap();
        };
        append(b"12345678 {\"step\":");
        let mut follower = LogFollower::new(&run);
        assert_eq!(follower.news(), []);
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        log.append(&step(1, 9.0)).unwrap();
        assert_eq!(follower.news(), [Progress::Step { step: 1, steps: 1, loss: Some(9.0), tokens_per_s: 8.0 }]);
        append(b"12345678 {\"st");
        assert_eq!(follower.news(), []);
    }
}
