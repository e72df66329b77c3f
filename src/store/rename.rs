//! Renaming within a bucket, by copy and delete, so that nothing is lost whatever fails in between. A directory with all
//! that is in it is renamed in `rename/tree.rs`, and what that leaves when it is cut off is put right in `rename/repair.rs`.
//!
//! Invariant: the source is deleted only when the copy is known to be stored, and only if it still is what was
//! copied. After an error a file may exist under both names, never under none.

mod carry;
mod copy;
mod held;
mod plan;
mod removal;
mod repair;
#[cfg(test)]
mod repair_tests;
mod tree;
#[cfg(test)]
mod tree_tests;

pub use repair::repair_rename;
pub use tree::{Tree, rename_tree};

use super::{
    Bucket, Condition, ETag, Error, Key, Object, Pin, Prefix, Result,
    find::{DirectoryState, directory_exists, directory_state, find, refuse_existing},
};
use copy::{copy, copy_marker};

/// A file's version under its old name, and under its new one: the copy of an object that was uploaded in parts has
/// another ETag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// What the file was.
    pub source: ETag,
    /// What it is.
    pub target: ETag,
}

/// An object that was moved with its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The name that it had.
    pub source: Key,
    /// The name that it has.
    pub target: Key,
    /// Its versions.
    pub versions: Renamed,
}

/// Renames the file `source`, or the empty directory of that name, to `target` in the same bucket. 4 requests for a
/// file, and its parts beside them above 256 MiB. What is renamed onto itself stays. Answers with the versions of a file
/// that was renamed.
///
/// A file that `target` names is replaced only where `replace` says so, a directory never.
///
/// # Errors
/// - [`Error::NotFound`]: there is no source.
/// - [`Error::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`Error::IsDirectory`]: `target` is a directory.
/// - [`Error::Conflict`]: the source changed meanwhile. Both names may exist then, and neither version is lost.
/// - [`Error::NotEmpty`]: the source is a directory that holds more than its marker, which is for [`rename_tree`].
/// - [`Error::Archived`]: the source must be restored first.
pub async fn rename(bucket: &dyn Bucket, source: &Key, target: &Key, replace: bool) -> Result<Option<Renamed>> {
    let found = find(bucket, source).await?;
    match found.file {
        _ if found.is_nothing() => Err(Error::NotFound),
        _ if source == target => Ok(None),
        Some(file) => rename_file(bucket, source, &file, target, replace).await.map(Some),
        None => rename_directory(bucket, &source.as_directory(), target).await.map(|()| None),
    }
}

/// Whether a file may get the name `target`. 1 or 2 requests.
///
/// # Errors
/// - [`Error::AlreadyExists`]: `target` is a file and may not be replaced.
/// - [`Error::IsDirectory`]: `target` is a directory.
pub async fn check_target(bucket: &dyn Bucket, target: &Key, replace: bool) -> Result<()> {
    if !replace {
        return refuse_existing(bucket, target).await;
    }
    if directory_exists(bucket, &target.as_directory()).await? { Err(Error::IsDirectory) } else { Ok(()) }
}

async fn rename_file(bucket: &dyn Bucket, source: &Key, file: &Object, target: &Key, replace: bool) -> Result<Renamed> {
    if file.archived {
        return Err(Error::Archived);
    }
    check_target(bucket, target, replace).await?;
    let condition = if replace { Condition::Always } else { Condition::Absent };
    let copied = copy(bucket, source, file, target, condition).await?;
    remove(bucket, source, &file.pin).await?;
    Ok(Renamed { source: file.pin.etag.clone(), target: copied.etag })
}

/// An empty directory is its marker: a zero-byte object.
async fn rename_directory(bucket: &dyn Bucket, source: &Prefix, target: &Key) -> Result<()> {
    let marker = match directory_state(bucket, source).await? {
        DirectoryState::Absent => return Err(Error::NotFound),
        DirectoryState::Occupied => return Err(Error::NotEmpty),
        DirectoryState::Empty { marker } => marker,
    };
    refuse_existing(bucket, target).await?;
    let (Some(source), Some(target)) = (source.marker(), target.as_directory().marker()) else {
        return Err(Error::NotEmpty);
    };
    copy_marker(bucket, &bucket.head(&source).await?, &target).await?;
    remove(bucket, &source, &marker).await
}

/// Deletes what was copied. After a conflict or a lost answer, a source that is gone was deleted by us, or by somebody
/// who wanted it gone too.
async fn remove(bucket: &dyn Bucket, source: &Key, pin: &Pin) -> Result<()> {
    match bucket.remove(source, Some(pin)).await {
        Ok(()) | Err(Error::NotFound) => Ok(()),
        Err(error @ (Error::Conflict { .. } | Error::Unreachable(_))) => {
            let found = find(bucket, source).await;
            if found.is_ok_and(|found| found.file.is_none()) { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        MemoryBucket, NewObject,
        memory::{Moment, Verb},
    };
    use std::collections::BTreeMap;

    fn key(name: &str) -> Key {
        Prefix::parse("acme/").unwrap().key(name).unwrap()
    }

    async fn renamed(bucket: &MemoryBucket, source: &str, target: &str, replace: bool) -> Result<Option<Renamed>> {
        bucket.forget_requests();
        rename(bucket, &key(source), &key(target), replace).await
    }

    // S31: A renamed file keeps its metadata, also above 256 MiB, where it is copied in parts.
    #[tokio::test]
    async fn a_file_takes_four_requests_and_keeps_its_metadata() {
        for replace in [false, true] {
            let bucket = MemoryBucket::new();
            let metadata = BTreeMap::from([("mtime".to_owned(), "7".to_owned())]);
            bucket.insert_with("acme/a", "old", metadata.clone());
            renamed(&bucket, "a", "b", replace).await.unwrap();
            assert_eq!(bucket.verbs(), [Verb::Head, Verb::List, Verb::Copy, Verb::Remove]);
            assert_eq!(bucket.keys(), ["acme/b"]);
            assert_eq!(bucket.metadata("acme/b"), Some(metadata));
        }
    }

    #[tokio::test]
    async fn an_existing_target_is_replaced_only_on_request() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "new");
        bucket.insert("acme/b", "old");
        assert!(matches!(renamed(&bucket, "a", "b", false).await, Err(Error::AlreadyExists)));
        assert_eq!(bucket.keys(), ["acme/a", "acme/b"]);
        renamed(&bucket, "a", "b", true).await.unwrap();
        assert_eq!(bucket.keys(), ["acme/b"]);
        assert_eq!(bucket.bytes("acme/b").unwrap(), "new");
    }

    // S30: A file renamed onto itself stays.
    #[tokio::test]
    async fn a_rename_onto_itself_loses_nothing() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "x");
        bucket.insert("acme/d/", "");
        for name in ["a", "d"] {
            renamed(&bucket, name, name, true).await.unwrap();
            renamed(&bucket, name, name, false).await.unwrap();
        }
        assert!(matches!(renamed(&bucket, "no", "no", true).await, Err(Error::NotFound)));
        assert_eq!(bucket.keys(), ["acme/a", "acme/d/"]);
    }

    #[tokio::test]
    async fn a_directory_is_never_replaced_and_a_full_one_never_moved() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "x");
        bucket.insert("acme/implicit/x", "x");
        bucket.insert("acme/marked/", "");
        for target in ["implicit", "marked"] {
            assert!(matches!(renamed(&bucket, "a", target, true).await, Err(Error::IsDirectory)));
            assert!(matches!(renamed(&bucket, "a", target, false).await, Err(Error::IsDirectory)));
        }
        assert!(matches!(renamed(&bucket, "implicit", "new", true).await, Err(Error::NotEmpty)));
        assert!(matches!(renamed(&bucket, "marked", "implicit", true).await, Err(Error::IsDirectory)));
        assert!(matches!(renamed(&bucket, "marked", "a", true).await, Err(Error::AlreadyExists)));
        assert_eq!(bucket.keys(), ["acme/a", "acme/implicit/x", "acme/marked/"]);
        renamed(&bucket, "marked", "moved", false).await.unwrap();
        assert_eq!(bucket.keys(), ["acme/a", "acme/implicit/x", "acme/moved/"]);
    }

    #[tokio::test]
    async fn what_is_missing_is_missing_under_a_scoped_policy_too() {
        let bucket = MemoryBucket::new();
        bucket.forbid_missing();
        bucket.insert("acme/a.txt", "x");
        assert!(matches!(renamed(&bucket, "a", "b", true).await, Err(Error::NotFound)));
    }

    // S32: A file that somebody else changes during its RENAME stays as changed under its old name, and the client …
    #[tokio::test]
    async fn a_source_that_changes_in_between_is_reported_and_kept() {
        let bucket = std::sync::Arc::new(MemoryBucket::new());
        bucket.insert("acme/a", "first");
        let hold = bucket.hold(Verb::Remove, Moment::Request);
        let running = tokio::spawn({
            let bucket = bucket.clone();
            async move { renamed(&bucket, "a", "b", true).await }
        });
        bucket.arrived(Verb::Remove, 1).await;
        bucket.insert("acme/a", "second");
        drop(hold);
        assert!(matches!(running.await.unwrap(), Err(Error::Conflict { .. })));
        assert_eq!(bucket.bytes("acme/a").unwrap(), "second");
        assert_eq!(bucket.bytes("acme/b").unwrap(), "first");
    }

    /// Renames `acme/a` to `acme/b`, which must not exist, while somebody else acts between the look and the copy.
    async fn overtaken(
        bucket: MemoryBucket,
        act: impl FnOnce(&MemoryBucket),
    ) -> (Vec<String>, Result<Option<Renamed>>) {
        let bucket = std::sync::Arc::new(bucket);
        let hold = bucket.hold(Verb::Copy, Moment::Request);
        let running = tokio::spawn({
            let bucket = bucket.clone();
            async move { renamed(&bucket, "a", "b", false).await }
        });
        bucket.arrived(Verb::Copy, 1).await;
        act(&bucket);
        drop(hold);
        let renamed = running.await.unwrap();
        (bucket.keys(), renamed)
    }

    #[tokio::test]
    async fn anothers_file_of_the_same_bytes_is_not_our_copy() {
        let upload = |token: &str| BTreeMap::from([(NewObject::TOKEN.to_owned(), token.to_owned())]);
        let bucket = MemoryBucket::new();
        bucket.insert_with("acme/a", "same", upload("ours"));
        let theirs = |bucket: &MemoryBucket| drop(bucket.insert_with("acme/b", "same", upload("theirs")));
        let (keys, renamed) = overtaken(bucket, theirs).await;
        assert!(matches!(renamed, Err(Error::AlreadyExists)), "{renamed:?}");
        assert_eq!(keys, ["acme/a", "acme/b"]);
    }

    #[tokio::test]
    async fn a_source_that_changes_before_the_copy_is_told_from_a_target_that_exists() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "first");
        let (keys, renamed) = overtaken(bucket, |bucket| drop(bucket.insert("acme/a", "second"))).await;
        assert!(matches!(renamed, Err(Error::Conflict { .. })), "{renamed:?}");
        assert_eq!(keys, ["acme/a"]);
    }

    #[tokio::test]
    async fn a_copy_that_may_not_be_stored_deletes_nothing() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "x");
        bucket.fail(Verb::Copy, Moment::Request, Error::Unreachable("timed out".into()));
        assert!(matches!(renamed(&bucket, "a", "b", true).await, Err(Error::Unreachable(_))));
        assert_eq!(bucket.keys(), ["acme/a"]);
    }

    #[tokio::test]
    async fn lost_answers_are_told_from_lost_requests() {
        for verb in [Verb::Copy, Verb::Put, Verb::Remove] {
            let bucket = MemoryBucket::new();
            bucket.insert("acme/a", "x");
            bucket.insert("acme/d/", "");
            for (source, target) in [("a", "b"), ("d", "e")] {
                bucket.fail(verb, Moment::Answer, Error::Unreachable("timed out".into()));
                renamed(&bucket, source, target, false).await.unwrap();
            }
            assert_eq!(bucket.keys(), ["acme/b", "acme/e/"], "{verb:?}");
        }
    }

    #[tokio::test]
    async fn a_source_that_cannot_be_deleted_stays_under_both_names() {
        let bucket = MemoryBucket::new();
        bucket.insert("acme/a", "x");
        bucket.fail(Verb::Remove, Moment::Request, Error::Forbidden { request: "AccessDenied".into() });
        assert!(matches!(renamed(&bucket, "a", "b", false).await, Err(Error::Forbidden { .. })));
        assert_eq!(bucket.keys(), ["acme/a", "acme/b"]);
    }
}
