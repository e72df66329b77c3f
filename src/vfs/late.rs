//! Times and modes that were set after the object's metadata was fixed, and times that S3 doesn't report.
//!
//! S3 changes an object's metadata only by a copy onto itself, which changes the ETag. So these attributes are kept
//! beside the object, in the journal, with the ETag of their version. The time at which they were set is kept too,
//! because the same bytes that are stored again have the same ETag. The node also remembers in its overlay what its own
//! sessions set. The overlay answers while the journal is down, which fails no request here. `attribute_writer.rs`
//! writes its entries into the journal later.

use super::{
    NewAttributes, Node, Times,
    attribute_writer::AttributeWriter,
    cache::{At, AttributeOverlay, CredentialScope, Noted},
};
use crate::{
    journal::{self, Journal, JournalDown, ObjectTimes, TimesAndMode, Version},
    name::{BucketId, Key, Prefix, TenantName, VirtualPath},
    objects::{self, RenamedVersions, TimesWritten},
    store::Bucket,
};
use std::{collections::HashMap, sync::Arc};
use tokio::join;

/// An object, by the names that the session, the cache and the journal use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) path: &'a VirtualPath,
    pub(super) scope: &'a Arc<CredentialScope>,
    pub(super) bucket: &'a dyn Bucket,
    pub(super) key: &'a Key,
}

impl<'a> Named<'a> {
    /// The object by its name in the cache.
    pub(super) fn at(&self) -> At<'a> {
        At { scope: self.scope, bucket: self.bucket.id(), key: self.key }
    }

    fn name(&self) -> (&'a BucketId, &'a str) {
        (self.bucket.id(), self.key.as_str())
    }
}

/// The attributes that are kept beside the objects of a session's tree.
#[derive(Debug)]
pub(super) struct Late {
    node: Arc<Node>,
    tenant: TenantName,
}

impl Late {
    pub(super) fn new(node: Arc<Node>, tenant: TenantName) -> Self {
        Self { node, tenant }
    }

    fn journal(&self) -> &dyn Journal {
        &*self.node.journal
    }

    fn overlay(&self) -> &AttributeOverlay {
        &self.node.cache.attributes
    }

    /// The attributes that are kept for a file, of any version. At most one question to the journal.
    pub(super) async fn of_file(&self, file: Named<'_>) -> Kept {
        let noted = self.overlay().find(file.name());
        self.tell_again(file.bucket.id(), file.key, noted.as_ref());
        let kept = if noted.as_ref().is_some_and(Noted::is_fresh) {
            Ok(None)
        } else {
            self.node.renamed_times.known(file.bucket.id(), file.key.as_str()).await;
            self.journal().attributes(file.bucket.id(), file.key).await
        };
        Kept { noted, kept }
    }

    /// The attributes that are kept for the files on one page of a listing. One question to the journal, none for a
    /// page without files.
    pub(super) async fn of_page(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[objects::ListingEntry],
    ) -> KeptInPage {
        let is_file = |entry: &&objects::ListingEntry| matches!(entry.kind, objects::EntryKind::File { .. });
        let files: Vec<&str> = page.iter().filter(is_file).map(|entry| entry.name.as_str()).collect();
        if files.is_empty() {
            return KeptInPage(Ok(HashMap::new()));
        }
        self.node.renamed_times.known(bucket, directory.as_str()).await;
        KeptInPage(self.journal().attributes_in(bucket, directory, &files).await)
    }

    /// The attributes that are kept for the file `name` on a page of the listing of `directory`.
    pub(super) fn in_page(&self, page: &mut KeptInPage, bucket: &BucketId, directory: &Prefix, name: &str) -> Kept {
        let kept = page.0.as_mut().map(|kept| kept.remove(name)).map_err(|down| *down);
        let noted = self.overlay().find((bucket, &format!("{}{name}", directory.as_str())));
        if noted.as_ref().is_some_and(Noted::is_here_alone)
            && let Ok(key) = directory.key(name)
        {
            self.tell_again(bucket, &key, noted.as_ref());
        }
        Kept { noted, kept }
    }

    /// Queues what only this node knows. It is queued already, unless the queue was full.
    fn tell_again(&self, bucket: &BucketId, key: &Key, noted: Option<&Noted>) {
        if let Some(noted) = noted.filter(|noted| noted.is_here_alone()) {
            AttributeWriter::write(&self.node, &self.tenant, bucket, key, &noted.late().etag);
        }
    }

    /// Adds to the attributes that are kept for a version of a file. If the journal doesn't answer, they are written
    /// later.
    pub(super) async fn add(&self, file: Named<'_>, version: &Version, attributes: TimesAndMode) {
        if attributes.is_empty() {
            return;
        }
        let told = self.overlay().add(&self.tenant, file.name(), version, attributes);
        match self.journal().add_attributes(file.bucket.id(), file.key, &told, version.modified).await {
            Ok(kept) => self.overlay().keep(&self.tenant, file.name(), &told, kept.attributes),
            Err(JournalDown) => self.write_later(file, version, attributes),
        }
    }

    /// Replaces all attributes that were kept for the name by those of a new version. The same bytes have the same
    /// ETag, so attributes of the replaced file would otherwise appear on the new one.
    pub(super) async fn replace(&self, file: Named<'_>, version: &Version, attributes: TimesAndMode) {
        self.forget_note(file);
        if attributes.is_empty() {
            return self.forget(file).await;
        }
        let told = self.overlay().add(&self.tenant, file.name(), version, attributes);
        match self.journal().replace_attributes(file.bucket.id(), file.key, Some(&told)).await {
            Ok(()) => self.overlay().keep(&self.tenant, file.name(), &told, attributes),
            Err(JournalDown) => self.write_later(file, version, attributes),
        }
    }

    /// Shows what the server itself knows of a new version, if the journal keeps nothing else for the name. The
    /// attributes are written into the journal soon.
    pub(super) fn show(&self, file: Named<'_>, version: &Version, attributes: TimesAndMode) {
        self.note(file, version, attributes);
        self.write_later(file, version, attributes);
    }

    fn note(&self, file: Named<'_>, version: &Version, attributes: TimesAndMode) {
        if attributes.is_empty() {
            self.forget_note(file);
        } else {
            self.overlay().note(&self.tenant, file.name(), version, attributes);
        }
    }

    fn write_later(&self, file: Named<'_>, version: &Version, attributes: TimesAndMode) {
        if !attributes.is_empty() {
            AttributeWriter::write(&self.node, &self.tenant, file.bucket.id(), file.key, &version.etag);
        }
    }

    /// True if the journal keeps, or may keep, attributes for a file, of any version.
    pub(super) async fn is_kept(&self, file: Named<'_>) -> bool {
        !matches!(self.journal().attributes(file.bucket.id(), file.key).await, Ok(None))
    }

    /// Moves the attributes of a file to its new name and version, and with them the time that it showed.
    pub(super) async fn rename(&self, source: Named<'_>, target: Named<'_>, renamed: &RenamedVersions) {
        let (old, new) = (&renamed.source, &renamed.target);
        let kept = self.of_file(source).await.of(old);
        // A kept time is the one that was shown, not S3's.
        let shown = kept.updated(TimesAndMode { times: renamed.shown_before(), mode: None });
        if !kept.is_empty() {
            join!(self.forget(source), self.replace(target, new, shown));
            return;
        }
        self.note(target, new, shown);
        join!(self.forget(source), self.forget_row(target));
        // A row that is written earlier would be deleted by `forget_row`.
        self.write_later(target, new, shown);
    }

    /// Forgets a file that was removed.
    pub(super) async fn forget(&self, file: Named<'_>) {
        self.forget_note(file);
        self.forget_row(file).await;
    }

    async fn forget_row(&self, file: Named<'_>) {
        // While the journal is down the row stays. It belongs to a version that no longer exists.
        let _ = self.journal().replace_attributes(file.bucket.id(), file.key, None).await;
    }

    /// Writes everything into the journal that this node has not yet told it of a directory and of the names below it.
    /// Call it before the directory is renamed.
    pub(super) async fn settle_below(&self, bucket: &BucketId, directory: &Prefix) {
        self.node.renamed_times.known_below(bucket, directory).await;
        self.tell_below(bucket, directory).await;
    }

    /// Writes everything queued for a directory and the names below it now, a thousand files in one statement.
    pub(super) async fn tell_below(&self, bucket: &BucketId, directory: &Prefix) {
        AttributeWriter::flush(&self.node, bucket, directory).await;
    }

    /// Records a renamed directory. The times of its files are on their way to the journal.
    pub(super) fn enter_renamed(&self, bucket: &BucketId, directory: Prefix, times: TimesWritten) {
        self.node.renamed_times.enter(bucket, directory, times);
    }

    /// Removes and returns this node's entries of the files below a directory, each with its key.
    pub(super) fn take_below(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, Noted)> {
        self.overlay().take_below(bucket, directory)
    }

    /// Copies this node's entry of a renamed file to the new name. If the journal may not have it under the new name,
    /// it is written soon.
    pub(super) fn carry(&self, bucket: &BucketId, key: &Key, version: &Version, noted: &Noted) {
        if self.overlay().carry(&self.tenant, (bucket, key.as_str()), version, noted) {
            AttributeWriter::write(&self.node, &self.tenant, bucket, key, &version.etag);
        }
    }

    /// Removes this node's entry of a file.
    pub(super) fn forget_note(&self, file: Named<'_>) {
        self.overlay().forget(file.name());
    }
}

/// The attributes that are kept for a file, before its version is known.
#[derive(Debug)]
pub(super) struct Kept {
    noted: Option<Noted>,
    kept: Result<Option<journal::ObjectAttributes>, JournalDown>,
}

impl Kept {
    /// The attributes that were set on this version.
    pub(super) fn of(&self, version: &Version) -> TimesAndMode {
        let noted = self.noted.as_ref().filter(|noted| self.kept.is_err() || noted.is_newest());
        let noted = noted.and_then(|noted| noted.of(version)).unwrap_or_default();
        match &self.kept {
            Ok(Some(late)) if late.is_of(version) => late.attributes.updated(noted),
            Ok(_) | Err(JournalDown) => noted,
        }
    }
}

/// The attributes that are kept for the files on one page of a listing.
#[derive(Debug)]
pub(super) struct KeptInPage(Result<HashMap<String, journal::ObjectAttributes>, JournalDown>);

impl From<NewAttributes> for TimesAndMode {
    fn from(NewAttributes { times, mode }: NewAttributes) -> Self {
        let times = times.map(|Times { accessed, modified }| ObjectTimes::Set { accessed, modified });
        Self { times, mode }
    }
}

impl TimesAndMode {
    /// The attributes that clients set.
    pub(super) fn set(self) -> NewAttributes {
        let times = match self.times {
            Some(ObjectTimes::Set { accessed, modified }) => Some(Times { accessed, modified }),
            Some(ObjectTimes::Appeared(_)) | None => None,
        };
        NewAttributes { times, mode: self.mode }
    }

    /// The time to show for a file that S3 reports as modified at `modified`, in seconds since 1970, if no client set
    /// one.
    pub(super) fn modified(self, modified: i64) -> i64 {
        match self.times {
            Some(ObjectTimes::Appeared(appeared)) => appeared.into(),
            Some(ObjectTimes::Set { .. }) | None => modified,
        }
    }
}
