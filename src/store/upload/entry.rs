//! The entry in the journal by which an upload is found again when its connection, or the server, is lost.
//!
//! A task of its own writes it, so that no part waits for the journal: when S3 has opened the upload, then as it grows,
//! at most every two seconds, and now and then so that the lease doesn't end. While the journal is down the upload goes
//! on; how far it has come is noted when the journal answers again.

use super::{
    parts::{Created, id},
    whole::Contiguous,
};
use crate::store::{Journal, JournalDown, Lease, NewObject, PartialFile, PartialUpload, Result, Whole};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch::{self, error::RecvError},
    task::JoinHandle,
    time::timeout,
};

/// What is stored is noted so often at most: a server that is killed loses what came since.
const NOTED_EVERY: Duration = Duration::from_secs(2);
/// How long nobody else takes on the upload of a server that was killed.
const TERM: Duration = Duration::from_secs(30);
/// Then the lease is renewed after so long, whatever came, so that a hiccup of the journal ends none.
const RENEWED_AFTER: Duration = Duration::from_secs(8);

/// Where an upload in parts is entered, so that it can go on, or be aborted, when those who began it are gone.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Where.
    pub journal: Arc<dyn Journal>,
    /// What the upload is to become, and whose it is.
    pub file: PartialFile,
    /// How long it can go on, from the moment on at which it was cut off. Nothing: it is only to be aborted.
    pub kept_for: Duration,
}

/// How far an upload is, and what is to become of its entry.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) stored: Contiguous,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It can be taken on by who comes next.
    LetGo,
    /// It is to be aborted by whoever looks for such uploads.
    GivenUp,
    /// It is no longer open in S3.
    Struck,
}

/// One upload's entry, held until its end. Dropped, it stays as it was last noted, and its lease ends by itself.
#[derive(Debug)]
pub(super) struct Entry {
    progress: watch::Sender<Progress>,
    is_kept: bool,
    /// Whether the upload can be found, and go on.
    task: JoinHandle<bool>,
}

impl Entry {
    /// Enters an upload as soon as S3 has opened it.
    pub(super) fn enter(
        keeping: Keeping,
        object: NewObject,
        created: watch::Receiver<Created>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let (seen, is_kept) = (progress.subscribe(), !keeping.kept_for.is_zero());
        let task = tokio::spawn(async move {
            let (Ok(upload), Ok(lease)) = (id(created).await, lease()) else { return false };
            let (id, file) = (lease.holder.clone(), keeping.file.clone());
            let partial = PartialUpload { id, file, upload, object, whole: Whole::default() };
            Tending { keeping, partial, lease, state: State::New }.run(seen).await
        });
        Self { progress, is_kept, task }
    }

    /// The entry of an upload that was taken on under `lease`.
    pub(super) fn taken(
        keeping: Keeping,
        partial: PartialUpload,
        lease: Lease,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let tending = Tending { keeping, partial, lease, state: State::Entered };
        let task = tokio::spawn(tending.run(progress.subscribe()));
        Self { progress, is_kept: true, task }
    }

    /// Whether the upload may go on when it is cut off.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Lets who comes next take the upload on. `false` if nobody finds it: it was given up, or never entered.
    pub(super) async fn let_go(self) -> bool {
        self.end(End::LetGo).await
    }

    /// Leaves it to others to abort the upload.
    pub(super) async fn give_up(self) {
        self.end(End::GivenUp).await;
    }

    /// Strikes the upload out.
    pub(super) async fn strike(self) {
        self.end(End::Struck).await;
    }

    async fn end(self, end: End) -> bool {
        self.progress.send_modify(|progress| progress.end = Some(end));
        // It ends within two questions to the journal.
        self.task.await.unwrap_or(false)
    }
}

/// A lease that ends sooner than a rename's: somebody waits to go on.
pub(super) fn lease() -> Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}

/// An entry, and what is known of it.
struct Tending {
    keeping: Keeping,
    partial: PartialUpload,
    lease: Lease,
    state: State,
}

/// Whether the journal has the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// It didn't answer when it was told, and may have it.
    Doubtful,
    Entered,
}

impl Tending {
    async fn run(mut self, mut seen: watch::Receiver<Progress>) -> bool {
        loop {
            let (whole, end) = state(&seen.borrow());
            let can_go_on = self.write(whole, end).await;
            if end.is_some() || next(&mut seen, whole).await.is_err() {
                return can_go_on;
            }
        }
    }

    async fn write(&mut self, whole: Whole, end: Option<End>) -> bool {
        self.partial.whole = whole;
        let kept_for = self.keeping.kept_for;
        match end {
            None => self.hold(self.lease.term, kept_for).await,
            Some(End::LetGo) => self.hold(Duration::ZERO, kept_for).await,
            Some(End::GivenUp) => self.hold(Duration::ZERO, Duration::ZERO).await,
            Some(End::Struck) => {
                // Where the journal is down the entry stays, and is struck out by who finds no such upload in S3.
                let _ = self.keeping.journal.end_partial(&self.partial.id).await;
                false
            }
        }
    }

    /// Whether the journal has it, and lets it go on.
    async fn hold(&mut self, term: Duration, kept_for: Duration) -> bool {
        let Keeping { journal, .. } = &self.keeping;
        let lease = Lease { term, ..self.lease.clone() };
        if self.state != State::New {
            match journal.hold_partial(&self.partial.id, self.partial.whole, &lease, kept_for).await {
                Ok(true) => {
                    self.state = State::Entered;
                    return true;
                }
                Ok(false) if self.state == State::Doubtful => {}
                Ok(false) => return false,
                // What it has it keeps, and the lease ends by itself.
                Err(JournalDown) => return self.state == State::Entered,
            }
        }
        let entered = journal.enter_partial(&self.partial, &lease, kept_for).await.is_ok();
        self.state = if entered { State::Entered } else { State::Doubtful };
        entered
    }
}

fn state(progress: &Progress) -> (Whole, Option<End>) {
    (progress.stored.so_far(), progress.end)
}

/// Waits until there is something else to write than what was `written`: an end at once, progress now and then. An error
/// when nobody is there any more.
async fn next(seen: &mut watch::Receiver<Progress>, written: Whole) -> Result<(), RecvError> {
    if let Ok(ended) = timeout(NOTED_EVERY, seen.wait_for(|progress| progress.end.is_some())).await {
        return ended.map(drop);
    }
    let other = seen.wait_for(|progress| state(progress) != (written, None));
    timeout(RENEWED_AFTER, other).await.map_or(Ok(()), |other| other.map(drop))
}
