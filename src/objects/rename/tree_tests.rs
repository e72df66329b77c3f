//! Renames of directories on a bucket in memory: their requests, the attributes that they keep, and the cases that they
//! refuse.

use super::*;
use crate::{
    account::{DailyLimits, Permissions},
    journal::{
        DirectoryRename, Journal, Lease, MemoryJournal, ObjectAttributes, ObjectTimes, Owner, RenamedNames, Task,
        TaskJournal as _, TaskKind, TimesAndMode,
    },
    policy::DailyUsage,
    store::{ETag, NewObject, NoObserver, Payload},
    testing::{
        MemoryBucket, StoppedClock,
        bucket::{Moment, Verb},
    },
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A bucket and a journal with a mount `acme/`.
#[derive(Clone, Default)]
pub(super) struct TreeFixture {
    pub(super) bucket: Arc<MemoryBucket>,
    pub(super) journal: Arc<MemoryJournal>,
}

impl TreeFixture {
    /// `acme/old/` with files, a directory, markers and names that no user can open.
    pub(super) fn with_a_tree() -> Self {
        let place = Self::default();
        for name in ["", "a", "b", "sub/", "sub/c", "/odd", "x\ny", "..", "sub/../up"] {
            let metadata = BTreeMap::from([("mtime".to_owned(), name.len().to_string())]);
            let bytes = if name.is_empty() || name.ends_with('/') { "" } else { name };
            place.bucket.insert_with(&format!("acme/old/{name}"), bytes, metadata);
        }
        place.bucket.insert("acme/older", "a neighbour");
        place.bucket.insert("acme/new-1/x", "another");
        place
    }

    pub(super) async fn rename(&self) -> Result<Vec<MovedObject>> {
        self.rename_from("old", "new", 10_000).await
    }

    async fn rename_from(&self, source: &str, target: &str, max_objects: u64) -> Result<Vec<MovedObject>> {
        let mount = prefix();
        let owner = Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() };
        let names = RenamedNames::new(mount, source, target).unwrap();
        let tree = Tree { owner, names, permissions: Permissions::ALL };
        let journal = self.shared_journal();
        let RenamedTree { moved, times } = rename_tree(&*self.bucket, &journal, tree, max_objects, &NoObserver).await?;
        times.done().await;
        Ok(moved)
    }

    pub(super) fn shared_journal(&self) -> Arc<dyn Journal> {
        Arc::clone(&self.journal) as Arc<dyn Journal>
    }

    /// The bucket's content: names and bytes.
    pub(super) fn contents(&self) -> BTreeMap<String, Bytes> {
        self.bucket.keys().into_iter().map(|key| (key.clone(), self.bucket.bytes(&key).unwrap())).collect()
    }
}

/// The content after the rename of the content `before`.
pub(super) fn renamed(before: &BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    let new =
        |key: &String| key.strip_prefix("acme/old/").map_or_else(|| key.clone(), |name| format!("acme/new/{name}"));
    before.iter().map(|(key, bytes)| (new(key), bytes.clone())).collect()
}

/// Takes over a rename that no node holds.
pub(super) async fn next(place: &TreeFixture, lease: &Lease) -> Option<Task<DirectoryRename>> {
    let next = place.journal.take_next_task(TaskKind::DirectoryRename, lease, Duration::ZERO).await.unwrap();
    next.and_then(Task::directory_rename)
}

fn prefix() -> Prefix {
    Prefix::parse("acme/").unwrap()
}

fn key(name: &str) -> Key {
    prefix().key(name).unwrap()
}

#[tokio::test]
async fn n_objects_take_n_copies_and_two_requests_for_each_thousand() {
    let place = TreeFixture::default();
    for number in 0..2500 {
        place.bucket.insert(&format!("acme/old/{number}"), "x");
    }
    let moved = place.rename().await.unwrap();
    assert_eq!(moved.len(), 2500);
    let count = |verb| place.bucket.count(verb);
    assert_eq!((count(Verb::Copy), count(Verb::RemoveMany)), (2500, 3));
    assert_eq!(count(Verb::List), 3 + 1, "three pages, and one look at the target");
    assert_eq!(place.bucket.requests().len(), 2500 + 3 + 4);
    assert!(place.bucket.keys().iter().all(|key| key.starts_with("acme/new/")));
    assert!(place.journal.renames().is_empty());
}

// S33: A directory is renamed with all that is in it, names that can't be shown included.
// S35: Metadata, times and modes move along with a directory.
#[tokio::test]
async fn everything_below_moves_with_its_metadata_and_nothing_else() {
    let place = TreeFixture::with_a_tree();
    let before = place.contents();
    place.rename().await.unwrap();
    assert_eq!(place.contents(), renamed(&before));
    assert_eq!(place.bucket.metadata("acme/new/sub/c").unwrap()["mtime"], "5");
    assert_eq!(place.bucket.metadata("acme/new/sub/").unwrap()["mtime"], "4");
}

// S35: Metadata, times and modes move along with a directory.
#[tokio::test]
async fn attributes_in_the_journal_move_with_their_objects_and_others_end() {
    let place = TreeFixture::default();
    let file = place.bucket.insert("acme/old/file", "x").pin.etag;
    let part = Payload::new(vec![Bytes::from_static(b"x")]);
    let (bucket, large) = (&place.bucket, key("old/sub/parts"));
    let upload = bucket.create_upload(&large, &NewObject::default()).await.unwrap();
    let parts = [bucket.upload_part(&large, &upload, 1, part).await.unwrap()];
    let in_parts = bucket.complete_upload(&large, &upload, &parts, Condition::Always).await.unwrap().pin.etag;
    bucket.insert("acme/old/plain", "plain");
    let plain = bucket.head(&key("old/plain")).await.unwrap().modified;
    let set = |modified| TimesAndMode { times: Some(ObjectTimes::Set { accessed: 0, modified }), mode: None };
    let entry =
        |etag: &ETag, modified| ObjectAttributes::new(&Version { etag: etag.clone(), modified: 0 }, set(modified));
    let (journal, id) = (&place.journal, bucket.id().clone());
    journal.add_attributes(&id, &key("old/file"), &entry(&file, 1), 0).await.unwrap();
    journal.add_attributes(&id, &large, &entry(&in_parts, 2), 0).await.unwrap();
    journal.add_attributes(&id, &key("old/plain"), &entry(&file, 3), 0).await.unwrap();
    journal.add_attributes(&id, &key("new/plain"), &entry(&file, 4), 0).await.unwrap();
    let moved = place.rename().await.unwrap();
    let versions = &moved.iter().find(|moved| moved.source == large).unwrap().versions;
    assert_ne!(versions.source.etag, versions.target.etag);
    let kept = async |name: &str| {
        let entry = journal.attributes(&id, &key(name)).await.unwrap();
        entry.map(|entry| (entry.etag, entry.attributes))
    };
    assert_eq!(kept("new/file").await, Some((file, set(1))));
    assert_eq!(kept("new/sub/parts").await, Some((versions.target.etag.clone(), set(2))));
    let (_, attributes) = kept("new/plain").await.unwrap();
    assert_eq!(attributes.times, Some(ObjectTimes::appeared(plain)), "not what another file of that name had");
    for gone in ["old/file", "old/sub/parts", "old/plain"] {
        assert_eq!(kept(gone).await, None, "{gone}");
    }
}

#[tokio::test]
async fn what_is_at_the_target_stays() {
    for there in ["acme/new", "acme/new/", "acme/new/x"] {
        let place = TreeFixture::with_a_tree();
        place.bucket.insert(there, "another's");
        let before = place.contents();
        let refused = place.rename().await;
        assert!(
            matches!(refused, Err(ObjectsError::AlreadyExists | ObjectsError::IsDirectory)),
            "{there}: {refused:?}"
        );
        assert_eq!(place.contents(), before);
        assert_eq!(place.bucket.count(Verb::Copy), 0);
        assert!(place.journal.renames().is_empty());
    }
}

// S36: A directory of more objects than the tenant's `max_rename_objects` is refused before anything is copied.
#[tokio::test]
async fn more_than_the_limit_is_refused_before_anything_is_copied() {
    let place = TreeFixture::with_a_tree();
    assert!(matches!(place.rename_from("old", "new", 8).await, Err(ObjectsError::TooManyObjects { limit: 8 })));
    assert_eq!(place.bucket.verbs(), [Verb::List]);
    assert!(place.journal.renames().is_empty());
    place.rename_from("old", "new", 9).await.unwrap();
    let long = "x".repeat(1000);
    place.bucket.insert(&format!("acme/d/{long}"), "x");
    assert!(matches!(place.rename_from("d", "directory-of-a-long-name", 8).await, Err(ObjectsError::NameTooLong)));
}

// S38: The rename of a directory that holds something needs the journal, and is refused while that is down.
#[tokio::test]
async fn without_a_journal_nothing_is_touched() {
    let place = TreeFixture::with_a_tree();
    place.journal.set_down(true);
    assert!(matches!(place.rename().await, Err(ObjectsError::Journal(_))));
    assert_eq!(place.bucket.verbs(), []);
}

// S37: The rename of a directory waits for another one that could meet it, or was interrupted and waits for its repair, …
#[tokio::test(start_paused = true)]
async fn renames_that_could_meet_wait_for_each_other() {
    let place = TreeFixture::with_a_tree();
    let hold = place.bucket.hold(Verb::Copy, Moment::Request);
    let start = |source: &'static str, target: &'static str| {
        let place = place.clone();
        tokio::spawn(async move { place.rename_from(source, target, 100).await })
    };
    let first = start("old", "new");
    place.bucket.arrived(Verb::Copy, 1).await;
    place.bucket.forget_requests();
    let pairs = [("old", "other"), ("old/sub", "other"), ("new-1", "new"), ("new-1", "old/sub/new")];
    let asked = Instant::now();
    for running in pairs.map(|(source, target)| start(source, target)) {
        let refused = running.await.unwrap();
        assert!(matches!(refused, Err(ObjectsError::RenameInProgress)), "{refused:?}");
    }
    assert_eq!(asked.elapsed().as_secs(), 30);
    assert_eq!(place.bucket.count(Verb::List), 0, "they touch nothing");
    let (again, below) = (start("old", "other"), start("new/sub", "sub"));
    tokio::time::sleep(Duration::from_secs(20)).await;
    drop(hold);
    first.await.unwrap().unwrap();
    let again = again.await.unwrap();
    assert!(matches!(again, Err(ObjectsError::Storage(Error::NotFound))), "it looks anew: {again:?}");
    below.await.unwrap().unwrap();
    assert!(place.bucket.keys().contains(&"acme/sub/c".to_owned()));
    assert!(place.journal.renames().is_empty());
}

// S41: A rename of a directory that fails before its first deletion is undone.
#[tokio::test]
async fn what_changes_before_it_is_copied_undoes_the_rename() {
    let place = TreeFixture::with_a_tree();
    let hold = place.bucket.hold(Verb::Copy, Moment::Request);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(Verb::Copy, 1).await;
    place.bucket.insert("acme/old/b", "changed");
    let before = place.contents();
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::Conflict { .. }))));
    assert_eq!(place.contents(), before);
    assert!(place.journal.renames().is_empty());
}

// S34: Everything in a renamed directory is copied, then the old names are deleted, each only while it is the …
// S42: A file that changes after it was copied stays under its old name as it is and under the new one as it was, …
#[tokio::test]
async fn what_changes_after_it_was_copied_stays_under_both_names() {
    let place = TreeFixture::with_a_tree();
    let hold = place.bucket.hold(Verb::RemoveMany, Moment::Request);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(Verb::RemoveMany, 1).await;
    let was = place.bucket.bytes("acme/old/b").unwrap();
    place.bucket.insert("acme/old/b", "changed");
    place.bucket.insert("acme/old/late", "came late");
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::Conflict { .. }))));
    assert_eq!(place.bucket.bytes("acme/new/b").unwrap(), was);
    let old: Vec<String> = place.bucket.keys().into_iter().filter(|key| key.starts_with("acme/old/")).collect();
    assert_eq!(old, ["acme/old/b", "acme/old/late"]);
    assert!(place.journal.renames().is_empty());
}

// S41: A rename of a directory that fails before its first deletion is undone.
#[tokio::test]
async fn an_object_that_cannot_be_copied_undoes_the_rename() {
    let place = TreeFixture::with_a_tree();
    place.bucket.archive("acme/old/sub/c");
    let before = place.contents();
    assert!(matches!(place.rename().await, Err(ObjectsError::Storage(Error::Archived))));
    assert_eq!(place.contents(), before);
    assert!(place.journal.renames().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lease_deletes_nothing() {
    let place = TreeFixture::with_a_tree();
    let before = place.contents();
    let hold = place.bucket.hold(Verb::Copy, Moment::Request);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(Verb::Copy, 1).await;
    let lease = Lease::new().unwrap();
    assert_eq!(next(&place, &lease).await, None, "it is held");
    tokio::time::advance(Duration::from_mins(5)).await;
    tokio::task::yield_now().await;
    assert_eq!(next(&place, &lease).await, None, "and held on to");
    place.journal.set_down(true);
    tokio::time::advance(Duration::from_mins(2)).await;
    tokio::task::yield_now().await;
    place.journal.set_down(false);
    let taken = next(&place, &lease).await.unwrap();
    assert_eq!(repair_rename(&*place.bucket, &place.shared_journal(), &taken, &lease).await.unwrap(), 0);
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::RenameInProgress)));
    assert_eq!(place.contents(), before);
}

#[test]
fn an_entry_can_name_nothing_outside_its_mount() {
    let names = |source: &str| RenamedNames::new(prefix(), source, "new");
    let below = names("old/sub").unwrap();
    assert_eq!((below.source().as_str(), below.target().as_str()), ("acme/old/sub/", "acme/new/"));
    assert_eq!((below.source_name(), below.target_name()), ("old/sub", "new"));
    for outside in ["../globex", "", "a//b", "/", "a/../../globex"] {
        assert!(names(outside).is_err(), "{outside:?}");
        assert!(RenamedNames::new(prefix(), "old", outside).is_err(), "{outside:?}");
    }
}

// S197: Bytes that the server copies are those of a file that is renamed, of all files of a directory that is renamed, of …
#[tokio::test]
async fn a_directory_beyond_a_limit_stays_as_it_is() {
    // Three copies, a deletion of both files and one of the marker.
    for (bytes, requests, is_enough) in [(7, 5, true), (6, 5, false), (7, 4, false)] {
        let usage = DailyUsage::new(Arc::new(StoppedClock::at(1_700_000_000)));
        let acme = "acme".parse().unwrap();
        let limits = DailyLimits { bytes_copied: Some(bytes), s3_requests: Some(requests), ..DailyLimits::default() };
        usage.set_limits([(&acme, limits)]);
        let place = TreeFixture { bucket: Arc::new(MemoryBucket::used_by(usage.of(&acme))), ..TreeFixture::default() };
        for (name, bytes) in [("", ""), ("a", "123"), ("b", "1234")] {
            place.bucket.insert(&format!("acme/old/{name}"), bytes);
        }
        let before = place.contents();
        let outcome = place.rename().await;
        assert_eq!(outcome.is_ok(), is_enough, "{bytes} {requests}");
        assert!(is_enough || matches!(outcome, Err(ObjectsError::Storage(Error::DailyLimit(_)))), "{outcome:?}");
        assert_eq!(place.contents(), if is_enough { renamed(&before) } else { before });
        assert_eq!(place.journal.renames(), [], "no repair is left");
        assert_eq!(usage.of(&acme).amounts().bytes_copied, if is_enough { 7 } else { 0 });
    }
}
