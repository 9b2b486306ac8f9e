//! A launcher that only pretends: its workers write into a run's folder what real ones would, in no time.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{Exit, Handle, LaunchError, Launcher};
use crate::plan::{RunSpec, TrainLength};
use crate::store::{ChainDigest, Event, Metrics, RunDir, RunState};
use crate::types::{RunId, Step, Timestamp};

/// What a worker does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// It trains as far as it is asked; every evaluation finds this loss.
    Trains(f64),
    Fails(&'static str),
    /// It is killed from outside after so many steps.
    IsKilled(u64),
    /// It dies by its own fault, with this in its log.
    Crashes(&'static str),
    /// It cannot be started at all.
    IsNot,
}

/// Says what a worker does, by the specification and the times that its run was launched before.
type Script<'a> = Box<dyn Fn(&RunSpec, usize) -> Act + 'a>;

/// What was launched: the run, and the step that it was asked for.
pub type Launched = (RunId, Option<u64>);

/// Executes a script.
pub struct FakeLauncher<'a> {
    slots: usize,
    script: Script<'a>,
    /// Called at every look, with the number of the look.
    pub at_look: Box<dyn FnMut(usize) + 'a>,
    looks: usize,
    working: VecDeque<(Handle, RunDir, Option<u64>, Act)>,
    pub launched: Vec<Launched>,
    pub stopped: BTreeSet<Handle>,
    pub most_at_once: usize,
}

impl<'a> FakeLauncher<'a> {
    /// So many workers at a time, who do as the script says.
    pub fn new(slots: usize, script: impl Fn(&RunSpec, usize) -> Act + 'a) -> Self {
        Self {
            slots,
            script: Box::new(script),
            at_look: Box::new(|_| {}),
            looks: 0,
            working: VecDeque::new(),
            launched: Vec::new(),
            stopped: BTreeSet::new(),
            most_at_once: 0,
        }
    }
}

impl Launcher for FakeLauncher<'_> {
    fn launch(&mut self, run: &RunDir, until: Option<u64>) -> Result<Handle, LaunchError> {
        let before = self.launched.iter().filter(|(id, _)| id == run.id()).count();
        let act = (self.script)(&run.read_spec()?, before);
        self.launched.push((run.id().clone(), until));
        if let Act::IsNot = act {
            let source = std::io::Error::other("no such program");
            return Err(LaunchError::Spawn { program: "ablate".into(), source });
        }
        let handle = Handle(self.launched.len() as u64);
        self.working.push_back((handle, run.clone(), until, act));
        self.most_at_once = self.most_at_once.max(self.working.len());
        Ok(handle)
    }

    fn poll(&mut self, _: Duration) -> Vec<(Handle, Exit)> {
        (self.at_look)(self.looks);
        self.looks += 1;
        let Some((handle, run, until, act)) = self.working.pop_front() else { return Vec::new() };
        let exit = perform(&run, until, act, self.stopped.contains(&handle));
        vec![(handle, exit)]
    }

    fn stop(&mut self, worker: Handle) {
        self.stopped.insert(worker);
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn threads(&self) -> usize {
        1
    }
}

/// Writes what the worker does; one that was asked to stop does so after a step.
pub fn perform(run: &RunDir, until: Option<u64>, act: Act, is_stopped: bool) -> Exit {
    let lease = run.acquire_lease().expect("a free run");
    let (spec, history) = (run.read_spec().expect("a specification"), run.read_history().expect("a history"));
    let mut log = run.open_log(&lease).expect("a log");
    let at = |secs: u64| Timestamp::from_unix_millis(secs as i64 * 1_000);
    let state = |state, reason: Option<&str>| Event::State { state, reason: reason.map(str::to_owned), at: at(2) };
    let mut write = |event: Event| log.append(&event).expect("an appended record");
    let TrainLength::Steps(total) = spec.train().length else { panic!("a run of epochs") };
    let begin = history.last_step();
    write(state(RunState::Running, None));
    write(Event::Resumed { step: begin, at: at(2) });
    let asked = until.unwrap_or(total).min(total);
    let (end, loss) = match act {
        Act::Trains(loss) if !is_stopped => (asked, loss),
        Act::Trains(loss) => (begin.0 + 1, loss),
        Act::IsKilled(steps) => (begin.0 + steps, 1.0),
        Act::Fails(_) | Act::Crashes(_) | Act::IsNot => (begin.0, 1.0),
    };
    let metrics = |names: &[&str]| Metrics(names.iter().map(|name| (name.parse().expect("a metric"), loss)).collect());
    for step in begin.0 + 1..=end {
        write(Event::Step { step: Step(step), chain: ChainDigest(step), metrics: metrics(&["train/loss"]) });
        if step % spec.train().eval_every == 0 || step == total {
            let metrics = metrics(&["valid/mlm_loss", "valid/mlm_loss_mask"]);
            write(Event::Evaluation { step: Step(step), metrics });
        }
    }
    let ended = Exit::Ended { how: "exit status: 0".to_owned() };
    match act {
        Act::IsKilled(_) => return Exit::Killed { how: "signal: 9 (SIGKILL)".to_owned() },
        Act::Crashes(said) => {
            std::fs::write(run.text_log_path(), said).expect("a log of words");
            return Exit::Ended { how: "exit status: 101".to_owned() };
        }
        Act::Fails(reason) => write(state(RunState::Failed, Some(reason))),
        _ if is_stopped => write(state(RunState::Interrupted, Some("asked to stop"))),
        _ if end < total => write(state(RunState::Stopped, Some("at a rung, to be compared"))),
        _ => write(state(RunState::Finished, None)),
    }
    ended
}
