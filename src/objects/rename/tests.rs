//! Renames of files and empty directories on a bucket in memory: their requests, and the winner of two that compete.

use super::*;
use crate::{
    account::DailyLimits,
    policy::{DailyUsage, TenantUsage},
    store::{NewObject, NoObserver},
    testing::{
        MemoryBucket, StoppedClock,
        bucket::{Moment, Verb},
    },
};
use std::{collections::BTreeMap, sync::Arc};

fn key(name: &str) -> Key {
    Prefix::parse("acme/").unwrap().key(name).unwrap()
}

/// An object's metadata without the id of its copy.
fn told(bucket: &MemoryBucket, raw_key: &str) -> BTreeMap<String, String> {
    let mut metadata = bucket.metadata(raw_key).unwrap();
    metadata.remove(NewObject::TOKEN);
    metadata
}

async fn renamed(bucket: &MemoryBucket, source: &str, target: &str, replace: bool) -> Result<Option<RenamedVersions>> {
    bucket.forget_requests();
    rename(bucket, &key(source), &key(target), replace, &NoObserver, None).await
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
        assert_eq!(told(&bucket, "acme/b"), metadata);
    }
}

#[tokio::test]
async fn an_existing_target_is_replaced_only_on_request() {
    let bucket = MemoryBucket::new();
    bucket.insert("acme/a", "new");
    bucket.insert("acme/b", "old");
    assert!(matches!(renamed(&bucket, "a", "b", false).await, Err(ObjectsError::AlreadyExists)));
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
    assert!(matches!(renamed(&bucket, "no", "no", true).await, Err(ObjectsError::Storage(Error::NotFound))));
    assert_eq!(bucket.keys(), ["acme/a", "acme/d/"]);
}

#[tokio::test]
async fn a_directory_is_never_replaced_and_a_full_one_never_moved() {
    let bucket = MemoryBucket::new();
    bucket.insert("acme/a", "x");
    bucket.insert("acme/implicit/x", "x");
    bucket.insert("acme/marked/", "");
    for target in ["implicit", "marked"] {
        assert!(matches!(renamed(&bucket, "a", target, true).await, Err(ObjectsError::IsDirectory)));
        assert!(matches!(renamed(&bucket, "a", target, false).await, Err(ObjectsError::IsDirectory)));
    }
    assert!(matches!(renamed(&bucket, "implicit", "new", true).await, Err(ObjectsError::NotEmpty)));
    assert!(matches!(renamed(&bucket, "marked", "implicit", true).await, Err(ObjectsError::IsDirectory)));
    assert!(matches!(renamed(&bucket, "marked", "a", true).await, Err(ObjectsError::AlreadyExists)));
    assert_eq!(bucket.keys(), ["acme/a", "acme/implicit/x", "acme/marked/"]);
    renamed(&bucket, "marked", "moved", false).await.unwrap();
    assert_eq!(bucket.keys(), ["acme/a", "acme/implicit/x", "acme/moved/"]);
}

#[tokio::test]
async fn what_is_missing_is_missing_under_a_scoped_policy_too() {
    let bucket = MemoryBucket::new();
    bucket.forbid_missing();
    bucket.insert("acme/a.txt", "x");
    assert!(matches!(renamed(&bucket, "a", "b", true).await, Err(ObjectsError::Storage(Error::NotFound))));
}

// S32: If another writer changes a file during its RENAME, the change stays under the old name, and the client is …
#[tokio::test]
async fn a_source_that_changes_in_between_is_reported_and_stays() {
    let bucket = Arc::new(MemoryBucket::new());
    bucket.insert("acme/a", "first");
    let hold = bucket.hold(Verb::Remove, Moment::Request);
    let running = tokio::spawn({
        let bucket = bucket.clone();
        async move { renamed(&bucket, "a", "b", true).await }
    });
    bucket.arrived(Verb::Remove, 1).await;
    bucket.insert("acme/a", "second");
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::Conflict { .. }))));
    assert_eq!(bucket.bytes("acme/a").unwrap(), "second");
    assert_eq!(bucket.bytes("acme/b").unwrap(), "first");
}

/// Renames `acme/a` to `acme/b`, which must not exist, while another client acts between the lookup and the copy.
async fn overtaken(
    bucket: MemoryBucket,
    act: impl FnOnce(&MemoryBucket),
) -> (Vec<String>, Result<Option<RenamedVersions>>) {
    let bucket = Arc::new(bucket);
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
    assert!(matches!(renamed, Err(ObjectsError::AlreadyExists)), "{renamed:?}");
    assert_eq!(keys, ["acme/a", "acme/b"]);
}

#[tokio::test]
async fn a_source_that_changes_before_the_copy_is_told_from_a_target_that_exists() {
    let bucket = MemoryBucket::new();
    bucket.insert("acme/a", "first");
    let (keys, renamed) = overtaken(bucket, |bucket| drop(bucket.insert("acme/a", "second"))).await;
    assert!(matches!(renamed, Err(ObjectsError::Storage(Error::Conflict { .. }))), "{renamed:?}");
    assert_eq!(keys, ["acme/a"]);
}

#[tokio::test]
async fn a_copy_that_may_not_be_stored_deletes_nothing() {
    let bucket = MemoryBucket::new();
    bucket.insert("acme/a", "x");
    bucket.fail(Verb::Copy, Moment::Request, Error::Unreachable("timed out".into()));
    assert!(matches!(renamed(&bucket, "a", "b", true).await, Err(ObjectsError::Storage(Error::Unreachable(_)))));
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
    assert!(matches!(renamed(&bucket, "a", "b", false).await, Err(ObjectsError::Storage(Error::Forbidden { .. }))));
    assert_eq!(bucket.keys(), ["acme/a", "acme/b"]);
}

/// Holds requests of `verb` until both renames have sent one, and returns the results of both.
async fn race(
    bucket: MemoryBucket,
    verb: Verb,
    renames: [(&'static str, &'static str, bool); 2],
) -> (Arc<MemoryBucket>, [Result<Option<RenamedVersions>>; 2]) {
    let bucket = Arc::new(bucket);
    let hold = bucket.hold(verb, Moment::Request);
    let mut running = Vec::new();
    for (number, (source, target, replace)) in (1..).zip(renames) {
        let its_bucket = Arc::clone(&bucket);
        running.push(tokio::spawn(async move {
            rename(&*its_bucket, &key(source), &key(target), replace, &NoObserver, None).await
        }));
        bucket.arrived(verb, number).await;
    }
    drop(hold);
    let [second, first] = [running.pop().unwrap(), running.pop().unwrap()];
    let first = first.await.unwrap();
    (bucket, [first, second.await.unwrap()])
}

fn holding(raw_keys: &[&str], is_scoped: bool) -> MemoryBucket {
    let bucket = MemoryBucket::new();
    for raw_key in raw_keys {
        let bytes = if raw_key.ends_with('/') { "" } else { raw_key };
        bucket.insert(raw_key, bytes.to_owned());
    }
    if is_scoped {
        bucket.forbid_missing();
    }
    bucket
}

// S136: A RENAME that learns at its deletion that another client has taken the source takes its copy away, if the new …
#[tokio::test]
async fn of_two_renames_one_has_the_source_and_the_other_takes_its_copy_away() {
    for is_scoped in [false, true] {
        for (raw_key, file, slash) in [("acme/a", "a", ""), ("acme/d/", "d", "/")] {
            for replace in [false, true] {
                let bucket = holding(&[raw_key], is_scoped);
                let renames = [(file, "one", replace), (file, "other", replace)];
                let (bucket, [first, second]) = race(bucket, Verb::Remove, renames).await;
                first.unwrap();
                assert!(matches!(second, Err(ObjectsError::Storage(Error::NotFound))), "{second:?}");
                assert_eq!(bucket.keys(), [format!("acme/one{slash}")]);
            }
        }
    }
}

// S136: A RENAME that learns at its deletion that another client has taken the source takes its copy away, if the new …
#[tokio::test]
async fn what_a_rename_costs_that_loses_the_race() {
    let bucket = Arc::new(holding(&["acme/a"], false));
    let hold = bucket.hold(Verb::Remove, Moment::Request);
    let running = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { rename(&*bucket, &key("a"), &key("b"), false, &NoObserver, None).await }
    });
    bucket.arrived(Verb::Remove, 1).await;
    bucket.delete("acme/a");
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::NotFound))));
    assert!(bucket.keys().is_empty());
    assert_eq!(
        bucket.verbs(),
        [Verb::Head, Verb::List, Verb::Copy, Verb::Remove, Verb::Head, Verb::Remove],
        "and no listing, for S3 said that nothing was there"
    );
}

#[tokio::test]
async fn a_rename_whose_source_is_gone_before_its_copy_finds_no_source() {
    for is_scoped in [false, true] {
        let (_, [first, second]) =
            race(holding(&["acme/a"], is_scoped), Verb::Copy, [("a", "one", false), ("a", "other", false)]).await;
        // The second rename copies before the first one deletes, or after.
        assert!(matches!(
            (first, second),
            (Ok(_), Err(ObjectsError::Storage(Error::NotFound))) | (Err(ObjectsError::Storage(Error::NotFound)), Ok(_))
        ));
        let bucket = Arc::new(holding(&["acme/a"], is_scoped));
        let hold = bucket.hold(Verb::Copy, Moment::Request);
        let running = tokio::spawn({
            let bucket = Arc::clone(&bucket);
            async move { rename(&*bucket, &key("a"), &key("b"), false, &NoObserver, None).await }
        });
        bucket.arrived(Verb::Copy, 1).await;
        bucket.delete("acme/a");
        drop(hold);
        let late = running.await.unwrap();
        assert!(matches!(late, Err(ObjectsError::Storage(Error::NotFound))), "{late:?}");
    }
}

// S137: Of two RENAMEs of one source to one target exactly one is told OK, and the target holds the source's bytes.
#[tokio::test]
async fn one_source_to_one_target_stays_under_the_target() {
    for replace in [false, true] {
        for there in [&["acme/a"][..], &["acme/a", "acme/b"]] {
            for verb in [Verb::Copy, Verb::Remove] {
                if there.len() > 1 && !replace {
                    continue;
                }
                let renames = [("a", "b", replace), ("a", "b", replace)];
                let (bucket, answers) = if verb == Verb::Remove && !replace {
                    // Without a replacement, the second rename never reaches its deletion.
                    race(holding(there, true), Verb::Copy, renames).await
                } else {
                    race(holding(there, true), verb, renames).await
                };
                let won = answers.iter().filter(|answer| answer.is_ok()).count();
                assert_eq!(won, 1, "{replace} {there:?} {verb:?} {answers:?}");
                assert_eq!(bucket.keys(), ["acme/b"]);
                assert_eq!(bucket.bytes("acme/b").unwrap(), "acme/a");
            }
        }
    }
}

// S138: Of two sources that are renamed to one target without replacing, exactly one gets the name and the other …
#[tokio::test]
async fn two_sources_to_one_target_lose_neither() {
    for (one, other, slash) in [("acme/a", "acme/b", ""), ("acme/a/", "acme/b/", "/")] {
        let verb = if slash.is_empty() { Verb::Copy } else { Verb::Put };
        let renames = [("a", "c", false), ("b", "c", false)];
        let (bucket, answers) = race(holding(&[one, other], false), verb, renames).await;
        let (left, bytes) = match answers {
            [Ok(_), Err(ObjectsError::AlreadyExists | ObjectsError::IsDirectory)] => (other, one),
            [Err(ObjectsError::AlreadyExists | ObjectsError::IsDirectory), Ok(_)] => (one, other),
            other => panic!("{other:?}"),
        };
        assert_eq!(bucket.keys(), [left.to_owned(), format!("acme/c{slash}")]);
        if slash.is_empty() {
            assert_eq!(bucket.bytes("acme/c").unwrap(), bytes);
        }
    }
    let renames = [("a", "c", true), ("b", "c", true)];
    let (bucket, answers) = race(holding(&["acme/a", "acme/b"], false), Verb::Copy, renames).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(bucket.keys(), ["acme/c"]);
    assert!([&b"acme/a"[..], b"acme/b"].contains(&&*bucket.bytes("acme/c").unwrap()));
}

// S139: While the ledger is away, and against other users of the bucket, a RENAME that comes too late has shown its …
#[tokio::test]
async fn what_a_rename_replaced_that_lost_the_race_stays_replaced() {
    let there = holding(&["acme/a", "acme/other"], false);
    let (bucket, [first, second]) = race(there, Verb::Remove, [("a", "one", true), ("a", "other", true)]).await;
    first.unwrap();
    assert!(matches!(second, Err(ObjectsError::Storage(Error::NotFound))), "{second:?}");
    assert_eq!(bucket.keys(), ["acme/one", "acme/other"]);
    assert_eq!(bucket.bytes("acme/other").unwrap(), "acme/a");
}

// S136: A RENAME that learns at its deletion that another client has taken the source takes its copy away, if the new …
#[tokio::test]
async fn what_another_has_put_in_the_place_of_the_copy_stays() {
    let bucket = Arc::new(holding(&["acme/a"], false));
    let hold = bucket.hold(Verb::Remove, Moment::Request);
    let running = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { rename(&*bucket, &key("a"), &key("b"), false, &NoObserver, None).await }
    });
    bucket.arrived(Verb::Remove, 1).await;
    bucket.delete("acme/a");
    // The same bytes, and therefore the same ETag.
    bucket.insert("acme/b", "acme/a");
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::NotFound))));
    assert_eq!(bucket.keys(), ["acme/b"]);
}

// S135: A deletion whose answer from S3 was lost, or was 503, counts as done by the session that asked for it, if …
#[tokio::test]
async fn a_rename_whose_deletion_got_no_answer_keeps_its_copy() {
    for is_scoped in [false, true] {
        let bucket = holding(&["acme/a"], is_scoped);
        bucket.fail(Verb::Remove, Moment::Answer, Error::Unreachable("timed out".into()));
        renamed(&bucket, "a", "b", false).await.unwrap();
        assert_eq!(bucket.keys(), ["acme/b"]);
    }
}

#[tokio::test]
async fn a_file_that_comes_while_it_is_looked_for_keeps_its_metadata() {
    let bucket = Arc::new(holding(&[], true));
    let hold = bucket.hold(Verb::List, Moment::Request);
    let running = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { rename(&*bucket, &key("a"), &key("b"), false, &NoObserver, None).await }
    });
    bucket.arrived(Verb::List, 1).await;
    let metadata = BTreeMap::from([("mtime".to_owned(), "7".to_owned())]);
    bucket.insert_with("acme/a", "x", metadata.clone());
    drop(hold);
    running.await.unwrap().unwrap();
    assert_eq!(told(&bucket, "acme/b"), metadata);
}

/// A bucket whose tenant may copy `bytes` and send `requests` today.
fn limited(bytes: u64, requests: u64) -> (MemoryBucket, Arc<TenantUsage>) {
    let usage = DailyUsage::new(Arc::new(StoppedClock::at(1_700_000_000)));
    let acme = "acme".parse().unwrap();
    let limits = DailyLimits { bytes_copied: Some(bytes), s3_requests: Some(requests), ..DailyLimits::default() };
    usage.set_limits([(&acme, limits)]);
    (MemoryBucket::used_by(usage.of(&acme)), usage.of(&acme))
}

// S197: Bytes that the server copies are those of a file that is renamed, of all files of a directory that is renamed, of …
#[tokio::test]
async fn a_rename_beyond_a_limit_copies_nothing_and_one_that_fails_counts_nothing() {
    let (bucket, usage) = limited(5, 100);
    bucket.insert("acme/a", "1234");
    bucket.insert("acme/b", "1234");
    assert!(matches!(renamed(&bucket, "a", "b", false).await, Err(ObjectsError::AlreadyExists)));
    assert_eq!(usage.amounts().bytes_copied, 0);
    renamed(&bucket, "a", "c", false).await.unwrap();
    assert_eq!(usage.amounts().bytes_copied, 4);
    let refused = renamed(&bucket, "b", "d", false).await;
    assert!(matches!(refused, Err(ObjectsError::Storage(Error::DailyLimit(_)))), "{refused:?}");
    assert_eq!((bucket.keys(), bucket.verbs()), (vec!["acme/b".to_owned(), "acme/c".to_owned()], vec![Verb::Head]));
}

// S197: Bytes that the server copies are those of a file that is renamed, of all files of a directory that is renamed, of …
#[tokio::test]
async fn a_copy_counts_even_if_its_rename_fails() {
    let (bucket, usage) = limited(100, 100);
    bucket.insert("acme/a", "1234");
    bucket.fail(Verb::Copy, Moment::Answer, Error::Forbidden { request: "no".into() });
    renamed(&bucket, "a", "b", false).await.unwrap_err();
    assert_eq!(usage.amounts().bytes_copied, 4);
}

// S199: What has begun ends without requests left: the CLOSE of a file whose WRITEs were all answered with OK, the end of a …
#[tokio::test]
async fn a_rename_charges_all_its_requests_before_the_first_copy() {
    for (requests, is_enough) in [(2, false), (3, true)] {
        let (bucket, usage) = limited(100, requests);
        bucket.insert("acme/a", "1234");
        assert_eq!(renamed(&bucket, "a", "b", false).await.is_ok(), is_enough, "{requests}");
        assert_eq!(bucket.keys(), [if is_enough { "acme/b" } else { "acme/a" }]);
        assert_eq!(usage.amounts().s3_requests, 0, "this bucket sends none");
    }
}
