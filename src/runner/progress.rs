//! What a run is doing, read from what its log gained since the last look: whoever launched it, and on whatever machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::store::{Event, EventReader, Metrics, RunDir};
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
    path: PathBuf,
    /// The first line, by which a reader knows the log's version.
    header: Vec<u8>,
    /// Where the first line begins that was not read yet.
    offset: u64,
    steps: u64,
}

impl LogFollower {
    /// Follows what `run` records from now on.
    pub fn new(run: &RunDir) -> Self {
        let mut follower = Self { path: run.events_path(), header: Vec::new(), offset: 0, steps: 0 };
        // A log that cannot be read now may be readable later.
        let _ = follower.skip_past();
        follower
    }

    /// What happened since the last call: of steps only the last, of everything else all.
    pub fn news(&mut self) -> Vec<Progress> {
        let Ok(events) = self.read_new_events() else { return Vec::new() };
        let (mut news, mut last_step) = (Vec::new(), None);
        for event in events {
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
                Event::State { .. } | Event::Fact { .. } | Event::Checkpoint { .. } | Event::Resumed { .. } => {}
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

    /// Goes past the whole lines that are there.
    fn skip_past(&mut self) -> io::Result<()> {
        let mut log = BufReader::new(File::open(&self.path)?);
        log.read_until(b'\n', &mut self.header)?;
        let end = log.seek(SeekFrom::End(0))?;
        // Whole but for the last line, which a crash may have torn; no line is longer than this.
        const LONGEST_LINE: u64 = 1 << 16;
        let start = end.saturating_sub(LONGEST_LINE);
        log.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        log.read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
        self.offset = start + whole;
        Ok(())
    }

    fn read_new_events(&mut self) -> io::Result<Vec<Event>> {
        if self.header.is_empty() {
            self.skip_past()?;
        }
        let mut log = File::open(&self.path)?;
        let len = log.metadata()?.len();
        // The next writer cuts off what a crash tore.
        self.offset = self.offset.min(len);
        if self.offset == len {
            return Ok(Vec::new());
        }
        log.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes)?;
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
        self.offset += bytes.len() as u64;
        let source = self.header.as_slice().chain(bytes.as_slice());
        Ok(EventReader::new(source, &self.path).map_while(Result::ok).collect())
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
            io::Write::write_all(&mut file, bytes).unwrap();
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
