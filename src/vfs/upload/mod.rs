//! The handle of an upload: WRITE, READ of what was just written or was there before, FSTAT, FSETSTAT, CLOSE.
//!
//! Invariant: the file appears when [`WriteHandle::close`] says so, whole, or never.

mod copy;
mod resumed;

pub use copy::CopyRange;

use super::{
    Error, Kind, Metadata, Mount, NewAttributes, Node, PendingWrite, Replace, Result, SetAttributes, UploadPath,
    Writable,
    cache::{Change, CredentialScope, Sight},
    failure_observer::FailureObserver,
    late::Named,
    locks::Lock,
    notes::{Live, LiveEntry, Notes, Resized},
    partial::{CutOff, GivingUp},
    patch::Patched,
    room::Room,
};
use crate::{
    account::Permission,
    store::{
        self, Bucket, Condition, Keeping, Key, LateAttributes, LateTimes, NewObject, Object, RemovalCondition,
        Reservation, Taken, Upload, UploadObserver, UploadOptions, Version,
    },
};
use bytes::Bytes;
use resumed::Resumed;
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::join;

/// A file in parts shows S3's time if its upload took no longer than this.
const S3_TIME_IS_NEAR: Duration = Duration::from_secs(2);

/// What it means when S3 says, at the end, that the condition of the upload doesn't hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conflicting {
    /// EXCL was asked for.
    Exists,
    /// The user may not replace files.
    MayNotReplace,
    /// The file was to be changed and isn't what it was; or there was no condition, and two writers met.
    Changed,
}

/// An open upload. Its requests are served one after the other.
#[derive(Debug)]
pub struct WriteHandle {
    upload: Upload,
    live: LiveEntry,
    mount: Mount,
    bucket: Arc<dyn Bucket>,
    key: Key,
    node: Arc<Node>,
    scope: Arc<CredentialScope>,
    notes: Arc<Notes>,
    conflicting: Conflicting,
    readable: bool,
    writable: bool,
    /// APPEND: each WRITE goes to the end.
    append: bool,
    /// The version that the file began as.
    patched: Option<Patched>,
    /// True if the name is free.
    room: Room,
    observer: Arc<FailureObserver>,
    /// With EXCL.
    lock: Option<Lock>,
    /// As long as the file may still begin anew.
    resumed: Option<Resumed>,
    /// What was cut off before, until that is given up.
    giving_up: Option<GivingUp>,
    /// What could not be given up.
    owed: Option<Keeping>,
    /// The attributes that the object will be born with; others have to be kept beside it.
    stored: NewAttributes,
}

impl WriteHandle {
    pub(super) fn new(pending: PendingWrite, reservation: Reservation, taken: Option<(Keeping, Taken)>) -> Self {
        let PendingWrite { file, live, room, cut_off, lock } = pending;
        let Writable { bucket, node, scope, tenant, notes, mount, key, patched, keeping, .. } = file;
        let Live { attributes, .. } = live.shown();
        let mut object = patched.as_ref().map(Patched::heir).unwrap_or_default();
        let begins_with = if taken.is_some() { file.attributes } else { attributes };
        begins_with.write_to(&mut object, Kind::File);
        let (max_object_bytes, condition) = (tenant.max_object_bytes, file.condition);
        let observer = Arc::new(FailureObserver::new(&node, &notes, bucket.id(), &scope));
        let heard_by = Some(Arc::clone(&observer) as Arc<dyn UploadObserver>);
        let options = UploadOptions { max_object_bytes, condition, object, keeping, observer: heard_by };
        let upload = Upload::new(Arc::clone(&bucket), key.clone(), reservation, Arc::clone(&node.budget), options);
        let resumed = taken.is_some().then(|| Resumed::new(file.attributes, file.conflicting));
        let (upload, conflicting) = match (&patched, taken) {
            (Some(patched), _) => (upload.over(&patched.file), file.conflicting),
            // It appears only where nothing is.
            (None, Some((keeping, taken))) => (upload.resuming(keeping, taken), Conflicting::Exists),
            (None, None) if matches!(cut_off, CutOff::Unknown) => (upload.without_gaps(), file.conflicting),
            (None, None) => (upload, file.conflicting),
        };
        let giving_up = if let CutOff::GivingUp(giving_up) = cut_off { Some(giving_up) } else { None };
        Self {
            upload,
            live,
            mount,
            bucket,
            key,
            node,
            scope,
            notes,
            conflicting,
            readable: file.options.read,
            writable: file.options.write,
            append: file.options.append,
            patched,
            room,
            observer,
            lock,
            resumed,
            giving_up,
            owed: None,
            stored: attributes,
        }
    }

    /// Takes in bytes at `offset`, with APPEND at the end. Whole parts leave in the background.
    ///
    /// # Errors
    /// [`Error::NotOpenForWriting`], which changes nothing.
    ///
    /// [`Error::Shipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`], [`Error::PartialGrown`], [`Error::IsDirectory`] or
    /// [`Error::BelowFile`] where the name isn't free, or what an earlier part met in the storage. From then on nothing is
    /// published: further writes and the close fail too.
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.demand_writable()?;
        if data.is_empty() {
            // It says nothing of the file that the client means.
            return Ok(self.upload.write(offset, data).await?);
        }
        // The answer is about the name that the file is to have now.
        self.take_on_name();
        if !self.live.shown().removed
            && self.room.is_answered()
            && let Err(error) = self.room.confirm().await
        {
            self.observer.refused(&self.key, &error);
            self.upload.spoil(&error);
            return Err(error);
        }
        let offset = self.place(offset).await?;
        Ok(self.write_at(offset, data).await?)
    }

    /// Up to `len` bytes from `offset`, of those that were written and are still in memory, and of those that were
    /// there before; none at the end.
    ///
    /// # Errors
    /// [`Error::NotOpenForReading`], [`Error::NotReadableYet`] for bytes that have left, [`Error::Denied`] without
    /// `read` for what was there before, [`Error::Changed`] when that was replaced.
    pub async fn read(&mut self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        if !self.readable {
            return Err(Error::NotOpenForReading);
        }
        self.take_on_size();
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if self.upload.shows_base(offset, len) {
            self.mount.demand(Permission::Read)?;
        }
        let bytes = self.upload.read(offset, len).await?.ok_or(Error::NotReadableYet)?;
        Ok(if bytes.is_empty() { Vec::new() } else { vec![bytes] })
    }

    /// The file as it would be if it were closed now.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata::of_upload(self.live.shown(), &self.mount)
    }

    /// The path that the file will appear under.
    #[must_use]
    pub fn path(&self) -> &UploadPath {
        self.live.path()
    }

    /// Sets size, times and mode; the latter two in the object, while its metadata has not been sent, else beside it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another owner than the present one, and for a size [`Error::NotOpenForWriting`],
    /// [`Error::Shipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`]; then nothing is set.
    pub fn set_attributes(&mut self, wanted: SetAttributes) -> Result<()> {
        wanted.check_owner()?;
        if wanted.size.is_some() {
            self.demand_writable()?;
        }
        self.take_on_size();
        let is_done = self.note_set(wanted);
        if let Some(size) = wanted.size.filter(|_| !is_done) {
            let was_unchanged = self.upload.is_unchanged();
            self.upload.set_size(size)?;
            self.show(was_unchanged);
        }
        self.live.update(|live| live.attributes = live.attributes.updated(wanted.kept()));
        self.store_attributes();
        Ok(())
    }

    /// Sends the parts of the file that are still here on their way, because its CLOSE has come and has to wait. Of a file
    /// that fits one part nothing is sent. It is published by [`close`](Self::close). After an error it can only be left.
    ///
    /// # Errors
    /// The errors of `close` that come before the file is published.
    pub async fn ship_rest(&mut self) -> Result<()> {
        self.settle_at_close().await;
        if !self.live.shown().removed && !self.upload.is_only_resumed() {
            self.upload.ship_rest().await?;
        }
        Ok(())
    }

    /// The bytes of the budget that the upload holds.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.upload.held_bytes()
    }

    /// Lets nothing be published, because what was asked for was not done: the close fails.
    pub fn spoil(&mut self, cause: &Error) {
        self.upload.spoil(cause);
    }

    /// Publishes the file, and says how many bytes it has: they are stored when this answers. A file that was there and
    /// was not changed stays as it is; one that was removed meanwhile doesn't appear.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] with EXCL and [`Error::Denied`] without `overwrite` when a file of this name came to be
    /// meanwhile, [`Error::IsDirectory`] or [`Error::BelowFile`] where the name isn't free, [`Error::Changed`] when the file
    /// that was to be changed was, [`Error::LockLost`], [`Error::Poisoned`] after a failed write, or what the storage says.
    /// Nothing is published then.
    pub async fn close(mut self) -> Result<u64> {
        let mut lock = self.lock.take();
        let closed = Box::pin(self.close_under(lock.as_mut())).await;
        if let Some(lock) = &lock {
            // After S3 has the file, so that another session finds the one or the other. If it was lost, that was told.
            let _ = lock.end().await;
        }
        closed
    }

    async fn close_under(mut self, mut lock: Option<&mut Lock>) -> Result<u64> {
        self.settle_at_close().await;
        if self.live.shown().removed {
            let size = self.upload.size();
            self.upload.abort().await;
            return Ok(size);
        }
        let shown = self.live.shown();
        let Self {
            upload,
            live,
            bucket,
            key,
            node,
            scope,
            notes,
            conflicting,
            patched,
            mut room,
            observer,
            stored,
            owed,
            ..
        } = self;
        let path = &live.path().current();
        let size = upload.size();
        if upload.is_only_resumed() {
            // Nothing was written, so nothing is promised: it can still go on.
            Box::pin(upload.leave()).await;
            return Ok(size);
        }
        match room.confirm_at_close().await {
            Ok(()) => {}
            Err(error @ (Error::BelowFile | Error::IsDirectory)) => {
                upload.abort().await;
                return Err(error);
            }
            Err(error) => {
                observer.refused(&key, &error);
                Box::pin(upload.leave()).await;
                return Err(error);
            }
        }
        if let Some(lock) = &mut lock
            && let Err(error) = lock.confirm(&key).await
        {
            upload.abort().await;
            return Err(error);
        }
        let unchanged = patched.as_ref().filter(|_| upload.is_unchanged());
        let named = Named { path, scope: &scope, bucket: &*bucket, key: &key };
        // A listing doesn't show an object's metadata, so times are kept for READDIR even where STAT could do without.
        let late = if shown.attributes != stored || shown.attributes.times.is_some() {
            shown.attributes
        } else {
            NewAttributes::default()
        };
        // Asked meanwhile, so that there is mostly nothing to forget. What is set while this CLOSE is under way may count as
        // set after it.
        let asks = unchanged.is_none() && late.is_empty();
        let asked_at = node.cache.stat.ask((bucket.id(), key.as_str()));
        let (published, is_kept) = join!(upload.finish(), async { asks && notes.late.is_kept(named).await });
        if published.is_err() && unchanged.is_none() {
            // It may have been stored all the same.
            node.cache.changed(bucket.id(), &key, Change::Stored);
        }
        let published = published.map_err(|error| match error {
            store::Error::Conflict { .. } => conflicting.error(error),
            error => error.into(),
        })?;
        if let Some(Keeping { journal, file, .. }) = owed {
            let _ = journal.give_up_partials(&file).await;
        }
        if let Some(patched) = unchanged {
            let attributes = shown.attributes.beside(patched.live().attributes);
            notes.late.add(named, &Version::of(&patched.file), attributes.into()).await;
            return Ok(size);
        }
        let version = Version::stored_now(published.pin.etag.clone());
        let attributes = known_to_server(shown, published.in_parts_for, &version).updated(late.into());
        if is_kept || !late.is_empty() {
            notes.late.replace(named, &version, attributes).await;
        } else {
            notes.late.show(named, &version, attributes);
        }
        let mut object = patched.as_ref().map(Patched::heir).unwrap_or_default();
        stored.write_to(&mut object, Kind::File);
        let NewObject { metadata, headers } = object;
        let Version { etag, modified } = version;
        let file = Object { size, pin: published.pin, modified, metadata, headers, archived: false };
        node.cache.replaced(named.at(), asked_at, Change::Stored, Sight::Stored(Box::new(file)));
        let locked = match &lock {
            Some(lock) => lock.end().await,
            None => Ok(()),
        };
        if live.shown().removed || locked.is_err() {
            // While it was being stored.
            let removed = store::remove(&*bucket, &key, RemovalCondition::Matches(etag)).await;
            node.cache.changed(bucket.id(), &key, Change::Removed);
            match removed {
                Ok(()) | Err(store::Error::NotFound | store::Error::Conflict { .. }) => notes.late.forget(named).await,
                Err(error) => return Err(error.into()),
            }
        }
        locked.map(|()| size)
    }

    /// True if others can't create the file, and nothing of it was stored that they would have to wait for.
    #[must_use]
    pub fn has_idle_lock(&self) -> bool {
        self.lock.is_some() && self.upload.shipped() == 0
    }

    /// Lets others create the file, because its client is silent.
    pub fn let_lock_lapse(&self) {
        if let Some(lock) = self.lock.as_ref().filter(|_| self.has_idle_lock()) {
            lock.lapse();
        }
    }

    async fn unlock(&mut self) {
        if let Some(lock) = self.lock.take() {
            let _ = lock.end().await;
        }
    }

    /// Gives the upload up. Nothing is published, and the storage keeps nothing of it.
    pub async fn discard(mut self) {
        self.unlock().await;
        self.pay().await;
        self.upload.abort().await;
    }

    /// Ends without a CLOSE. Nothing is published; what is stored can go on later, if the tenant wants that.
    pub async fn leave(mut self) {
        self.unlock().await;
        self.pay().await;
        if self.live.shown().removed {
            return self.upload.abort().await;
        }
        self.upload.leave().await;
    }

    /// Takes on all that was asked for before the CLOSE.
    async fn settle_at_close(&mut self) {
        self.decide_at_close().await;
        self.pay().await;
        self.take_on_name();
        self.take_on_size();
        self.store_attributes();
    }

    /// Waits until what was cut off before is given up: this upload must have no entry of its own until then, which would
    /// be given up with it.
    async fn settle(&mut self) {
        if let Some(giving_up) = &mut self.giving_up {
            self.owed = giving_up.owed().await;
            self.giving_up = None;
        }
    }

    /// Gives up what could not be given up then, if this upload has no entry of its own: that itself gives up the older
    /// ones.
    async fn pay(&mut self) {
        self.settle().await;
        if let Some(Keeping { journal, file, .. }) = self.owed.take_if(|_| self.upload.shipped() == 0) {
            let _ = journal.give_up_partials(&file).await;
        }
    }

    /// Where in the file bytes for `offset` go, with all taken on that was set before them.
    async fn place(&mut self, offset: u64) -> Result<u64> {
        self.settle().await;
        self.decide(offset).await?;
        self.take_on_name();
        self.take_on_size();
        self.store_attributes();
        Ok(if self.append && !self.lacks_its_beginning() { self.upload.size() } else { offset })
    }

    fn demand_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(Error::NotOpenForWriting) }
    }

    /// True if nothing is in a file of which the client may have sent a part before: its first WRITE tells by its offset.
    fn lacks_its_beginning(&self) -> bool {
        self.upload.is_gapless() && self.upload.size() == 0
    }

    async fn write_at(&mut self, offset: u64, data: Bytes) -> store::Result<()> {
        let was_unchanged = self.upload.is_unchanged();
        self.live.update(|live| live.is_busy = true);
        let written = self.upload.write(offset, data).await;
        self.show(was_unchanged);
        written
    }

    /// Takes on a name that RENAME gave. That was answered with OK, so what can't be done now fails the close.
    fn take_on_name(&mut self) {
        let Some((key, replace)) = self.live.take_renamed() else { return };
        let (condition, conflicting) = match replace {
            Replace::No => (Condition::Absent, Conflicting::Exists),
            Replace::Yes if self.mount.allows(Permission::Overwrite) => (Condition::Always, Conflicting::Changed),
            Replace::Yes => (Condition::Absent, Conflicting::MayNotReplace),
        };
        if let Err(error) = self.upload.rename(key.clone(), condition) {
            self.upload.spoil(&error);
        }
        (self.key, self.conflicting) = (key, conflicting);
        self.room.rename(&self.key);
    }

    /// Takes on a size that was set by path. That was answered with OK, so what can't be done now fails the close.
    fn take_on_size(&mut self) {
        let Some(Resized { smallest, last }) = self.live.shown().resized else { return };
        let was_unchanged = self.upload.is_unchanged();
        for size in [smallest, last] {
            if let Err(error) = self.upload.set_size(size) {
                self.upload.spoil(&error);
            }
        }
        self.live.update(|live| live.resized = None);
        self.show(was_unchanged);
    }

    /// Shows how far the upload is, and from its first change on a new time.
    fn show(&mut self, was_unchanged: bool) {
        let (size, shipped) = (self.upload.size(), self.upload.shipped());
        let changes = was_unchanged && !self.upload.is_unchanged();
        self.live.update(|live| {
            (live.size, live.shipped, live.is_busy) = (size, shipped, false);
            if changes {
                live.since = now();
            }
        });
    }

    /// Writes what was asked for into the object, if its metadata has not been sent. SETSTAT of the path asks too.
    fn store_attributes(&mut self) {
        let wanted = self.live.shown().attributes;
        if wanted != self.stored
            && let Some(object) = self.upload.object_mut()
        {
            wanted.write_to(object, Kind::File);
            self.stored = wanted;
        }
    }
}

/// The server itself knows of a file that has just appeared: its mode, which no listing shows, and the time, where S3 says
/// when the upload began, long before.
fn known_to_server(live: Live, in_parts_for: Option<Duration>, version: &Version) -> LateAttributes {
    let mode = live.attributes.mode.filter(|mode| !Metadata::is_listed_mode(*mode));
    let is_older_in_s3 = in_parts_for.is_some_and(|age| age > S3_TIME_IS_NEAR);
    LateAttributes { times: is_older_in_s3.then(|| LateTimes::appeared(version.modified)), mode }
}

impl Conflicting {
    fn error(self, conflict: store::Error) -> Error {
        match self {
            Self::Exists => Error::AlreadyExists,
            Self::MayNotReplace => Error::Denied(Permission::Overwrite),
            Self::Changed => Error::Changed(conflict),
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
