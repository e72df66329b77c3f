//! The ownership of an upload that can be resumed. Its lease may end while this server is suspended, or can't reach the
//! journal. Another session may have resumed it then.
//!
//! Invariant: this node aborts only an upload that is certainly its own, and takes only such an upload's object for its
//! own success.

use super::entry::{Keeping, TERM};
use crate::{
    clock::{Clock as _, SystemClock},
    journal::{JournalDown, Lease, ResumableUpload, Standing, Task, Whole},
};
use parking_lot::Mutex;
use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The end of a lease by two clocks: one stops while the machine is suspended, the other may be set back.
#[derive(Clone, Copy, Debug)]
struct Until(Instant, SystemTime);

impl Until {
    /// The end of a term that begins now.
    fn after(term: Duration) -> Self {
        Self(Instant::now() + term, SystemClock.now() + term)
    }

    fn is_ahead(self) -> bool {
        Instant::now() < self.0 && SystemClock.now() < self.1
    }
}

/// A journal entry that this node holds, or held.
#[derive(Debug)]
pub(super) struct Held {
    keeping: Keeping,
    id: String,
    lease: Lease,
    /// The upload at first. Empty until the journal was told of it.
    upload: OnceLock<ResumableUpload>,
    /// No other session can have taken it over before this time. `None` until the journal was told of it.
    certain_until: Mutex<Option<Until>>,
    lost: AtomicBool,
}

impl Held {
    /// An upload that is not entered yet.
    pub(super) fn new(keeping: Keeping, lease: Lease) -> Self {
        let id = lease.holder.clone();
        Self {
            keeping,
            id,
            lease,
            upload: OnceLock::new(),
            certain_until: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    /// An upload that was taken over a moment ago.
    pub(super) fn taken(keeping: Keeping, task: &Task<ResumableUpload>, lease: Lease) -> Self {
        let upload = OnceLock::from(task.payload.clone());
        let held = Self { id: task.id.clone(), upload, ..Self::new(keeping, lease) };
        held.note_told(Until::after(TERM));
        held
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn kept_for(&self) -> Duration {
        self.keeping.kept_for
    }

    /// True if a session may resume it. If not, only the janitor can take it.
    pub(super) fn is_kept(&self) -> bool {
        !self.keeping.kept_for.is_zero()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Notes that another session has it.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// True if no other session can have it, judged without the journal.
    pub(super) fn is_certain(&self) -> bool {
        !self.is_lost() && self.certain_until().is_none_or(Until::is_ahead)
    }

    /// True if no other session can have it. At most one call to the journal.
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
        task: &Task<ResumableUpload>,
        term: Duration,
        keep: Duration,
    ) -> Result<(), JournalDown> {
        // The journal may have entered it even if no answer comes.
        self.note_told(Until::after(TERM));
        self.upload.get_or_init(|| task.payload.clone());
        self.keeping.journal.enter_task(&task.clone().of_any_kind(), &self.lease(term), keep).await.map(drop)
    }

    pub(super) async fn hold(&self, whole: Whole, term: Duration, keep: Duration) -> Result<Standing, JournalDown> {
        let Some(upload) = self.upload.get() else { return Err(JournalDown) };
        let (until, payload) = (Until::after(TERM), ResumableUpload { whole, ..upload.clone() }.into());
        let standing = self.keeping.journal.hold_task(&self.id, &payload, &self.lease(term), keep).await?;
        if standing != Standing::Lost {
            self.note_told(until);
        }
        Ok(standing)
    }

    /// Deletes the row. If the journal is down, the row stays until the janitor finds no such upload in S3.
    pub(super) async fn strike(&self) {
        let _ = self.keeping.journal.end_task(&self.id, None).await;
    }

    fn lease(&self, term: Duration) -> Lease {
        Lease { term, ..self.lease.clone() }
    }

    fn certain_until(&self) -> Option<Until> {
        *self.certain_until.lock()
    }

    /// Notes that the journal was told of a lease until then, at least.
    fn note_told(&self, until: Until) {
        *self.certain_until.lock() = Some(until);
    }
}
