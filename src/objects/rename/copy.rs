//! Copies one object within a bucket: at once, or in parts if one copy would take longer than clients wait.
//!
//! Invariant: a lost answer is distinguished from a copy that wasn't made, and another client's object at the target is
//! never taken for our copy.

use super::{
    copy_token::CopyToken,
    error::{ObjectsError, Result},
};
use crate::{
    name::Key,
    policy::RequestScope,
    store::{
        Bucket, Condition, ETag, Error, LeftoverObserver, ListedObject, NewObject, Object, Part, Payload, Pin,
        StoredObject, UploadId, may_be_stored, missing_or_forbidden,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::{collections::BTreeMap, ops::Range};

/// S3 copies some 50 to 100 MB of one object in a second, and clients time out after a minute.
pub(super) const MAX_AT_ONCE_BYTES: u64 = 256 * MIB;

/// The minimum size of a part; larger if the object would have too many parts.
const PART_BYTES: u64 = 64 * MIB;
/// The number of parts of one object that S3 copies at the same time.
const PARTS_AT_ONCE: usize = 16;
const MAX_PARTS: u64 = 10_000;
const MIB: u64 = 1024 * 1024;

/// The copy of an object that HEAD described.
#[derive(Clone, Copy)]
pub(super) struct ObjectCopy<'a> {
    pub(super) bucket: &'a dyn Bucket,
    pub(super) source: &'a Key,
    pub(super) file: &'a Object,
    pub(super) target: &'a Key,
    pub(super) token: &'a CopyToken,
    pub(super) leftovers: &'a dyn LeftoverObserver,
}

/// Copies a listed object to a name that is free. One request, unless the object is large or the copy failed.
pub(super) async fn copy_listed(
    bucket: &dyn Bucket,
    source: &Key,
    listed: &ListedObject,
    target: &Key,
    leftovers: &dyn LeftoverObserver,
) -> Result<StoredObject> {
    let pin = Pin { etag: listed.etag.clone(), version: None };
    if listed.size > MAX_AT_ONCE_BYTES {
        let file = described(bucket, source, &pin).await?;
        return ObjectCopy { bucket, source, file: &file, target, token: &CopyToken::None, leftovers }
            .run(Condition::Absent)
            .await;
    }
    RequestScope::note_copy(listed.size);
    match bucket.copy(source, &pin, target, None, Condition::Absent).await {
        // SeaweedFS answers that there is no object if the name ends in a slash.
        Err(Error::NotFound) if listed.size == 0 && source.as_str().ends_with('/') => {
            let file = described(bucket, source, &pin).await?;
            copy_marker(bucket, &file, target, &CopyToken::None).await
        }
        Err(Error::NotFound) => Err(gone().into()),
        Err(refusal @ Error::Forbidden { .. }) => match missing_or_forbidden(bucket, source, refusal).await {
            Error::NotFound => Err(gone().into()),
            refusal => Err(refusal.into()),
        },
        Err(error @ (Error::Conflict { .. } | Error::Unreachable(_))) => {
            let file = described(bucket, source, &pin).await?;
            ObjectCopy { bucket, source, file: &file, target, token: &CopyToken::None, leftovers }
                .confirm_copy(error)
                .await
        }
        answered => Ok(answered?),
    }
}

/// True if `there` is a copy of `file`. A copy keeps the metadata, and with them an upload's token. Without a token,
/// the ETag decides. With a token, the ETag may differ, because the copy of an object that was uploaded in parts has
/// another one. Empty objects have no bytes that could differ.
pub(super) fn is_copy(there: &Object, file: &Object) -> bool {
    there.size == file.size
        && (there.metadata == with_token(file)
            || (there.metadata == file.metadata && (there.pin.etag == file.pin.etag || file.size == 0)))
}

/// The source, if it still is the listed version.
async fn described(bucket: &dyn Bucket, source: &Key, pin: &Pin) -> Result<Object, Error> {
    match bucket.head(source).await {
        Ok(file) if file.pin.etag == pin.etag => Ok(file),
        Ok(_) | Err(Error::NotFound) => Err(gone()),
        Err(error) => Err(error),
    }
}

fn gone() -> Error {
    Error::Conflict { request: "a listed object no longer exists".to_owned() }
}

/// Creates a marker like another one.
///
/// # Errors
/// [`ObjectsError::IsDirectory`]: another client has created a marker there.
pub(super) async fn copy_marker(
    bucket: &dyn Bucket,
    file: &Object,
    target: &Key,
    token: &CopyToken,
) -> Result<StoredObject> {
    let like = NewObject { metadata: file.metadata.clone(), headers: file.headers.clone() };
    let object = token.object().unwrap_or(&like);
    match bucket.put(target, Payload::default(), object, Condition::Absent).await {
        Ok(stored) => Ok(stored),
        Err(error @ (Error::Conflict { .. } | Error::Unreachable(_))) => match bucket.head(target).await {
            Ok(there) if token.is_of(&there) => Ok(StoredObject::described(there)),
            // The name was free a moment ago, so it is our marker, or an empty directory that is as good.
            Ok(there) if token.object().is_none() && there.size == 0 => Ok(StoredObject::described(there)),
            Ok(_) if matches!(error, Error::Conflict { .. }) => Err(ObjectsError::IsDirectory),
            Ok(_) | Err(_) => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

impl ObjectCopy<'_> {
    /// Makes the copy.
    ///
    /// # Errors
    /// [`ObjectsError::AlreadyExists`]: there is an object at the target that another client put there.
    pub(super) async fn run(&self, condition: Condition) -> Result<StoredObject> {
        let Self { bucket, source, file, target, token, .. } = *self;
        if file.size > MAX_AT_ONCE_BYTES {
            return self.in_parts(condition, part_bytes(file.size)).await;
        }
        // A conflict may be our own success, if the target was free a moment ago.
        let may_be_ours = condition == Condition::Absent;
        RequestScope::note_copy(file.size);
        match bucket.copy(source, &file.pin, target, token.object(), condition).await {
            Ok(stored) => Ok(stored),
            Err(error @ Error::Unreachable(_)) => self.confirm_copy(error).await,
            Err(error @ Error::Conflict { .. }) if may_be_ours => self.confirm_copy(error).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Checks if the copy was stored nevertheless: its answer may have been lost, and a retry of a conditional copy
    /// meets its own success as a conflict.
    async fn confirm_copy(&self, error: Error) -> Result<StoredObject> {
        match self.bucket.head(self.target).await {
            Ok(there) if self.made(&there) => Ok(StoredObject::described(there)),
            Ok(_) if matches!(error, Error::Conflict { .. }) => Err(ObjectsError::AlreadyExists),
            Ok(_) | Err(_) => Err(error.into()),
        }
    }

    fn made(&self, there: &Object) -> bool {
        match self.token {
            CopyToken::Own(_) => self.token.is_of(there),
            CopyToken::None => is_copy(there, self.file),
        }
    }

    async fn in_parts(&self, condition: Condition, part_bytes: u64) -> Result<StoredObject> {
        let Self { bucket, source, file, target, token, .. } = *self;
        let like = || NewObject { metadata: with_token(file), ..NewObject::default() };
        let object = token.object().cloned().unwrap_or_else(like);
        let upload = bucket.create_copy(target, source, &file.pin, &object).await?;
        let published = match self.parts(&upload, part_bytes).await {
            Ok(parts) => self.publish(&upload, &parts, condition).await,
            // The source is missing, or the upload.
            Err(Error::NotFound) => Err(missing_or_forbidden(bucket, source, Error::UploadGone.into()).await),
            Err(error) => Err(error.into()),
        };
        if published.is_err()
            && let Err(error) = bucket.abort_upload(target, &upload).await
        {
            self.leftovers.not_aborted(target, &upload.0, &error);
        }
        published
    }

    async fn parts(&self, upload: &UploadId, part_bytes: u64) -> Result<Vec<Part>, Error> {
        let Self { bucket, source, file, target, .. } = *self;
        let copies = (1..).zip(ranges(file.size, part_bytes)).map(|(number, range)| async move {
            RequestScope::note_copy(range.end - range.start);
            bucket.copy_part(target, upload, number, source, &file.pin, range).await
        });
        stream::iter(copies).buffered(PARTS_AT_ONCE).try_collect().await
    }

    async fn publish(&self, upload: &UploadId, parts: &[Part], condition: Condition) -> Result<StoredObject> {
        match self.bucket.complete_upload(self.target, upload, parts, condition).await {
            Ok(stored) => Ok(stored),
            Err(error) if may_be_stored(&error) => match self.confirm_copy(error).await {
                // The upload is missing, not the file.
                Err(ObjectsError::Storage(Error::NotFound)) => Err(Error::UploadGone.into()),
                answered => answered,
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// The metadata of a copy in parts: the file's. If the file has no token, the copy gets one that no other object has.
fn with_token(file: &Object) -> BTreeMap<String, String> {
    let ETag(etag) = &file.pin.etag;
    let mut metadata = file.metadata.clone();
    let token = || format!("copy-of-{}", etag.trim_matches('"'));
    metadata.entry(NewObject::TOKEN.to_owned()).or_insert_with(token);
    metadata
}

fn part_bytes(size: u64) -> u64 {
    size.div_ceil(MAX_PARTS).next_multiple_of(MIB).max(PART_BYTES)
}

/// The number of parts in which an object is copied.
pub(super) fn part_count(size: u64) -> u64 {
    size.div_ceil(part_bytes(size))
}

fn ranges(size: u64, part_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = (0..size.div_ceil(part_bytes)).map(move |index| index * part_bytes);
    starts.map(move |start| start..size.min(start + part_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::Prefix,
        store::NoObserver,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    const PART: usize = 5 * 1024 * 1024;

    fn key(name: &str) -> Key {
        Prefix::parse("acme/").unwrap().key(name).unwrap()
    }

    async fn in_parts(bucket: &MemoryBucket) -> Result<StoredObject> {
        let file = bucket.head(&key("a")).await.unwrap();
        bucket.forget_requests();
        let (source, target, token) = (&key("a"), &key("b"), &CopyToken::new(&file, None).unwrap());
        ObjectCopy { bucket, source, file: &file, target, token, leftovers: &NoObserver }
            .in_parts(Condition::Absent, PART as u64)
            .await
    }

    /// A bucket whose `acme/a` has two parts and a tail, all with different bytes.
    fn bucket(metadata: BTreeMap<String, String>) -> (MemoryBucket, Vec<u8>) {
        let bytes = [vec![1; PART], vec![2; PART], vec![3; 7]].concat();
        let bucket = MemoryBucket::new();
        bucket.insert_with("acme/a", bytes.clone(), metadata);
        (bucket, bytes)
    }

    #[test]
    fn parts_cover_the_largest_object() {
        let largest = 5 << 40;
        for size in [MAX_AT_ONCE_BYTES + 1, 5 << 30, largest] {
            let ranges: Vec<_> = ranges(size, part_bytes(size)).collect();
            assert!(ranges.len() as u64 <= MAX_PARTS);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!((ranges[0].start, ranges.last().unwrap().end), (0, size));
        }
        assert!(part_bytes(largest) <= 5 << 30);
    }

    /// The keys of the copies that S3 didn't abort.
    #[derive(Debug, Default)]
    struct LeftCopies(parking_lot::Mutex<Vec<String>>);

    impl LeftoverObserver for LeftCopies {
        fn not_aborted(&self, key: &Key, _: &str, error: &dyn std::fmt::Display) {
            self.0.lock().push(format!("{}: {error}", key.as_str()));
        }
    }

    #[tokio::test]
    async fn a_copy_that_s3_does_not_abort_is_told() {
        let (bucket, _) = bucket(BTreeMap::new());
        bucket.insert("acme/b", "another's");
        let file = bucket.head(&key("a")).await.unwrap();
        let (source, target, token) = (&key("a"), &key("b"), &CopyToken::new(&file, None).unwrap());
        let leftovers = LeftCopies::default();
        let copying = ObjectCopy { bucket: &bucket, source, file: &file, target, token, leftovers: &leftovers };
        copying.in_parts(Condition::Absent, PART as u64).await.unwrap_err();
        assert_eq!((bucket.open_uploads(), leftovers.0.lock().len()), (0, 0), "S3 aborted it");
        bucket.fail(Verb::AbortUpload, Moment::Request, Error::Broken("4711".to_owned()));
        copying.in_parts(Condition::Absent, PART as u64).await.unwrap_err();
        assert_eq!(bucket.open_uploads(), 1);
        let told = leftovers.0.lock().clone();
        assert!(matches!(&told[..], [one] if one.starts_with("acme/b: ") && one.contains("4711")), "{told:?}");
    }

    // S31: A renamed file keeps its metadata, also above 256 MiB, where it is copied in parts.
    #[tokio::test]
    async fn a_copy_in_parts_keeps_bytes_and_metadata() {
        let metadata = BTreeMap::from([("mtime".to_owned(), "7".to_owned())]);
        let (bucket, bytes) = bucket(metadata.clone());
        in_parts(&bucket).await.unwrap();
        let verbs = [Verb::CreateUpload, Verb::CopyPart, Verb::CopyPart, Verb::CopyPart, Verb::CompleteUpload];
        assert_eq!(bucket.verbs(), verbs);
        assert!(bucket.bytes("acme/b").unwrap() == bytes);
        assert_eq!(bucket.metadata("acme/b").unwrap()["mtime"], "7");
        assert_eq!(bucket.open_uploads(), 0);
    }

    #[tokio::test]
    async fn a_lost_answer_to_the_end_of_a_copy_in_parts_is_told_from_a_failure() {
        for token in [None, Some("ours")] {
            let metadata = token.map(|token| (NewObject::TOKEN.to_owned(), token.to_owned()));
            let (bucket, bytes) = bucket(metadata.into_iter().collect());
            bucket.fail(Verb::CompleteUpload, Moment::Answer, Error::Unreachable("lost".into()));
            in_parts(&bucket).await.unwrap();
            assert!(bucket.bytes("acme/b").unwrap() == bytes);
        }
        for verb in [Verb::CopyPart, Verb::CompleteUpload] {
            let (bucket, _) = bucket(BTreeMap::new());
            bucket.fail(verb, Moment::Request, Error::Unreachable("lost".into()));
            assert!(matches!(in_parts(&bucket).await, Err(ObjectsError::Storage(Error::Unreachable(_)))));
            assert_eq!((bucket.keys(), bucket.open_uploads()), (vec!["acme/a".to_owned()], 0), "{verb:?}");
        }
    }

    #[tokio::test]
    async fn a_copy_in_parts_replaces_nothing_unasked() {
        let (bucket, _) = bucket(BTreeMap::new());
        bucket.insert("acme/b", "another's");
        assert!(matches!(in_parts(&bucket).await, Err(ObjectsError::AlreadyExists)));
        assert_eq!(bucket.bytes("acme/b").unwrap(), "another's");
        assert_eq!(bucket.open_uploads(), 0);
    }

    // S31: A renamed file keeps its metadata, also above 256 MiB, where it is copied in parts.
    #[tokio::test]
    async fn a_large_file_is_copied_in_parts() {
        let bucket = MemoryBucket::new();
        let size = usize::try_from(MAX_AT_ONCE_BYTES).unwrap() + 1;
        bucket.insert("acme/a", vec![7; size]);
        let file = bucket.head(&key("a")).await.unwrap();
        bucket.forget_requests();
        let (source, target, token) = (&key("a"), &key("b"), &CopyToken::new(&file, None).unwrap());
        ObjectCopy { bucket: &bucket, source, file: &file, target, token, leftovers: &NoObserver }
            .run(Condition::Always)
            .await
            .unwrap();
        assert_eq!((bucket.count(Verb::CopyPart), bucket.requests().len()), (5, 7));
        assert_eq!(bucket.bytes("acme/b").unwrap().len(), size);
    }
}
