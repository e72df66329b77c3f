//! Deletes many objects, each only while it is the expected version.

use crate::{
    name::Key,
    objects::remove,
    store::{Bucket, Error, Pin, RemovalCondition, Result},
};
use futures_util::{StreamExt as _, stream};
use std::collections::BTreeMap;

/// S3's limit on the keys of one request.
const MAX_KEYS: usize = 1000;
/// The number of requests in flight.
const AT_ONCE: usize = 4;

/// The result of deleting objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RemovalOutcome {
    /// The number of objects that are gone.
    pub(super) gone: usize,
    /// The number of objects that have another version by now, and stay.
    pub(super) changed: usize,
}

/// Deletes objects: ⌈n / 1,000⌉ requests, and one for each name that XML can't carry. Markers go last, the innermost
/// first, with a request for each depth. The reason is a store with real directories: it keeps one that isn't empty
/// yet, whatever it answers.
///
/// # Errors
/// The first error that is no [`Error::Conflict`]. The other objects were tried nevertheless.
pub(super) async fn remove_all(bucket: &dyn Bucket, objects: Vec<(Key, Pin)>) -> Result<RemovalOutcome> {
    let (markers, files): (Vec<_>, Vec<_>) = objects.into_iter().partition(|(key, _)| key.as_str().ends_with('/'));
    let mut answers = remove_some(bucket, files, AT_ONCE).await;
    for (_, markers) in by_depth(markers, |(key, _)| key).into_iter().rev() {
        answers.extend(remove_some(bucket, markers, 1).await);
    }
    let mut removed = RemovalOutcome::default();
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok(()) | Err(Error::NotFound) => removed.gone += 1,
            Err(Error::Conflict { .. }) => removed.changed += 1,
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(removed), Err)
}

/// The number of requests that [`remove_all`] sends for these keys.
pub(super) fn request_count<'a>(keys: impl Iterator<Item = &'a Key>) -> u64 {
    let (mut alone, mut together) = (0, BTreeMap::<Option<usize>, u64>::new());
    for key in keys {
        let depth = key.as_str().ends_with('/').then(|| depth(key));
        if key.fits_xml() { *together.entry(depth).or_default() += 1 } else { alone += 1 }
    }
    alone + together.into_values().map(|keys| keys.div_ceil(MAX_KEYS as u64)).sum::<u64>()
}

fn depth(key: &Key) -> usize {
    key.as_str().matches('/').count()
}

/// Groups items by the depth of their keys, the outermost first.
pub(super) fn by_depth<T>(all: Vec<T>, key: impl Fn(&T) -> &Key) -> BTreeMap<usize, Vec<T>> {
    let mut groups: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for one in all {
        groups.entry(depth(key(&one))).or_default().push(one);
    }
    groups
}

async fn remove_some(bucket: &dyn Bucket, objects: Vec<(Key, Pin)>, at_once: usize) -> Vec<Result<()>> {
    let (together, alone): (Vec<_>, Vec<_>) = objects.into_iter().partition(|(key, _)| key.fits_xml());
    let portions: Vec<Vec<_>> = together.chunks(MAX_KEYS).map(<[_]>::to_vec).collect();
    let portions = portions.into_iter().map(|portion| async move {
        match bucket.remove_many(&portion).await {
            Ok(answers) => answers,
            Err(error) => portion.iter().map(|_| Err(undecided(error.clone()))).collect(),
        }
    });
    let mut answers: Vec<_> = stream::iter(portions).buffer_unordered(at_once).collect::<Vec<_>>().await.concat();
    for (key, pin) in alone {
        answers.push(remove(bucket, &key, RemovalCondition::Matches(pin.etag)).await);
    }
    answers
}

/// The error of a whole request. It doesn't tell of any object that it is gone, or another version.
fn undecided(error: Error) -> Error {
    match error {
        Error::NotFound | Error::Conflict { .. } => Error::Broken(format!("a deletion of many objects: {error}")),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::Prefix,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    fn objects(bucket: &MemoryBucket, raw_keys: &[String]) -> Vec<(Key, Pin)> {
        let prefix = Prefix::parse("").unwrap();
        raw_keys.iter().map(|raw| (prefix.adopt(raw).unwrap(), bucket.insert(raw, "x").pin)).collect()
    }

    #[tokio::test]
    async fn a_thousand_go_at_once_and_odd_names_alone() {
        let bucket = MemoryBucket::new();
        let mut names: Vec<String> = (0..2100).map(|number| format!("d/{number}")).collect();
        names.extend(["d/".to_owned(), "d/a\nb".to_owned(), "d/\u{1}".to_owned()]);
        let objects = objects(&bucket, &names);
        assert_eq!(remove_all(&bucket, objects).await.unwrap(), RemovalOutcome { gone: 2103, changed: 0 });
        assert!(bucket.keys().is_empty());
        assert_eq!((bucket.count(Verb::RemoveMany), bucket.count(Verb::Remove)), (4, 2));
        assert_eq!(bucket.requests().last().unwrap().name, "d/", "the marker goes last");
    }

    // S34: Everything in a renamed directory is copied, then the old names are deleted, each only while it is the …
    #[tokio::test]
    async fn what_changed_stays_and_what_is_gone_is_no_failure() {
        let bucket = MemoryBucket::new();
        let objects = objects(&bucket, &["a", "b", "c"].map(str::to_owned));
        bucket.insert("a", "another");
        bucket.delete("b");
        assert_eq!(remove_all(&bucket, objects).await.unwrap(), RemovalOutcome { gone: 2, changed: 1 });
        assert_eq!(bucket.keys(), ["a"]);
    }

    #[tokio::test]
    async fn a_request_that_fails_tells_of_no_object_that_it_is_gone_or_changed() {
        for error in [Error::NotFound, Error::Conflict { request: "HTTP 409".into() }] {
            let bucket = MemoryBucket::new();
            let objects = objects(&bucket, &["a", "b"].map(str::to_owned));
            bucket.fail(Verb::RemoveMany, Moment::Request, error);
            assert!(matches!(remove_all(&bucket, objects).await, Err(Error::Broken(_))));
            assert_eq!(bucket.keys(), ["a", "b"]);
        }
    }

    #[tokio::test]
    async fn a_request_that_fails_keeps_none_of_the_others() {
        let bucket = MemoryBucket::new();
        let names: Vec<String> = (0..1500).map(|number| format!("{number:04}")).collect();
        let objects = objects(&bucket, &names);
        bucket.fail(Verb::RemoveMany, Moment::Request, Error::Unreachable("lost".into()));
        assert!(matches!(remove_all(&bucket, objects).await, Err(Error::Unreachable(_))));
        assert!(bucket.keys().len() < 1500);
    }
}
