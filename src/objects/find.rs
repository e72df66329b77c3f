//! The kind of thing at a name: a file, a directory, both or nothing. The order of a directory's entries is in
//! `listing/`.
//!
//! Invariant: only a listing proves that an object is missing. HEAD carries no `s3:prefix`, so with credentials that
//! are limited to a prefix S3 answers 403 for a missing key, as for a forbidden one.

use crate::{
    name::{Key, Prefix},
    store::{Bucket, ETag, Error, Headers, ListScope, ListedObject, Object, Pin, Result, first_names},
};
use std::collections::BTreeMap;

/// The number of names that a listing for one key asks for. It is enough to look past most neighbours: `key-1` and
/// `key.txt` come before `key/`.
const NEIGHBOURS: u16 = 32;

/// The file and the directory at a name. With neither, the name is free.
#[derive(Clone, Debug)]
pub struct Found {
    /// The file. If only a listing showed it, its metadata and version are unknown.
    pub(crate) file: Option<Object>,
    /// True if there is a directory: a marker, or any object below. Not looked up if HEAD found the file, because STAT
    /// and OPEN reach the file if S3 holds both.
    pub(crate) directory: bool,
}

impl Found {
    /// True if the name is free.
    #[must_use]
    pub(crate) fn is_nothing(&self) -> bool {
        self.file.is_none() && !self.directory
    }
}

/// The content of a directory, as far as two names of a listing tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryState {
    /// There is no such directory.
    Absent,
    /// Its marker alone.
    Empty {
        /// The marker's version.
        marker: Pin,
    },
    /// More than its marker. Names that no user could open count, and so does a marker that has bytes.
    Occupied,
}

/// Looks up `key`, in 1 request for a file, and 2 or 3 for anything else.
///
/// A file that the credentials may list but not read is found in 3 requests, with the facts that the listing shows.
/// HEAD is sent again after the listing, because the file may have appeared after the first one.
///
/// # Errors
/// [`Error::Forbidden`] if neither HEAD nor LIST is allowed.
pub async fn find(bucket: &dyn Bucket, key: &Key) -> Result<Found> {
    match bucket.head(key).await {
        Ok(object) => Ok(Found { file: Some(object), directory: false }),
        Err(Error::NotFound | Error::Forbidden { .. }) => {
            let listed = find_in_listing(bucket, key).await?;
            if listed.file.is_none() {
                return Ok(listed);
            }
            Ok(match bucket.head(key).await {
                Ok(object) => Found { file: Some(object), directory: false },
                Err(Error::NotFound) => Found { file: None, ..listed },
                Err(_) => listed,
            })
        }
        Err(error) => Err(error),
    }
}

/// [`find`] without HEAD: looks up `key` by listings, in 1 or 2 requests.
///
/// # Errors
/// The listing's errors.
pub async fn find_in_listing(bucket: &dyn Bucket, key: &Key) -> Result<Found> {
    let directory = key.as_directory();
    let page = first_names(bucket, ListScope::StartingWith(key), NEIGHBOURS).await?;
    let decided =
        page.next.is_none() || page.objects.iter().any(|listed| listed.raw_key.as_str() >= directory.as_str());
    let below = page.objects.iter().any(|listed| listed.raw_key.starts_with(directory.as_str()));
    let file = page.objects.into_iter().find(|listed| listed.raw_key == key.as_str()).map(object);
    let directory = if decided { below } else { directory_exists(bucket, &directory).await? };
    Ok(Found { file, directory })
}

/// True if there is a directory at `prefix`: its marker, or any object below. 1 request.
///
/// # Errors
/// The listing's errors.
pub async fn directory_exists(bucket: &dyn Bucket, prefix: &Prefix) -> Result<bool> {
    let page = first_names(bucket, ListScope::Below(prefix), 1).await?;
    Ok(!page.objects.is_empty())
}

/// The content of the directory at `prefix`. 1 request.
///
/// # Errors
/// The listing's errors.
pub async fn directory_state(bucket: &dyn Bucket, prefix: &Prefix) -> Result<DirectoryState> {
    let page = first_names(bucket, ListScope::Below(prefix), 2).await?;
    let mut objects = page.objects.into_iter();
    Ok(match (objects.next(), objects.next()) {
        (None, _) => DirectoryState::Absent,
        (Some(only), None) if only.raw_key == prefix.as_str() && only.size == 0 => {
            DirectoryState::Empty { marker: pin(only.etag) }
        }
        (Some(_), _) => DirectoryState::Occupied,
    })
}

fn object(listed: ListedObject) -> Object {
    Object {
        size: listed.size,
        pin: pin(listed.etag),
        modified: listed.modified,
        metadata: BTreeMap::new(),
        headers: Headers::default(),
        archived: false,
    }
}

fn pin(etag: ETag) -> Pin {
    Pin { etag, version: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    };

    fn bucket(raw_keys: &[&str]) -> MemoryBucket {
        let bucket = MemoryBucket::new();
        for raw_key in raw_keys {
            bucket.insert(raw_key, "bytes");
        }
        bucket
    }

    async fn found(bucket: &MemoryBucket) -> (bool, bool, usize) {
        bucket.forget_requests();
        let found = find(bucket, &Prefix::parse("acme/").unwrap().key("x").unwrap()).await.unwrap();
        (found.file.is_some(), found.directory, bucket.requests().len())
    }

    fn denied() -> Error {
        Error::Forbidden { request: "AccessDenied".into() }
    }

    #[tokio::test]
    async fn files_take_one_request_and_directories_two() {
        for scoped in [false, true] {
            for (raw_keys, expected) in [
                (&["acme/x"][..], (true, false, 1)),
                (&["acme/x", "acme/x/y"], (true, false, 1)),
                (&["acme/x/"], (false, true, 2)),
                (&["acme/x/y"], (false, true, 2)),
                (&["acme/x-1", "acme/x.txt", "acme/x/y"], (false, true, 2)),
                (&[], (false, false, 2)),
                (&["acme/x-1", "acme/x.txt", "acme/xy", "acme/xy/z"], (false, false, 2)),
            ] {
                let bucket = bucket(raw_keys);
                if scoped {
                    bucket.forbid_missing();
                }
                assert_eq!(found(&bucket).await, expected, "{raw_keys:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_empty_page_with_a_token_does_not_end_the_search() {
        for (raw_keys, expected) in [
            (&["acme/x"][..], (true, false)),
            (&["acme/x/"], (false, true)),
            (&["acme/x/y"], (false, true)),
            (&[], (false, false)),
        ] {
            let bucket = bucket(raw_keys);
            bucket.begin_listings_empty();
            bucket.fail(Verb::Head, Moment::Request, denied());
            let (file, directory, _) = found(&bucket).await;
            assert_eq!((file, directory), expected, "{raw_keys:?}");
            let directory = Prefix::parse("acme/x/").unwrap();
            assert_eq!(directory_exists(&bucket, &directory).await.unwrap(), expected.1, "{raw_keys:?}");
            let is_there = directory_state(&bucket, &directory).await.unwrap() != DirectoryState::Absent;
            assert_eq!(is_there, expected.1, "{raw_keys:?}");
        }
    }

    #[tokio::test]
    async fn neighbours_that_hide_a_directory_cost_one_more_request() {
        let bucket = MemoryBucket::new();
        for number in 0..100 {
            bucket.insert(&format!("acme/x-{number}"), "bytes");
        }
        assert_eq!(found(&bucket).await, (false, false, 3));
        bucket.insert("acme/x/y", "bytes");
        assert_eq!(found(&bucket).await, (false, true, 3));
    }

    #[tokio::test]
    async fn what_may_be_listed_but_not_read_is_still_found() {
        let bucket = bucket(&["acme/x"]);
        for _ in 0..2 {
            bucket.fail(Verb::Head, Moment::Request, denied());
        }
        assert_eq!(found(&bucket).await, (true, false, 3));
    }

    #[tokio::test]
    async fn without_head_and_list_nothing_may_be_known() {
        let bucket = bucket(&["acme/x"]);
        bucket.fail(Verb::Head, Moment::Request, denied());
        bucket.fail(Verb::List, Moment::Request, denied());
        let key = Prefix::parse("acme/").unwrap().key("x").unwrap();
        assert!(matches!(find(&bucket, &key).await, Err(Error::Forbidden { .. })));
    }

    #[tokio::test]
    async fn a_directory_is_empty_with_its_marker_alone() {
        let state = async |raw_keys: &[&str]| {
            let bucket = MemoryBucket::new();
            for raw_key in raw_keys {
                bucket.insert(raw_key, "");
            }
            directory_state(&bucket, &Prefix::parse("acme/x/").unwrap()).await.unwrap()
        };
        assert_eq!(state(&["acme/x", "acme/xy/z"]).await, DirectoryState::Absent);
        assert!(matches!(state(&["acme/x/"]).await, DirectoryState::Empty { .. }));
        assert_eq!(state(&["acme/x/y"]).await, DirectoryState::Occupied);
        assert_eq!(state(&["acme/x/", "acme/x//"]).await, DirectoryState::Occupied);
    }
}
