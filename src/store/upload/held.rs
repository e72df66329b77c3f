//! Whose an upload is that can go on. Its lease may end while this server was suspended, or couldn't reach the journal;
//! somebody else may have gone on with it then.
//!
//! Invariant: what isn't certainly ours is neither aborted, nor taken for our own success.

use super::entry::{Keeping, TERM};
use crate::store::{JournalDown, Lease, PartialUpload, Standing, Whole};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The end of a lease by both clocks: one stands still while the machine is suspended, the other may be set back.
#[derive(Clone, Copy, Debug)]
struct Until(Instant, SystemTime);

impl Until {
    /// The end of a term that begins now.
    fn after(term: Duration) -> Self {
        Self(Instant::now() + term, SystemTime::now() + term)
    }

    fn is_ahead(self) -> bool {
        Instant::now() < self.0 && SystemTime::now() < self.1
    }
}

/// An entry in the journal that is ours, or was.
#[derive(Debug)]
pub(super) struct Held {
    keeping: Keeping,
    id: String,
    lease: Lease,
    /// Nobody else can have taken it on before; `None` as long as the journal wasn't told of it.
    certain_until: Mutex<Option<Until>>,
    lost: AtomicBool,
}

impl Held {
    /// One that is not entered yet.
    pub(super) fn new(keeping: Keeping, lease: Lease) -> Self {
        let id = lease.holder.clone();
        Self { keeping, id, lease, certain_until: Mutex::default(), lost: AtomicBool::new(false) }
    }

    /// One that was taken on a moment ago.
    pub(super) fn taken(keeping: Keeping, id: String, lease: Lease) -> Self {
        let held = Self { id, ..Self::new(keeping, lease) };
        held.note_told(Until::after(TERM));
        held
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn kept_for(&self) -> Duration {
        self.keeping.kept_for
    }

    /// Whether anybody may go on with it; else only who clears away can take it.
    pub(super) fn is_kept(&self) -> bool {
        !self.keeping.kept_for.is_zero()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Somebody else has it.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether nobody else can have it, as far as can be said without the journal.
    pub(super) fn is_certain(&self) -> bool {
        !self.is_lost() && self.certain_until().is_none_or(Until::is_ahead)
    }

    /// Whether nobody else can have it. At most one question to the journal.
    pub(super) async fn confirm(&self, whole: Whole) -> bool {
        if !self.is_kept() || self.certain_until().is_none() {
            return !self.is_lost();
        }
        match self.hold(whole, TERM, self.kept_for()).await {
            Ok(standing) => standing != Standing::Lost,
            Err(JournalDown) => self.is_certain(),
        }
    }

    pub(super) async fn enter(
        &self,
        partial: &PartialUpload,
        term: Duration,
        keep: Duration,
    ) -> Result<(), JournalDown> {
        // It may be entered although no answer comes.
        self.note_told(Until::after(TERM));
        self.keeping.journal.enter_partial(partial, &self.lease(term), keep).await
    }

    pub(super) async fn hold(&self, whole: Whole, term: Duration, keep: Duration) -> Result<Standing, JournalDown> {
        let until = Until::after(TERM);
        let standing = self.keeping.journal.hold_partial(&self.id, whole, &self.lease(term), keep).await?;
        if standing != Standing::Lost {
            self.note_told(until);
        }
        Ok(standing)
    }

    /// Strikes it out. Where the journal is down the entry stays, until who clears away finds no such upload in S3.
    pub(super) async fn strike(&self) {
        let _ = self.keeping.journal.end_partial(&self.id).await;
    }

    fn lease(&self, term: Duration) -> Lease {
        Lease { term, ..self.lease.clone() }
    }

    fn certain_until(&self) -> Option<Until> {
        *self.certain_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The journal was told that it is held until then, at least.
    fn note_told(&self, until: Until) {
        *self.certain_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}
