//! The entry in the journal by which an upload is found again when its connection, or the server, is lost.
//!
//! A task of its own writes it, so that no part waits for the journal: when S3 has opened the upload, then as it grows,
//! at most every two seconds, and now and then so that the lease doesn't end. While the journal is down the upload goes
//! on; how far it has come is noted when the journal answers again.

use super::{
    held::Held,
    parts::{Created, id},
    whole::Contiguous,
};
use crate::{
    name::Key,
    store::{Journal, JournalDown, Lease, NewObject, PartialFile, PartialUpload, Result, Standing, Whole},
};
use std::{mem, sync::Arc, time::Duration};
use tokio::{
    sync::watch::{self, error::RecvError},
    task::JoinHandle,
    time::timeout,
};

/// What is stored is noted so often at most: a server that is killed loses what came since.
const NOTED_EVERY: Duration = Duration::from_secs(2);
/// How long nobody else takes on the upload of a server that was killed.
pub(super) const TERM: Duration = Duration::from_secs(30);
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

impl Keeping {
    /// The same for another file of the mount.
    pub(super) fn renamed(self, key: &Key) -> Option<Self> {
        let name = key.as_str().strip_prefix(self.file.mount.as_str())?.to_owned();
        Some(Self { file: PartialFile { name, ..self.file }, ..self })
    }
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
    /// It is aborted, by whoever looks for such uploads if not from here.
    GivenUp,
    /// It is no longer open in S3.
    Struck,
}

/// One upload's entry, held until its end. Dropped, it stays as it was last noted, and its lease ends by itself.
#[derive(Debug)]
pub(super) struct Entry {
    progress: watch::Sender<Progress>,
    held: Arc<Held>,
    task: JoinHandle<Standing>,
}

impl Entry {
    /// Enters an upload as soon as S3 has opened it.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(super) fn enter(
        keeping: Keeping,
        object: NewObject,
        created: watch::Receiver<Created>,
        progress: watch::Sender<Progress>,
    ) -> Result<Self> {
        let held = Arc::new(Held::new(keeping.clone(), lease()?));
        let (tended, seen) = (Arc::clone(&held), progress.subscribe());
        let task = tokio::spawn(async move {
            let Ok(upload) = id(created).await else { return Standing::GivenUp };
            let (id, whole) = (tended.id().to_owned(), Whole::default());
            let partial = PartialUpload { id, file: keeping.file, upload, object, whole };
            Tending { held: tended, partial, state: State::New, is_noted: false }.run(seen).await
        });
        Ok(Self { progress, held, task })
    }

    /// The entry of an upload that was taken on under `lease`.
    pub(super) fn taken(
        keeping: Keeping,
        partial: PartialUpload,
        lease: Lease,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let held = Arc::new(Held::taken(keeping, partial.id.clone(), lease));
        let tending = Tending { held: Arc::clone(&held), partial, state: State::Entered, is_noted: true };
        let task = tokio::spawn(tending.run(progress.subscribe()));
        Self { progress, held, task }
    }

    /// Whether the upload may go on when it is cut off.
    pub(super) fn is_kept(&self) -> bool {
        self.held.is_kept()
    }

    /// Whether somebody else goes on with the upload, as far as is known.
    pub(super) fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// Whether nobody else can have gone on with the upload. At most one question to the journal.
    pub(super) async fn is_ours(&self) -> bool {
        let whole = self.progress.borrow().stored.so_far();
        self.held.confirm(whole).await
    }

    /// Lets who comes next take the upload on, if that is how it stands.
    pub(super) async fn let_go(self) -> Standing {
        self.end(End::LetGo).await
    }

    /// Gives the upload up. `None` when somebody else goes on with it; else it can be aborted, and struck out then.
    pub(super) async fn give_up(self) -> Option<Arc<Held>> {
        let held = Arc::clone(&self.held);
        (self.end(End::GivenUp).await != Standing::Lost).then_some(held)
    }

    /// Strikes the upload out.
    pub(super) async fn strike(self) {
        self.end(End::Struck).await;
    }

    async fn end(self, end: End) -> Standing {
        self.progress.send_modify(|progress| progress.end = Some(end));
        // It ends within two questions to the journal.
        self.task.await.unwrap_or(Standing::Lost)
    }
}

/// A lease that ends sooner than a rename's: somebody waits to go on.
pub(super) fn lease() -> Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}

/// An entry, and what is known of it.
struct Tending {
    held: Arc<Held>,
    partial: PartialUpload,
    state: State,
    /// Whether the journal knows of a part.
    is_noted: bool,
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
    async fn run(mut self, mut seen: watch::Receiver<Progress>) -> Standing {
        loop {
            let (whole, end) = state(&seen.borrow());
            let standing = self.write(whole, end).await;
            if end.is_some() || self.held.is_lost() || next(&mut seen, whole).await.is_err() {
                return standing;
            }
        }
    }

    async fn write(&mut self, whole: Whole, end: Option<End>) -> Standing {
        self.partial.whole = whole;
        let kept_for = self.held.kept_for();
        match end {
            None => self.hold(TERM, kept_for).await,
            Some(End::LetGo) => self.hold(Duration::ZERO, kept_for).await,
            Some(End::GivenUp) => self.hold(TERM, Duration::ZERO).await,
            Some(End::Struck) => {
                self.held.strike().await;
                Standing::GivenUp
            }
        }
    }

    async fn hold(&mut self, term: Duration, keep: Duration) -> Standing {
        if self.state != State::Entered {
            let before = mem::replace(&mut self.state, State::Doubtful);
            if self.held.enter(&self.partial, term, keep).await.is_err() {
                // Nobody can count on finding it.
                return Standing::GivenUp;
            }
            self.state = State::Entered;
            if before == State::New {
                return Standing::Kept;
            }
        }
        match self.held.hold(self.partial.whole, term, keep).await {
            Ok(Standing::Lost) => {
                self.held.lose();
                Standing::Lost
            }
            Ok(standing) => {
                self.is_noted |= self.partial.whole.parts > 0;
                standing
            }
            Err(JournalDown) if !self.held.is_certain() => Standing::Lost,
            // What it noted before can be found.
            Err(JournalDown) if self.is_noted => Standing::Kept,
            Err(JournalDown) => Standing::GivenUp,
        }
    }
}

fn state(progress: &Progress) -> (Whole, Option<End>) {
    (progress.stored.so_far(), progress.end)
}

/// Waits until there is something else to write than was `written`: an end at once, progress now and then. An error
/// when nobody is there any more.
async fn next(seen: &mut watch::Receiver<Progress>, written: Whole) -> Result<(), RecvError> {
    if let Ok(ended) = timeout(NOTED_EVERY, seen.wait_for(|progress| progress.end.is_some())).await {
        return ended.map(drop);
    }
    let other = seen.wait_for(|progress| state(progress) != (written, None));
    timeout(RENEWED_AFTER, other).await.map_or(Ok(()), |other| other.map(drop))
}
