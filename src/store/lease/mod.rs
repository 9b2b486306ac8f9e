//! Who works on what: rights that end with whoever has them, however that is.
//!
//! A lease or a claim is a lock that the kernel releases when its holder dies ([`kernel`]). On a file system whose locks do nothing, or
//! keep out only the processes of one machine, its holder gives signs of life instead ([`heartbeat`]). Which of the two it is in a
//! store is found out whenever a lock is taken; once it is signs of life, the file `.claims/by-heartbeat` says so to every process and
//! machine, and why.

mod heartbeat;
mod holder;
mod kernel;
mod sight;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::error::{StoreError, io_error};
use super::file_system;
use crate::durable;
use crate::types::RunId;

pub use heartbeat::{Fence, LOST_SECS};

/// The folder of a store in which rights are kept.
const CLAIMS: &str = ".claims";
/// The file in it that says that locks are not to be relied on.
const BY_HEARTBEAT: &str = "by-heartbeat";

/// How a store keeps two from writing at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locking {
    /// By locks of the kernel.
    Kernel,
    /// By signs of life, because of this.
    Heartbeat { why: String },
}

/// A right that one process at a time can have.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    claims: PathBuf,
    /// What the kernel locks.
    file: PathBuf,
    /// What it is called among the rights of the store.
    name: String,
    /// What it is the right to, for people.
    what: String,
}

/// A right that this process has, until dropped.
#[derive(Debug)]
pub(super) struct Held {
    _locked: Option<fs::File>,
    beating: Option<heartbeat::Held>,
}

/// The right to write into a run's folder, until dropped.
#[derive(Debug)]
pub struct Lease(Held);

/// The right to execute a specification, until dropped: of two programs that run one file, each spec goes to one.
#[derive(Debug)]
pub struct SpecClaim(#[expect(dead_code, reason = "it is held, not read")] Held);

impl Lease {
    pub(super) fn acquire(lock: &Lock) -> Result<Self, StoreError> {
        lock.take().map(Self)
    }

    /// What proves before each write that the lease was not lost, where it can be.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.0.beating.as_ref().map(heartbeat::Held::fence)
    }

    /// Whether it was taken from a worker that may still be there, unheard.
    pub(super) fn is_taken_over(&self) -> bool {
        self.0.beating.as_ref().is_some_and(|beating| beating.is_taken_over)
    }
}

impl SpecClaim {
    pub(super) fn acquire(lock: &Lock) -> Result<Self, StoreError> {
        lock.take().map(Self)
    }
}

impl Lock {
    /// The right to write into the folder of a run of the store at `root`.
    pub fn of_run(root: &Path, id: &RunId, folder: &Path) -> Self {
        let (claims, file) = (root.join(CLAIMS), folder.join("lease"));
        Self { claims, file, name: format!("run-{id}"), what: format!("run `{id}`") }
    }

    /// The right to be the sweep of this name of the store at `root`.
    pub fn of_sweep(root: &Path, id: &RunId, folder: &Path) -> Self {
        let (claims, file) = (root.join(CLAIMS), folder.join("lease"));
        Self { claims, file, name: format!("sweep-{id}"), what: format!("sweep `{id}`") }
    }

    /// The right to do `what` in the store at `root`.
    pub fn of_store(root: &Path, name: &str, what: impl Into<String>) -> Self {
        let claims = root.join(CLAIMS);
        Self { file: claims.join(name), claims, name: name.to_owned(), what: what.into() }
    }

    /// Takes the right.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it.
    pub fn take(&self) -> Result<Held, StoreError> {
        let held = || StoreError::Held { what: self.what.clone(), path: self.file.clone() };
        fs::create_dir_all(&self.claims).map_err(io_error("create", &self.claims))?;
        if self.locking()? == Locking::Kernel
            && let Some(why) = file_system::locks_of_one_machine(&self.claims)
        {
            self.rely_on_heartbeats(&why)?;
        }
        let locked = match kernel::lock(&self.file).map_err(io_error("lock", &self.file))? {
            kernel::Tried::Locked(file) => Some(file),
            kernel::Tried::Held => return Err(held()),
            kernel::Tried::Useless => {
                self.rely_on_heartbeats("locks on this file system keep nobody out")?;
                None
            }
        };
        let beating = match self.locking()? {
            Locking::Kernel => None,
            Locking::Heartbeat { .. } => Some(heartbeat::Held::take(&self.beats(), &self.what)?.ok_or_else(held)?),
        };
        Ok(Held { _locked: locked, beating })
    }

    /// Takes the right for the short while that a small file takes to be replaced: waits for whoever has it, as long as one may be that died
    /// and is not known to have.
    pub fn wait(&self) -> Result<Held, StoreError> {
        const PAUSE: Duration = Duration::from_millis(50);
        let patience = match self.locking()? {
            Locking::Kernel => 5.0,
            Locking::Heartbeat { .. } => LOST_SECS + 5.0,
        };
        let stopwatch = crate::clock::Stopwatch::start();
        loop {
            match self.take() {
                Err(error) if error.is_held() && stopwatch.elapsed_secs() < patience => thread::sleep(PAUSE),
                result => return result,
            }
        }
    }

    /// Whether anybody has the right. Looking works in a read-only store.
    pub fn is_held(&self) -> Result<bool, StoreError> {
        if kernel::is_locked(&self.file).map_err(io_error("lock", &self.file))? {
            return Ok(true);
        }
        match self.locking()? {
            Locking::Kernel => Ok(false),
            Locking::Heartbeat { .. } => heartbeat::is_held(&self.beats()),
        }
    }

    /// Removes what is left of the right to write into a run that is gone.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(self.beats());
    }

    /// How the store keeps two from writing at once, as far as it was found out.
    pub fn locking(&self) -> Result<Locking, StoreError> {
        const LONGEST: u64 = 1 << 12;
        let path = self.claims.join(BY_HEARTBEAT);
        let text = match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() <= LONGEST => fs::read(&path).unwrap_or_default(),
            // Whatever it is, somebody put it there.
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Locking::Kernel),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let text = String::from_utf8_lossy(&text);
        let why = text.lines().next().filter(|why| !why.trim().is_empty()).unwrap_or("a file says so, and not why");
        Ok(Locking::Heartbeat { why: why.to_owned() })
    }

    /// Says to everybody that locks are not to be relied on in this store.
    fn rely_on_heartbeats(&self, why: &str) -> Result<(), StoreError> {
        if self.locking()? != Locking::Kernel {
            return Ok(());
        }
        let path = self.claims.join(BY_HEARTBEAT);
        let text = format!(
            "{why}\nWho writes into this store gives signs of life instead. Where it is moved to another disk, this file can be \
             removed while nothing runs.\n"
        );
        durable::write(&path, |writer| writer.write_all(text.as_bytes())).map_err(io_error("write", &path))
    }

    fn beats(&self) -> PathBuf {
        self.claims.join("beats").join(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// A right in the store `folder`, whose locks do something or not.
    fn lock(folder: &Path, by_heartbeat: bool) -> Lock {
        let lock = Lock::of_store(folder, "x", "run x");
        if by_heartbeat {
            fs::create_dir_all(&lock.claims).unwrap();
            lock.rely_on_heartbeats("a test says so").unwrap();
        }
        lock
    }

    #[test]
    fn a_right_is_held_until_it_is_dropped() {
        for by_heartbeat in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let lock = lock(folder.path(), by_heartbeat);
            for _ in 0..3 {
                assert!(!lock.is_held().unwrap());
                let held = lock.take().unwrap();
                assert!(lock.is_held().unwrap());
                let second = lock.take().unwrap_err();
                assert!(second.is_held(), "{second}");
                drop(held);
            }
            let expected =
                if by_heartbeat { Locking::Heartbeat { why: "a test says so".to_owned() } } else { Locking::Kernel };
            assert_eq!(lock.locking().unwrap(), expected);
        }
    }

    #[test]
    fn of_many_claimants_one_wins() {
        for by_heartbeat in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let lock = lock(folder.path(), by_heartbeat);
            for _ in 0..20 {
                let start = Barrier::new(8);
                let wins = thread::scope(|scope| {
                    let claimants = (0..8).map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            lock.take()
                        })
                    });
                    let outcomes = claimants.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap());
                    // Collected before any claim is dropped.
                    outcomes.collect::<Vec<_>>().iter().filter(|outcome| outcome.is_ok()).count()
                });
                assert!(wins == 1 || (by_heartbeat && wins == 0), "{wins}");
            }
        }
    }

    /// Whoever has it adds one to a file, in two steps.
    #[test]
    fn who_waits_gets_it_and_is_alone() {
        for by_heartbeat in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let lock = lock(folder.path(), by_heartbeat);
            let count = folder.path().join("count");
            fs::write(&count, "0").unwrap();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..5 {
                            let _held = lock.wait().unwrap();
                            let before: u32 = fs::read_to_string(&count).unwrap().parse().unwrap();
                            thread::sleep(Duration::from_millis(1));
                            fs::write(&count, (before + 1).to_string()).unwrap();
                        }
                    });
                }
            });
            assert_eq!(fs::read_to_string(&count).unwrap(), "20");
        }
    }

    /// Not a test of its own: the process that [`a_killed_process_holds_nothing`] starts and kills, in a folder of its own.
    #[test]
    #[ignore = "holds a lease until it is killed"]
    fn hold_the_lease_of_this_folder() {
        if Path::new("hold").exists() {
            let _held = Lock::of_store(Path::new("."), "x", "run x").take().unwrap();
            thread::sleep(Duration::from_secs(60));
        }
    }

    #[test]
    fn a_killed_process_holds_nothing() {
        for by_heartbeat in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let lock = lock(folder.path(), by_heartbeat);
            fs::write(folder.path().join("hold"), "").unwrap();
            let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "store::lease::tests::hold_the_lease_of_this_folder", "--ignored"])
                .current_dir(folder.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            while !lock.is_held().unwrap() {
                assert!(holder.try_wait().unwrap().is_none(), "the holder ended before it was killed");
                thread::sleep(Duration::from_millis(2));
            }
            assert!(lock.take().unwrap_err().is_held());
            holder.kill().unwrap();
            holder.wait().unwrap();
            let held = lock.take().unwrap();
            assert_eq!(held.beating.is_some_and(|beating| beating.is_taken_over), by_heartbeat);
        }
    }

    #[test]
    fn looking_does_not_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let lock = lock(folder.path(), false);
        drop(lock.take().unwrap());
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        lock.is_held().unwrap();
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            for _ in 0..100 {
                lock.take().unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
}
