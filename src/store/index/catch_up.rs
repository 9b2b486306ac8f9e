//! How the index keeps up with the folders: a look at all of them, or at those that were said to change; and whether what it says
//! is what a fresh one would say.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::TransactionBehavior;

use super::looks::{self, Look};
use super::summary::Summary;
use super::{AT_A_TIME, Index, rows, schema};
use crate::store::changes::Changes;
use crate::store::{RunDir, StoreError};
use crate::types::{RunId, Timestamp};

/// How often is looked again before the index is said to be wrong.
const AGAIN: usize = 2;

impl Index {
    /// Reads what changed in the run folders since the index last looked.
    pub fn catch_up(&mut self) -> Result<(), StoreError> {
        self.catch_up_telling(None, &mut |_, _| {})
    }

    pub(super) fn catch_up_telling(
        &mut self,
        now: Option<Timestamp>,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<(), StoreError> {
        self.unreadable.clear();
        let said = Changes::of(self.store.root());
        if let Some(now) = now
            && let Some(look) = looks::last(&self.connection).map_err(|source| self.failed(source))?
            && look.suffices(now)
            && let Some((changed, end)) = said.since(look.changes)
        {
            return self.catch_up_with(changed, Look { changes: end, ..look }, tell);
        }
        // Taken first: what is said meanwhile is looked at next time.
        let changes = said.end();
        let mut gone = self.noted_stamps().map_err(|source| self.failed(source))?;
        let mut changed = Vec::new();
        let ids = self.store.run_ids()?;
        let runs = ids.len() as u64;
        for id in ids {
            let noted = gone.get(id.as_str());
            let run = RunDir::new(self.store.root(), id);
            if noted.is_some_and(|noted| run.stamp().is_ok_and(|stamp| stamp == *noted)) {
                gone.remove(run.id().as_str());
            } else {
                changed.push(run);
            }
        }
        for id in self.take_in(&changed, tell)? {
            gone.remove(id.as_str());
        }
        // What is left has no readable folder any more: it leaves the index.
        self.remove(gone.keys().map(String::as_str))?;
        let look = now.map(|now| Look { at: now, changes, runs });
        self.looked(look)
    }

    /// Looks at the runs that were said to change since a whole look, and at those that are being written.
    fn catch_up_with(
        &mut self,
        mut changed: BTreeSet<RunId>,
        look: Look,
        tell: &mut dyn FnMut(usize, usize),
    ) -> Result<(), StoreError> {
        let is_news = !changed.is_empty();
        changed.extend(looks::under_way(&self.connection).map_err(|source| self.failed(source))?);
        let (mut stale, mut gone) = (Vec::new(), Vec::new());
        for id in changed {
            let run = RunDir::new(self.store.root(), id);
            if !run.path().is_dir() {
                gone.push(run.id().clone());
                continue;
            }
            let known = rows::version(&self.connection, run.id()).map_err(|source| self.failed(source))?;
            if known.is_none_or(|known| run.stamp().ok() != Some(known.stamp)) {
                stale.push(run);
            }
        }
        let read = self.take_in(&stale, tell)?;
        let unread = stale.iter().map(RunDir::id).filter(|id| !read.contains(id));
        gone.extend(unread.cloned());
        self.remove(gone.iter().map(RunId::as_str))?;
        if is_news || !self.unreadable.is_empty() { self.looked(Some(look)) } else { Ok(()) }
    }

    /// Reads the folders of runs, a few at a time, so that nobody waits long for the database, and what was done is kept
    /// whatever comes next. Which of them could be read.
    fn take_in(&mut self, runs: &[RunDir], tell: &mut dyn FnMut(usize, usize)) -> Result<BTreeSet<RunId>, StoreError> {
        let mut all = BTreeSet::new();
        for (at, some) in runs.chunks(AT_A_TIME).enumerate() {
            tell(at * AT_A_TIME, runs.len());
            let mut read = Vec::new();
            for run in some {
                let known = rows::noted(&self.connection, run.id()).map_err(|source| self.failed(source))?;
                match Summary::read(run, known) {
                    Ok(summary) => {
                        all.insert(run.id().clone());
                        read.push(summary);
                    }
                    Err(_) if !run.path().exists() => {} // Removed since it was listed.
                    Err(error) => self.unreadable.push((run.id().clone(), error)),
                }
            }
            self.apply(&read, std::iter::empty()).map_err(|source| self.failed(source))?;
        }
        Ok(all)
    }

    fn remove<'a>(&mut self, gone: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
        let mut gone = gone.peekable();
        if gone.peek().is_none() {
            return Ok(());
        }
        self.apply(&[], gone).map_err(|source| self.failed(source))
    }

    /// Notes a look. While some run cannot be read, every look is a whole one, so that it is named each time.
    fn looked(&mut self, look: Option<Look>) -> Result<(), StoreError> {
        let noted = match look {
            _ if !self.unreadable.is_empty() => looks::note(&self.connection, None),
            None => Ok(()),
            look => looks::note(&self.connection, look),
        };
        noted.map_err(|source| self.failed(source))
    }

    /// Forgets everything and reads all run folders again.
    pub fn reindex(&mut self) -> Result<(), StoreError> {
        self.forget()?;
        self.catch_up()
    }

    pub(super) fn forget(&mut self) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let forgotten = transaction.and_then(|transaction| {
            // Who reads meanwhile finds what was there, run by run, until it is read again.
            transaction.execute("UPDATE runs SET log_size = -1, files = -1, read_offset = NULL", [])?;
            for (table, run) in schema::RUN_COLUMNS.into_iter().filter(|(table, _)| *table != "runs") {
                transaction.execute(&format!("DELETE FROM {table} WHERE {run} NOT IN (SELECT id FROM runs)"), [])?;
            }
            looks::note(&transaction, None)?;
            transaction.commit()
        });
        forgotten.map_err(|source| self.failed(source))
    }

    /// Reads one run's folder again.
    pub fn refresh(&mut self, id: &RunId) -> Result<(), StoreError> {
        self.refresh_all(std::slice::from_ref(id))
    }

    /// Reads the folders of some runs again, those that changed.
    pub fn refresh_all(&mut self, ids: &[RunId]) -> Result<(), StoreError> {
        for ids in ids.chunks(AT_A_TIME) {
            let mut read = Vec::new();
            let mut gone = Vec::new();
            for id in ids {
                let run = RunDir::new(self.store.root(), id.clone());
                if !run.path().is_dir() {
                    gone.push(id.as_str());
                    continue;
                }
                let known = rows::noted(&self.connection, id).map_err(|source| self.failed(source))?;
                let stamp = run.stamp()?;
                if known.as_ref().is_none_or(|known| known.stamp != stamp) {
                    read.push(Summary::read(&run, known)?);
                }
            }
            self.apply(&read, gone.into_iter()).map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    /// The runs of which the index says something that their folders do not, whoever changed it. Those that change meanwhile are
    /// left out, and so are those that are damaged.
    ///
    /// # Errors
    /// When the disk does not give a run, so that nobody knows what its folder says.
    pub fn differences(&mut self) -> Result<Vec<RunId>, StoreError> {
        let mut differing = self.differ_now()?;
        // What was made, or changed, between the two looks is told from what is wrong by looking again.
        for _ in 0..AGAIN {
            if differing.is_empty() {
                break;
            }
            self.catch_up()?;
            let still = self.differ_now()?;
            differing.retain(|run| still.contains(run));
        }
        Ok(differing)
    }

    fn differ_now(&self) -> Result<Vec<RunId>, StoreError> {
        let mut fresh = Self::open_at(&self.store, Path::new(":memory:"), None, &mut |_, _| {})?;
        fresh.is_every_run_read()?;
        let read = |index: &Self| {
            index.at_one_moment(|| {
                let digests = rows::digests(&index.connection).map_err(|source| index.failed(source))?;
                Ok((digests, index.noted_stamps().map_err(|source| index.failed(source))?))
            })
        };
        let ((ours, our_stamps), (theirs, their_stamps)) = (read(self)?, read(&fresh)?);
        let ids = ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>();
        let is_at_rest = |id: &&String| match (our_stamps.get(*id), their_stamps.get(*id)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        let is_read = |id: &&String| !fresh.unreadable.iter().any(|(run, _)| run.as_str() == **id);
        let differing =
            ids.into_iter().filter(|id| ours.get(*id) != theirs.get(*id)).filter(is_at_rest).filter(is_read);
        Ok(differing.filter_map(|id| id.parse().ok()).collect())
    }
}
