//! The steps in the directory of the verification, and the end of it.

use super::{StepFailure, StepResult, Trial, other_etag};
use crate::{
    account::{Checksums, Encryption},
    cloud::CheckSession,
    name::{Key, Prefix},
    store::{Bucket, Condition, Error, ListScope, NewObject, Payload, Pin, RemovalCondition, StoredObject, UploadId},
};
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use std::{ops::Range, sync::LazyLock};

/// The smallest part that S3 takes before another one.
const PART_BYTES: u64 = 5 * 1024 * 1024;
const SMALL_BYTES: usize = 1024;
/// The objects that a verification tries to read before it gives up.
const MAX_CANDIDATES: usize = 5;
const SMALL: &str = "object";
const LARGE: &str = "object-in-parts";

/// The bytes of a part. All verifications share them.
static PART: LazyLock<Bytes> =
    LazyLock::new(|| (0..PART_BYTES).map(|at| u8::try_from(at % 251).unwrap_or_default()).collect());

fn small() -> Payload {
    Payload::new(vec![PART.slice(..SMALL_BYTES)])
}

impl Trial<'_> {
    pub(super) async fn listing(&self) -> StepResult {
        let page = self.session()?.bucket().list(ListScope::Below(&self.request.setup.storage.prefix), None, 1).await?;
        Ok(page.objects.is_empty().then(|| "it has no objects yet".to_owned()))
    }

    /// S3 compares the owner before it looks at policies.
    pub(super) async fn owner(&self) -> StepResult {
        let owner = self.request.setup.storage.expected_bucket_owner.as_deref();
        let other = if owner == Some("000000000000") { "999999999999" } else { "000000000000" };
        if self.bucket()?.list(ListScope::Below(&self.request.setup.storage.prefix), None, 1).await.is_err() {
            return Err(StepFailure::NotTried("the prefix isn't listed in any case".to_owned()));
        }
        let bucket = self.session()?.owned_by(other);
        match bucket.list(ListScope::Below(&self.request.setup.storage.prefix), None, 1).await {
            Err(Error::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(_) => Err(StepFailure::wrong(
                "the store answers although another account would have to own the bucket",
                "it ignores `expected_bucket_owner`, which then protects nothing: take it out of the tenant's file",
            )),
        }
    }

    pub(super) async fn put(&mut self) -> StepResult {
        let key = self.new_key(SMALL)?;
        let stored = self.bucket()?.put(&key, small(), &NewObject::default(), Condition::Always).await;
        let stored = self.note(&key, stored)?;
        let detail = stored.pin.version.is_some().then(|| "the bucket keeps versions".to_owned());
        self.small = Some(stored.pin);
        Ok(detail)
    }

    pub(super) async fn marker(&mut self) -> StepResult {
        let Some(key) = self.directory.marker() else { return Ok(None) };
        self.objects.stored.insert(key.clone());
        let stored = self.bucket()?.put(&key, Payload::default(), &NewObject::default(), Condition::Always).await;
        self.note(&key, stored)?;
        Ok(None)
    }

    /// Must follow [`Self::put`], whose answer says it.
    pub(super) fn encryption(&self) -> StepResult {
        self.small()?;
        let (found, wanted) = (self.session()?.encryption(), &self.request.setup.storage.objects.encryption);
        let said = match &found {
            None => "S3 reports no encryption".to_owned(),
            Some(found) => named(&found.algorithm, found.key.as_deref()),
        };
        let algorithm = match wanted {
            Encryption::Bucket => return Ok(Some(said)),
            Encryption::SseS3 => "AES256",
            Encryption::SseKms { .. } => "aws:kms",
            Encryption::DsseKms { .. } => "aws:kms:dsse",
        };
        // S3 reports the ARN of the key, also for its bare id. An alias can't be compared.
        let is_the_key = |wanted: &str, key: &str| {
            wanted.contains("alias/") || key == wanted || key.ends_with(&format!("/{wanted}"))
        };
        let is_as_wanted = found.is_some_and(|found| {
            let key = found.key.as_deref();
            let has_key = wanted.kms_key().is_none_or(|wanted| key.is_some_and(|key| is_the_key(wanted, key)));
            found.algorithm == algorithm && has_key
        });
        if is_as_wanted {
            return Ok(Some(said));
        }
        Err(StepFailure::wrong(
            format!("{said}, and the tenant's file asks for {}", named(algorithm, wanted.kms_key())),
            "the store ignores `encryption` and `kms_key`: take them out of the tenant's file, or use a store that encrypts so",
        ))
    }

    pub(super) async fn checksum(&mut self) -> StepResult {
        self.small()?;
        let key = self.new_key("damaged")?;
        let damaged = Payload { crc64: small().crc64 ^ 1, ..small() };
        let stored = self.bucket()?.put(&key, damaged, &NewObject::default(), Condition::Always).await;
        match self.note(&key, stored) {
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(_) => match self.request.setup.storage.checksums {
                Checksums::WhenRequired => Err(StepFailure::Accepted(
                    "requests have no checksum, because the tenant's file says `checksums = \"when_required\"`"
                        .to_owned(),
                )),
                Checksums::Crc64Nvme => Err(StepFailure::wrong(
                    "S3 stored bytes that don't match their checksum",
                    "the store or a proxy before it ignores checksums, so that bytes which are damaged on the way are not noticed: \
                         use another store, or go around the proxy",
                )),
            },
        }
    }

    pub(super) async fn conditional_write(&mut self) -> StepResult {
        self.small()?;
        let key = self.key(SMALL)?;
        let mut conditions = vec![(Condition::Absent, "If-None-Match")];
        if self.rights.get() {
            conditions.push((Condition::Matches(other_etag()), "If-Match"));
        }
        for (condition, header) in conditions {
            match self.bucket()?.put(&key, small(), &NewObject::default(), condition).await {
                Err(Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(stored) => {
                    self.note(&key, Ok(stored))?;
                    return Err(replaced(&format!("PutObject with {header}")));
                }
            }
        }
        let upload = self.begin_upload(&key).await?;
        let part = self.bucket()?.upload_part(&key, &upload, 1, small()).await?;
        match self.bucket()?.complete_upload(&key, &upload, &[part], Condition::Absent).await {
            // The clean-up aborts the upload.
            Err(Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(stored) => {
                self.note(&key, Ok(stored))?;
                Err(replaced("CompleteMultipartUpload with If-None-Match"))
            }
        }
    }

    async fn begin_upload(&mut self, key: &Key) -> Result<UploadId, StepFailure> {
        self.objects.unanswered.insert(key.clone());
        let upload = self.bucket()?.create_upload(key, &NewObject::default()).await;
        self.begun(key, upload)
    }

    /// Notes an upload, unless S3 surely didn't begin it.
    fn begun(&mut self, key: &Key, answer: Result<UploadId, Error>) -> Result<UploadId, StepFailure> {
        match &answer {
            Ok(upload) => self.objects.uploads.push((key.clone(), upload.clone())),
            Err(error) if is_refusal(error) => {}
            Err(_) => return Ok(answer?),
        }
        self.objects.unanswered.remove(key);
        Ok(self.unless_refused(key, answer)?)
    }

    pub(super) async fn multipart(&mut self) -> StepResult {
        let key = self.new_key(LARGE)?;
        let upload = self.begin_upload(&key).await?;
        let bucket = self.bucket()?;
        let first = bucket.upload_part(&key, &upload, 1, Payload::new(vec![PART.clone()])).await?;
        let last = bucket.upload_part(&key, &upload, 2, Payload::new(vec![PART.slice(..1)])).await?;
        let stored = bucket.complete_upload(&key, &upload, &[first, last], Condition::Always).await?;
        self.objects.uploads.pop();
        let stored = self.note(&key, Ok(stored))?;
        self.large = Some(stored.pin);
        Ok(None)
    }

    pub(super) async fn abort(&mut self) -> StepResult {
        let key = self.key("aborted")?;
        let upload = self.begin_upload(&key).await?;
        let bucket = self.bucket()?;
        if self.rights.list_parts() {
            bucket.list_parts(&key, &upload, 0).await?;
        }
        bucket.abort_upload(&key, &upload).await?;
        if self.rights.list_parts() {
            match bucket.list_parts(&key, &upload, 0).await {
                Err(Error::NotFound) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    return Err(StepFailure::wrong(
                        "the upload is still there after its abort",
                        "a lifecycle rule must delete what interrupted uploads leave (AbortIncompleteMultipartUpload)",
                    ));
                }
            }
        }
        self.objects.uploads.pop();
        Ok(None)
    }

    pub(super) async fn get(&self) -> StepResult {
        let (key, pin) = (self.key(SMALL)?, self.small()?);
        self.require_bytes(&key, pin, 0..SMALL_BYTES as u64, &PART.slice(..SMALL_BYTES)).await
    }

    pub(super) async fn range(&self) -> StepResult {
        let (key, pin) = (self.key(LARGE)?, self.large()?);
        let wanted = [PART.slice(PART.len().saturating_sub(9)..), PART.slice(..1)].concat();
        self.require_bytes(&key, pin, PART_BYTES - 9..PART_BYTES + 1, &wanted).await
    }

    async fn require_bytes(&self, key: &Key, pin: &Pin, range: Range<u64>, wanted: &[u8]) -> StepResult {
        let read = self.bucket()?.read(key, range, Some(pin)).await?;
        let pieces: Vec<Bytes> = read.body.try_collect().await?;
        if pieces.concat() == wanted {
            return Ok(None);
        }
        Err(StepFailure::wrong(
            "S3 returned other bytes than it stored",
            "another program changes them, such as an Object Lambda or a proxy: go around it",
        ))
    }

    /// Reads a byte of an object of the tenant, and drops it.
    pub(super) async fn existing_object(&self) -> StepResult {
        for (key, pin) in self.existing_objects().await? {
            match self.bucket()?.read(&key, 0..1, Some(&pin)).await {
                Ok(read) => {
                    let _: Vec<Bytes> = read.body.try_collect().await?;
                    return Ok(None);
                }
                // Archived, or replaced or deleted meanwhile.
                Err(Error::Archived | Error::NotFound | Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepFailure::NotTried("there is no object that could be read".to_owned()))
    }

    /// The first objects that aren't empty.
    async fn existing_objects(&self) -> Result<Vec<(Key, Pin)>, StepFailure> {
        let prefix = &self.request.setup.storage.prefix;
        let page = self.bucket()?.list(ListScope::Below(prefix), None, 100).await?;
        let objects = page.objects.into_iter().filter(|object| object.size > 0);
        let pinned = objects
            .filter_map(|object| Some((prefix.adopt(&object.raw_key)?, Pin { etag: object.etag, version: None })));
        Ok(pinned.take(MAX_CANDIDATES).collect())
    }

    pub(super) async fn public_access(&self) -> StepResult {
        let (anyone, prefix) = (self.check.anonymous(), &self.request.setup.storage.prefix);
        let tenant = &self.request.setup.tenant.name;
        let public = |what: &str| {
            StepFailure::wrong(
                format!("everyone can {what}, without a signature"),
                format!(
                    "block public access to the bucket, and look at its policy and its ACLs: `wharfinger tenant policy {tenant}` prints \
                     the settings"
                ),
            )
        };
        // S3 says 400 or 301 of requests that it doesn't judge, such as one without a signature for an encrypted object.
        let unclear =
            |error: &Error| StepFailure::NotTried(format!("S3 says to requests without a signature: {error}"));
        match anyone.list(ListScope::Below(prefix), None, 1).await {
            Ok(_) => return Err(public("list the prefix")),
            Err(Error::Forbidden { .. }) => {}
            Err(error @ (Error::Unreachable(_) | Error::Throttled { .. })) => return Err(error.into()),
            Err(error) => return Err(unclear(&error)),
        }
        let own = self.small.is_some().then(|| self.key(SMALL)).transpose()?;
        let key = match own {
            Some(key) => Some(key),
            None if self.session.is_some() => {
                self.existing_objects().await.unwrap_or_default().into_iter().next().map(|(key, _)| key)
            }
            None => None,
        };
        let Some(key) = key else { return Ok(Some("of a listing; there was no object to read".to_owned())) };
        match anyone.read(&key, 0..1, None).await {
            Ok(_) => Err(public("read an object")),
            Err(Error::Forbidden { .. }) => Ok(None),
            Err(error @ (Error::Unreachable(_) | Error::Throttled { .. })) => Err(error.into()),
            Err(error) => Err(unclear(&error)),
        }
    }

    pub(super) async fn copy(&mut self) -> StepResult {
        let (source, pin, target) = (self.key(SMALL)?, self.small()?.clone(), self.new_key("copy")?);
        let stored = self.bucket()?.copy(&source, &pin, &target, None, Condition::Always).await;
        self.note(&target, stored)?;
        Ok(None)
    }

    pub(super) async fn tags(&mut self) -> StepResult {
        let (source, pin) = (self.key(SMALL)?, self.small()?.clone());
        self.session()?.tag(&source, "wharfinger", "verify").await?;
        let target = self.new_key("tagged-copy")?;
        let stored = self.bucket()?.copy(&source, &pin, &target, None, Condition::Always).await;
        self.note(&target, stored)?;
        if self.session()?.tags(&target).await? == [("wharfinger".to_owned(), "verify".to_owned())] {
            return Ok(None);
        }
        Err(StepFailure::wrong(
            "the copy lacks the tag of its source",
            "files lose their tags when they are renamed there",
        ))
    }

    pub(super) async fn copy_in_parts(&mut self) -> StepResult {
        let (source, pin, target) = (self.key(LARGE)?, self.large()?.clone(), self.new_key("copy-in-parts")?);
        self.objects.unanswered.insert(target.clone());
        let upload = self.bucket()?.create_copy(&target, &source, &pin, &NewObject::default()).await;
        let upload = self.begun(&target, upload)?;
        let bucket = self.bucket()?;
        let part = bucket.copy_part(&target, &upload, 1, &source, &pin, 0..PART_BYTES + 1).await?;
        let stored = bucket.complete_upload(&target, &upload, &[part], Condition::Always).await?;
        self.objects.uploads.pop();
        self.note(&target, Ok(stored))?;
        Ok(None)
    }

    pub(super) async fn conditional_delete(&self) -> StepResult {
        self.small()?;
        match self.bucket()?.remove(&self.key(SMALL)?, RemovalCondition::Matches(other_etag())).await {
            Err(Error::Conflict { .. }) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Err(StepFailure::wrong(
                "S3 deleted an object although If-Match forbade it",
                "without conditional deletes a REMOVE or a RENAME can delete a file that another client has just replaced",
            )),
        }
    }

    pub(super) async fn delete(&mut self) -> StepResult {
        self.small()?;
        let key = self.key(SMALL)?;
        let marker = self.session()?.remove(&key, None).await?;
        self.objects.versions.extend(marker.map(|version| (key.clone(), version)));
        let listed = self.bucket()?.list(ListScope::StartingWith(&key), None, 1).await?;
        if listed.objects.first().is_none_or(|object| object.raw_key != key.as_str()) {
            return Ok(None);
        }
        Err(StepFailure::wrong(
            "the object is still listed after its deletion",
            "use a store whose listings are consistent",
        ))
    }

    /// Aborts uploads, deletes objects and their versions, and what a wrong account let the session store outside the prefix.
    /// Forgets only what is surely gone.
    pub(super) async fn clean_up(&mut self) -> StepResult {
        let Some(session) = &self.session else {
            return Err(StepFailure::NotTried("the role wasn't assumed, so nothing was stored".to_owned()));
        };
        let objects = &mut self.objects;
        for (key, upload) in objects.uploads.clone() {
            if matches!(session.bucket().abort_upload(&key, &upload).await, Ok(()) | Err(Error::UploadGone)) {
                objects.uploads.retain(|(_, other)| *other != upload);
            }
        }
        // A role that may not list may delete nevertheless.
        objects.stored.extend(keys(session.bucket(), &self.directory).await.unwrap_or_default());
        let remover = self.check.clean_up_session(&self.directory).await?;
        for key in objects.stored.clone() {
            if let Ok(marker) = remover.remove(&key, None).await {
                objects.versions.extend(marker.map(|marker| (key.clone(), marker)));
                objects.stored.remove(&key);
            }
        }
        for (key, version) in objects.versions.clone() {
            if remover.remove(&key, Some(&version)).await.is_ok() {
                objects.versions.retain(|(_, other)| *other != version);
            }
        }
        for (bucket, key, version) in objects.outside.clone() {
            if session.remove_elsewhere(&bucket, &key, version.as_ref()).await.is_ok() {
                objects.outside.retain(|(_, other, _)| *other != key);
            }
        }
        if let Ok(found) = keys(session.bucket(), &self.directory).await {
            objects.stored = found.into_iter().collect();
        }
        match self.objects.left("").len() {
            0 => Ok(None),
            left if self.rights.delete() => Err(StepFailure::wrong(
                format!("{left} objects, versions or uploads stay"),
                "delete them; for versions the role's policy must allow s3:DeleteObjectVersion, and Object Lock must not retain them",
            )),
            left => Err(StepFailure::NotTried(format!(
                "the tenant's users may not delete, so that {left} objects or uploads stay: its owner can delete them"
            ))),
        }
    }

    fn bucket(&self) -> Result<&dyn Bucket, StepFailure> {
        self.session().map(CheckSession::bucket)
    }

    fn small(&self) -> Result<&Pin, StepFailure> {
        self.small.as_ref().ok_or_else(|| StepFailure::NotTried("no object was stored".to_owned()))
    }

    fn large(&self) -> Result<&Pin, StepFailure> {
        self.large.as_ref().ok_or_else(|| StepFailure::NotTried("no object was stored in parts".to_owned()))
    }

    /// Notes the version of an object that was stored. One that S3 refused needs no clean-up.
    fn note(&mut self, key: &Key, answer: Result<StoredObject, Error>) -> Result<StoredObject, Error> {
        let stored = self.unless_refused(key, answer)?;
        self.objects.versions.extend(stored.pin.version.clone().map(|version| (key.clone(), version)));
        Ok(stored)
    }

    /// Forgets the key of an object if S3 surely didn't store it. Without an answer it may have.
    fn unless_refused<T>(&mut self, key: &Key, answer: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Forbidden { .. } | Error::Refused { .. } | Error::Conflict { .. } | Error::NotFound) = &answer
        {
            self.objects.stored.remove(key);
        }
        answer
    }
}

fn replaced(request: &str) -> StepFailure {
    StepFailure::wrong(
        format!("S3 replaced an object, although {request} forbade it"),
        "without conditional writes two clients can overwrite each other's files: use a store that has them",
    )
}

/// True if S3 surely did nothing.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Forbidden { .. } | Error::Refused { .. } | Error::Conflict { .. } | Error::NotFound)
}

/// An encryption in words.
fn named(algorithm: &str, key: Option<&str>) -> String {
    key.map_or_else(|| algorithm.to_owned(), |key| format!("{algorithm} with {key}"))
}

/// The keys below `directory`, at most 1,000.
async fn keys(bucket: &dyn Bucket, directory: &Prefix) -> Result<Vec<Key>, Error> {
    let page = bucket.list(ListScope::Below(directory), None, 1_000).await?;
    let marker = directory.marker();
    let key = |raw: &str| match &marker {
        Some(marker) if marker.as_str() == raw => Some(marker.clone()),
        _ => directory.adopt(raw),
    };
    Ok(page.objects.iter().filter_map(|object| key(&object.raw_key)).collect())
}
