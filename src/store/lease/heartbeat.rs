//! Rights where locks do nothing: who has one gives signs of life, and who was not heard of for a while has lost it.
//!
//! ```text
//! .claims/beats/run-7h2kq9xw/4-held/beat     {"holder":{"host":"node3","pid":4242,...},"beat":17}
//! ```
//!
//! A right is a folder whose name holds a number, the *token*; it is taken by renaming the folder to the next number, which of any
//! number of claimants one can do, on every file system. The holder writes `beat` anew every [`BEAT_SECS`]. Who looks counts by its own clock how
//! long that file has stayed the same ([`sight`]): after [`LOST_SECS`] the holder is dead to the world and the right may be taken over.
//! On the holder's own machine the process itself is looked for: one that was suspended lives, one that was killed is dead at once.
//!
//! A holder that comes back late finds no folder of its token: it can write no beat, so it learns that it lost the right. It asks before
//! each write unless it wrote a beat within [`SURE_SECS`], so short that nobody can have taken the right since. A write that was
//! on its way meanwhile goes into a file that is not the log any more (see [`EventLog`](super::super::EventLog)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::error::{StoreError, io_error};
use super::holder::Holder;
use super::sight;
use crate::{clock, durable};

/// Seconds from a beat to the next.
const BEAT_SECS: f64 = if cfg!(test) { 0.05 } else { 5.0 };
/// Seconds after a beat in which its holder need not ask whether it still has the right.
const SURE_SECS: f64 = if cfg!(test) { 0.2 } else { 10.0 };
/// Seconds without a beat after which a holder is taken for dead.
pub const LOST_SECS: f64 = if cfg!(test) { 0.6 } else { 20.0 };

const BEAT: &str = "beat";

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Beat {
    holder: Holder,
    beat: u64,
}

/// A folder that stands for a right: `4-held`, `4-free`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Token {
    number: u64,
    is_held: bool,
}

impl Token {
    fn name(&self) -> String {
        format!("{}-{}", self.number, if self.is_held { "held" } else { "free" })
    }

    fn read(name: &str) -> Option<Self> {
        let (number, word) = name.split_once('-')?;
        let token = Self { number: number.parse().ok()?, is_held: word == "held" };
        (token.name() == name).then_some(token)
    }

    /// After its holder gave it back.
    fn freed(&self) -> Self {
        Self { number: self.number, is_held: false }
    }

    /// What whoever takes it has.
    fn next(&self) -> Self {
        Self { number: self.number + 1, is_held: true }
    }
}

/// A right that this process has, until dropped.
#[derive(Debug)]
pub struct Held {
    pulse: Arc<Pulse>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Whether it was taken from a holder that never gave it back.
    pub is_taken_over: bool,
}

/// Proves of a right, before each write, that it was not lost.
#[derive(Clone, Debug)]
pub struct Fence(Arc<Pulse>);

#[derive(Debug)]
struct Pulse {
    /// Where the folders of the right are.
    place: PathBuf,
    token: Token,
    what: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    beat: Beat,
    /// When the last beat was begun that came to be.
    at_secs: f64,
    is_lost: bool,
}

impl Fence {
    /// Whether the right is still this process's.
    ///
    /// # Errors
    /// [`StoreError::Displaced`] when another took it over, or why that cannot be found out.
    pub fn check(&self) -> Result<(), StoreError> {
        let mut state = self.0.state();
        match clock::secs_with_sleep() - state.at_secs < SURE_SECS && !state.is_lost {
            true => Ok(()),
            false => self.0.beat(&mut state),
        }
    }
}

impl Pulse {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self) -> PathBuf {
        self.place.join(self.token.name())
    }

    /// Gives a sign of life.
    fn beat(&self, state: &mut State) -> Result<(), StoreError> {
        let displaced =
            || StoreError::Displaced { what: self.what.clone(), silent_secs: LOST_SECS, path: self.place.clone() };
        if state.is_lost {
            return Err(displaced());
        }
        let at_secs = clock::secs_with_sleep();
        let next = Beat { beat: state.beat.beat + 1, ..state.beat.clone() };
        match write(&self.folder(), &next) {
            Ok(()) => {
                (state.beat, state.at_secs) = (next, at_secs);
                Ok(())
            }
            // A folder of another number is another's.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                state.is_lost = true;
                Err(displaced())
            }
            Err(error) => Err(StoreError::io("write a sign of life to", &self.folder(), error)),
        }
    }
}

impl Held {
    /// Takes the right that is kept at `place`; `None` when another has it.
    pub fn take(place: &Path, what: &str) -> Result<Option<Self>, StoreError> {
        Self::take_as(Holder::this(), place, what)
    }

    fn take_as(holder: Holder, place: &Path, what: &str) -> Result<Option<Self>, StoreError> {
        fs::create_dir_all(place).map_err(io_error("create", place))?;
        let failed = || io_error("take a right in", place);
        let beat = Beat { holder, beat: 0 };
        let found = newest(place)?;
        let at_secs = clock::secs_with_sleep();
        let token = match &found {
            None => Token { number: 1, is_held: true },
            Some(found) => found.next(),
        };
        let mine = place.join(token.name());
        let mut is_taken_over = false;
        match &found {
            None => {
                let building = durable::new_folder(place).map_err(failed())?;
                write(building.path(), &beat).map_err(failed())?;
                if durable::publish_folder(building, &mine).is_err() {
                    return Ok(None);
                }
            }
            Some(found) => {
                let theirs = place.join(found.name());
                let last = content(&theirs);
                if found.is_held && is_alive(&theirs, &last) {
                    return Ok(None);
                }
                match fs::rename(&theirs, &mine) {
                    Ok(()) => {}
                    // Another was faster, or the holder gave it back just now.
                    Err(error) if is_taken(&error) => return Ok(None),
                    Err(error) => return Err(failed()(error)),
                }
                // Its holder came back after it was looked at: it shall have it.
                if found.is_held && content(&mine) != last {
                    let _ = fs::rename(&mine, &theirs);
                    return Ok(None);
                }
                sight::forget(&theirs);
                match write(&mine, &beat) {
                    Ok(()) => is_taken_over = found.is_held,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(failed()(error)),
                }
            }
        }
        // A list of names that was old when it was read: the newer right counts.
        if newest(place)?.as_ref() != Some(&token) {
            // Never removed: numbers only grow.
            let _ = fs::rename(&mine, place.join(token.freed().name()));
            return Ok(None);
        }
        let state = Mutex::new(State { beat, at_secs, is_lost: false });
        let pulse = Arc::new(Pulse { place: place.to_owned(), token, what: what.to_owned(), state });
        let (stop, stopped) = mpsc::channel();
        let beating = pulse.clone();
        let work = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Duration::from_secs_f64(BEAT_SECS)) {
                let mut state = beating.state();
                if matches!(beating.beat(&mut state), Err(StoreError::Displaced { .. })) {
                    return;
                }
            }
        };
        let builder = thread::Builder::new().name("heartbeat".to_owned()).stack_size(128 << 10);
        let thread = builder.spawn(work).map_err(failed())?;
        Ok(Some(Self { pulse, stop: Some(stop), thread: Some(thread), is_taken_over }))
    }

    /// What writes are to be preceded by.
    pub fn fence(&self) -> Fence {
        Fence(self.pulse.clone())
    }
}

impl Drop for Held {
    /// Gives the right back.
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        // What was lost is not there to be given back; what cannot be given back is lost after a while.
        let _ = fs::rename(self.pulse.folder(), self.pulse.place.join(self.pulse.token.freed().name()));
        self.pulse.state().is_lost = true;
    }
}

/// Whether somebody has the right that is kept at `place`.
pub fn is_held(place: &Path) -> Result<bool, StoreError> {
    let Some(token) = newest(place)?.filter(|token| token.is_held) else { return Ok(false) };
    let folder = place.join(token.name());
    let beat = content(&folder);
    Ok(is_alive(&folder, &beat))
}

/// Whether the holder whose last sign of life this is must be taken for living.
fn is_alive(folder: &Path, last: &[u8]) -> bool {
    let holder = serde_json::from_slice::<Beat>(last).ok().map(|beat| beat.holder);
    match holder.and_then(|holder| holder.is_alive()) {
        Some(is_alive) => is_alive,
        None => sight::unchanged_secs(folder, last) < LOST_SECS,
    }
}

/// The token of the largest number; of two with one number the one that is held.
fn newest(place: &Path) -> Result<Option<Token>, StoreError> {
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("list", place, error)),
    };
    let mut newest = None;
    for entry in entries {
        let name = entry.map_err(io_error("list", place))?.file_name();
        newest = newest.max(name.to_str().and_then(Token::read));
    }
    Ok(newest)
}

/// The last sign of life in a folder; nothing when the folder is another's by now, or what is there is no sign of life.
fn content(folder: &Path) -> Vec<u8> {
    const LONGEST: u64 = 1 << 12;
    let path = folder.join(BEAT);
    let is_one = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= LONGEST);
    if is_one { fs::read(path).unwrap_or_default() } else { Vec::new() }
}

/// Puts a sign of life into a folder, whole or not at all.
fn write(folder: &Path, beat: &Beat) -> io::Result<()> {
    let next = folder.join("next");
    fs::write(&next, serde_json::to_vec(beat)?)?;
    fs::rename(next, folder.join(BEAT))
}

/// Whether a folder could not be renamed because it is gone, or because there is one of the new name.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder on another machine, whose process this one cannot see: nobody beats for it but the test.
    fn elsewhere(place: &Path, host: &str) -> Option<Held> {
        let mut held = Held::take_as(Holder::elsewhere(host), place, "run x").unwrap()?;
        drop(held.stop.take());
        held.thread.take().unwrap().join().unwrap();
        Some(held)
    }

    /// Lets it die without giving anything back.
    fn die(held: Held) {
        held.pulse.state().is_lost = true;
        std::mem::forget(held);
    }

    fn beat(held: &Held) -> Result<(), StoreError> {
        held.pulse.beat(&mut held.pulse.state())
    }

    /// Looks for a while.
    fn is_held_for(place: &Path, secs: f64) -> bool {
        let stopwatch = clock::Stopwatch::start();
        while stopwatch.elapsed_secs() < secs {
            if !is_held(place).unwrap() {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    #[test]
    fn a_holder_elsewhere_lives_as_long_as_it_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        let holder = elsewhere(&place, "b").unwrap();
        for _ in 0..4 {
            assert!(is_held_for(&place, LOST_SECS / 2.0));
            assert!(Held::take(&place, "x").unwrap().is_none());
            beat(&holder).unwrap();
        }
        assert!(!is_held_for(&place, LOST_SECS * 3.0), "it is silent");
        // It was not taken over yet: nothing was lost.
        beat(&holder).unwrap();
        assert!(is_held(&place).unwrap() && holder.fence().check().is_ok());
        die(holder);
        assert!(!is_held_for(&place, LOST_SECS * 3.0));
        let next = Held::take(&place, "x").unwrap().unwrap();
        assert!(next.is_taken_over && is_held_for(&place, LOST_SECS * 2.0), "this process lives, and is heard");
        drop(next);
        assert!(!is_held(&place).unwrap());
        assert!(!Held::take(&place, "x").unwrap().unwrap().is_taken_over);
    }

    #[test]
    fn who_comes_back_late_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        let late = elsewhere(&place, "b").unwrap();
        let fence = late.fence();
        fence.check().unwrap();
        while is_held(&place).unwrap() {
            thread::sleep(Duration::from_millis(10));
        }
        let next = Held::take(&place, "x").unwrap().unwrap();
        for _ in 0..2 {
            let refused = fence.check().unwrap_err();
            assert!(matches!(refused, StoreError::Displaced { .. }), "{refused}");
            assert!(refused.to_string().starts_with("another process took over run x while"), "{refused}");
        }
        // What it gives back is not its own.
        drop(late);
        assert!(is_held(&place).unwrap());
        next.fence().check().unwrap();
    }

    /// Between the look at a holder and the taking of its right, it comes back: never do both have it.
    #[test]
    fn a_holder_that_comes_back_races_with_who_takes_over() {
        let folder = tempfile::tempdir().unwrap();
        let places: Vec<PathBuf> = (0..60).map(|round| folder.path().join(round.to_string())).collect();
        let holders: Vec<Held> = places.iter().map(|place| elsewhere(place, "b").unwrap()).collect();
        places.iter().for_each(|place| assert!(is_held(place).unwrap()));
        thread::sleep(Duration::from_secs_f64(LOST_SECS));
        let mut outcomes = [0; 2];
        for (round, (place, holder)) in (0..).zip(places.iter().zip(&holders)) {
            let claimed = thread::scope(|scope| {
                let claim = scope.spawn(|| Held::take(place, "x").unwrap());
                thread::sleep(Duration::from_micros(5 * round));
                drop(beat(holder));
                claim.join().unwrap()
            });
            let is_still = beat(holder).is_ok();
            assert!(!(claimed.is_some() && is_still), "both have it");
            assert_eq!(claimed.as_ref().is_some_and(|held| held.fence().check().is_ok()), claimed.is_some());
            outcomes[usize::from(claimed.is_some())] += 1;
        }
        assert!(outcomes[1] > 0, "{outcomes:?}");
    }

    #[test]
    fn numbers_only_grow() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names.join(" ")
        };
        for number in 1..=12 {
            let held = Held::take(&place, "x").unwrap().unwrap();
            assert_eq!(names(), format!("{number}-held"));
            drop(held);
            assert_eq!(names(), format!("{number}-free"));
        }
        // An old list of names made somebody begin anew: the larger number counts, read as a number.
        fs::create_dir(place.join("9-held")).unwrap();
        assert!(!is_held(&place).unwrap());
        let held = Held::take(&place, "x").unwrap().unwrap();
        assert_eq!((held.pulse.token.number, is_held(&place).unwrap()), (13, true));
        for name in ["x-held", "14", "014-held", "14-gone", "-1-held", "99999999999999999999-held"] {
            fs::create_dir(place.join(name)).unwrap();
            assert_eq!(newest(&place).unwrap().unwrap().number, 13, "{name}");
        }
    }

    #[test]
    fn a_sign_of_life_that_cannot_be_read_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x");
        fs::create_dir_all(place.join("3-held")).unwrap();
        fs::write(place.join("3-held/beat"), "{\"holder\"").unwrap();
        assert!(is_held(&place).unwrap() && Held::take(&place, "x").unwrap().is_none());
        assert!(!is_held_for(&place, LOST_SECS * 3.0));
        assert_eq!(Held::take(&place, "x").unwrap().unwrap().pulse.token.number, 4);
        // Neither a folder nor a pipe is one, and nobody waits for them.
        for number in [7, 9] {
            let beat = place.join(format!("{number}-held/beat"));
            fs::create_dir_all(beat.parent().unwrap()).unwrap();
            match number {
                7 => fs::create_dir(&beat).unwrap(),
                _ => assert!(std::process::Command::new("mkfifo").arg(&beat).status().unwrap().success()),
            }
            assert!(is_held(&place).unwrap() && !is_held_for(&place, LOST_SECS * 3.0));
        }
    }
}
