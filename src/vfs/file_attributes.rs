//! Attributes of files beside their objects: times and modes that clients set after an object's metadata was sent, and
//! times that S3 doesn't report.
//!
//! S3 changes an object's metadata only by a copy onto itself, which changes the ETag. So the journal stores these
//! attributes, with the ETag of their version. It also stores when they were set, because the same bytes have the same
//! ETag when they are stored again. The node's overlay has the attributes that its own sessions set. It answers while
//! the journal is down, so no request fails here. `attribute_writer.rs` writes its entries into the journal later.

use super::{
    NewAttributes, Node, Times,
    attribute_writer::AttributeWriter,
    cache::{AttributeOverlay, CredentialScope, KnownAttributes, ScopedName},
};
use crate::{
    journal::{self, Journal, JournalDown, MovedAttributes, ObjectTimes, TimesAndMode, Version},
    name::{BucketId, Key, Prefix, TenantName, VirtualPath},
    objects::{self, Claim, RenamedVersions, TimesWritten},
    store::Bucket,
};
use std::{collections::HashMap, sync::Arc};
use tokio::join;

/// An object, by the names that the session, the cache and the journal use.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedObject<'a> {
    pub(super) path: &'a VirtualPath,
    pub(super) scope: &'a Arc<CredentialScope>,
    pub(super) bucket: &'a dyn Bucket,
    pub(super) key: &'a Key,
}

impl<'a> NamedObject<'a> {
    /// The object by its name in the cache.
    pub(super) fn scoped(&self) -> ScopedName<'a> {
        ScopedName { scope: self.scope, bucket: self.bucket.id(), key: self.key }
    }

    fn name(&self) -> (&'a BucketId, &'a str) {
        (self.bucket.id(), self.key.as_str())
    }
}

/// The attributes beside the objects of a session's tree.
#[derive(Debug)]
pub(super) struct FileAttributes {
    node: Arc<Node>,
    tenant: TenantName,
    journal: Arc<dyn Journal>,
}

impl FileAttributes {
    pub(super) fn new((node, tenant, journal): (Arc<Node>, TenantName, Arc<dyn Journal>)) -> Self {
        Self { node, tenant, journal }
    }

    fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    fn overlay(&self) -> &AttributeOverlay {
        &self.node.cache.attributes
    }

    /// Looks up the attributes beside a file, of any version. At most one question to the journal.
    pub(super) async fn of_file(&self, file: NamedObject<'_>) -> AttributeLookup {
        let overlay = self.overlay().find(file.name());
        self.queue_again(file.bucket.id(), file.key, overlay.as_ref());
        let journal = if overlay.as_ref().is_some_and(KnownAttributes::is_fresh) {
            Ok(None)
        } else {
            self.node.renamed_times.known(file.bucket.id(), file.key.as_str()).await;
            self.journal().attributes(file.bucket.id(), file.key).await
        };
        AttributeLookup { overlay, journal }
    }

    /// The journal's attributes of the files on one page of a listing. One question to the journal, none for a page
    /// without files.
    pub(super) async fn of_page(
        &self,
        bucket: &BucketId,
        directory: &Prefix,
        page: &[objects::ListingEntry],
    ) -> AttributesInPage {
        let is_file = |entry: &&objects::ListingEntry| matches!(entry.kind, objects::EntryKind::File { .. });
        let files: Vec<&str> = page.iter().filter(is_file).map(|entry| entry.name.as_str()).collect();
        if files.is_empty() {
            return AttributesInPage(Ok(HashMap::new()));
        }
        self.node.renamed_times.known(bucket, directory.as_str()).await;
        AttributesInPage(self.journal().attributes_in(bucket, directory, &files).await)
    }

    /// Looks up the attributes of the file `name` on a page of the listing of `directory`.
    pub(super) fn in_page(
        &self,
        page: &mut AttributesInPage,
        bucket: &BucketId,
        directory: &Prefix,
        name: &str,
    ) -> AttributeLookup {
        let journal = page.0.as_mut().map(|rows| rows.remove(name)).map_err(|down| *down);
        let overlay = self.overlay().find((bucket, &format!("{}{name}", directory.as_str())));
        if overlay.as_ref().is_some_and(KnownAttributes::is_unwritten)
            && let Ok(key) = directory.key(name)
        {
            self.queue_again(bucket, &key, overlay.as_ref());
        }
        AttributeLookup { overlay, journal }
    }

    /// Queues an entry that the journal doesn't have. It is queued already, unless the queue was full.
    fn queue_again(&self, bucket: &BucketId, key: &Key, known: Option<&KnownAttributes>) {
        if let Some(known) = known.filter(|known| known.is_unwritten()) {
            AttributeWriter::write(&self.node, &self.tenant, bucket, key, &known.entry().etag);
        }
    }

    /// Adds to the attributes beside a version of a file. If the journal doesn't answer, they are written later.
    pub(super) async fn add(&self, file: NamedObject<'_>, version: &Version, attributes: TimesAndMode) {
        if attributes.is_empty() {
            return;
        }
        let written = self.overlay().add(&self.tenant, file.name(), version, attributes);
        match self.journal().add_attributes(file.bucket.id(), file.key, &written, version.modified).await {
            Ok(row) => self.overlay().confirm(&self.tenant, file.name(), &written, row.attributes),
            Err(JournalDown) => self.write_later(file, version, attributes),
        }
    }

    /// Replaces all attributes of the name by those of a new version. The same bytes have the same ETag, so the new
    /// file would otherwise show attributes of the replaced one.
    pub(super) async fn replace(&self, file: NamedObject<'_>, version: &Version, attributes: TimesAndMode) {
        self.forget_in_overlay(file);
        if attributes.is_empty() {
            return self.forget(file).await;
        }
        let written = self.overlay().add(&self.tenant, file.name(), version, attributes);
        match self.journal().replace_attributes(file.bucket.id(), file.key, Some(&written)).await {
            Ok(()) => self.overlay().confirm(&self.tenant, file.name(), &written, attributes),
            Err(JournalDown) => self.write_later(file, version, attributes),
        }
    }

    /// Shows attributes of a new version that only the server knows. The journal must have none for the name. They are
    /// written into the journal soon.
    pub(super) fn show(&self, file: NamedObject<'_>, version: &Version, attributes: TimesAndMode) {
        self.note(file, version, attributes);
        self.write_later(file, version, attributes);
    }

    fn note(&self, file: NamedObject<'_>, version: &Version, attributes: TimesAndMode) {
        if attributes.is_empty() {
            self.forget_in_overlay(file);
        } else {
            self.overlay().note(&self.tenant, file.name(), version, attributes);
        }
    }

    fn write_later(&self, file: NamedObject<'_>, version: &Version, attributes: TimesAndMode) {
        if !attributes.is_empty() {
            AttributeWriter::write(&self.node, &self.tenant, file.bucket.id(), file.key, &version.etag);
        }
    }

    /// True if the journal has, or may have, attributes of a file, of any version.
    pub(super) async fn may_be_in_journal(&self, file: NamedObject<'_>) -> bool {
        !matches!(self.journal().attributes(file.bucket.id(), file.key).await, Ok(None))
    }

    /// Moves the attributes of a file to its new name and version, and with them the time that it showed. Ends the
    /// rename and its claim.
    pub(super) async fn rename(
        &self,
        source: NamedObject<'_>,
        target: NamedObject<'_>,
        renamed: &RenamedVersions,
        mut claim: Claim,
    ) {
        let (old, new) = (&renamed.source, &renamed.target);
        // Clients saw the time beside the object, not S3's.
        let shown_before = TimesAndMode { times: renamed.shown_before(), mode: None };
        // Of most files nothing is known: then one question is enough.
        let is_known = [source, target].into_iter().any(|file| self.overlay().find(file.name()).is_some());
        if !is_known {
            self.node.renamed_times.known(source.bucket.id(), source.key.as_str()).await;
            if claim.end_rename_without_attributes(self.journal()).await {
                self.forget_in_overlay(source);
                return self.show(target, new, shown_before);
            }
        }
        let beside = self.of_file(source).await.of(old);
        let shown = beside.updated(shown_before);
        self.forget_in_overlay(source);
        let written = (!beside.is_empty()).then(|| {
            self.forget_in_overlay(target);
            self.overlay().add(&self.tenant, target.name(), new, shown)
        });
        if written.is_none() {
            self.note(target, new, shown);
        }
        let moved = MovedAttributes { source: source.key, target: target.key, entry: written.as_ref() };
        let in_journal = match claim.end_rename(self.journal(), moved).await {
            Some(ended) => ended,
            None => self.move_rows(source.bucket.id(), moved).await,
        };
        match written {
            Some(written) if in_journal.is_ok() => {
                self.overlay().confirm(&self.tenant, target.name(), &written, shown);
            }
            // While the journal is down the rows stay. They belong to versions that no longer exist. A row that is
            // written before they are deleted would be deleted with them.
            _ => self.write_later(target, new, shown),
        }
    }

    /// Moves the rows of a renamed file that has no task.
    async fn move_rows(&self, bucket: &BucketId, moved: MovedAttributes<'_>) -> Result<(), JournalDown> {
        let MovedAttributes { source, target, entry } = moved;
        if entry.is_none() {
            return self.journal().forget_attribute_batch(bucket, &[source, target]).await;
        }
        let forgetting = self.journal().replace_attributes(bucket, source, None);
        let (_, replaced) = join!(forgetting, self.journal().replace_attributes(bucket, target, entry));
        replaced
    }

    /// Forgets a file that was removed.
    pub(super) async fn forget(&self, file: NamedObject<'_>) {
        self.forget_in_overlay(file);
        self.forget_row(file).await;
    }

    async fn forget_row(&self, file: NamedObject<'_>) {
        // While the journal is down the row stays. It belongs to a version that no longer exists.
        let _ = self.journal().replace_attributes(file.bucket.id(), file.key, None).await;
    }

    /// Writes all attributes of a directory and of the names below it into the journal, also the times of an earlier
    /// rename. Call it before the directory is renamed.
    pub(super) async fn flush_all_below(&self, bucket: &BucketId, directory: &Prefix) {
        self.node.renamed_times.known_below(bucket, directory).await;
        self.flush_below(bucket, directory).await;
    }

    /// Writes the queued attributes of a directory and of the names below it, a thousand files in one statement.
    pub(super) async fn flush_below(&self, bucket: &BucketId, directory: &Prefix) {
        AttributeWriter::flush(&self.node, bucket, directory).await;
    }

    /// Records a renamed directory. Another task is writing the times of its files into the journal.
    pub(super) fn enter_renamed(&self, bucket: &BucketId, directory: Prefix, times: TimesWritten) {
        self.node.renamed_times.enter(bucket, directory, times);
    }

    /// Removes and returns this node's entries of the files below a directory, each with its key.
    pub(super) fn take_below(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, KnownAttributes)> {
        self.overlay().take_below(bucket, directory)
    }

    /// Copies this node's entry of a renamed file to the new name. If the journal may not have it under the new name,
    /// it is written soon.
    pub(super) fn carry(&self, bucket: &BucketId, key: &Key, version: &Version, known: &KnownAttributes) {
        if self.overlay().carry(&self.tenant, (bucket, key.as_str()), version, known) {
            AttributeWriter::write(&self.node, &self.tenant, bucket, key, &version.etag);
        }
    }

    /// Removes this node's entry of a file.
    pub(super) fn forget_in_overlay(&self, file: NamedObject<'_>) {
        self.overlay().forget(file.name());
    }
}

/// The attributes beside a file, before its version is known.
#[derive(Debug)]
pub(super) struct AttributeLookup {
    overlay: Option<KnownAttributes>,
    /// `None` if the journal has no row, or the overlay's entry is fresh.
    journal: Result<Option<journal::ObjectAttributes>, JournalDown>,
}

impl AttributeLookup {
    /// The attributes that were set on this version.
    pub(super) fn of(&self, version: &Version) -> TimesAndMode {
        let overlay = self.overlay.as_ref().filter(|known| self.journal.is_err() || known.is_newest());
        let overlay = overlay.and_then(|known| known.of(version)).unwrap_or_default();
        match &self.journal {
            Ok(Some(row)) if row.is_of(version) => row.attributes.updated(overlay),
            Ok(_) | Err(JournalDown) => overlay,
        }
    }
}

/// The journal's attributes of the files on one page of a listing.
#[derive(Debug)]
pub(super) struct AttributesInPage(Result<HashMap<String, journal::ObjectAttributes>, JournalDown>);

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
