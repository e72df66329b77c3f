//! Renames of a file that were interrupted at any request: in the end the file has one name, unless a client changed one
//! of the files since. No byte is lost.

use super::*;
use crate::{
    journal::{
        FileRename, MemoryJournal, ObjectAttributes, Owner, RenamedNames, TaskJournal as _, TaskKind, TimesAndMode,
    },
    store::{NewObject, NoObserver},
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// A bucket with the file `acme/old`, a journal, and the task of its rename to `acme/new`.
#[derive(Clone)]
struct RenameFixture {
    bucket: Arc<MemoryBucket>,
    journal: Arc<MemoryJournal>,
    task: Task,
    lease: Lease,
    certain_until: Arc<Mutex<LeaseEnd>>,
}

impl RenameFixture {
    async fn new() -> Self {
        let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::shared()));
        bucket.insert_with("acme/old", "bytes", BTreeMap::from([("mtime".to_owned(), "7".to_owned())]));
        let names = RenamedNames::new(Prefix::parse("acme/").unwrap(), "old", "new").unwrap();
        let task = Task {
            id: "5eed".to_owned(),
            bucket: bucket.id().clone(),
            owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
            permissions: None,
            payload: FileRename { names }.into(),
        };
        let lease = Lease::new().unwrap();
        assert!(journal.enter_claimed_task(&task, &lease).await.unwrap());
        Self { bucket, journal, task, lease, certain_until: Arc::new(Mutex::new(soon())) }
    }

    async fn rename(&self, target: &str, replace: bool) -> Result<Option<RenamedVersions>> {
        let leased = LeasedRename {
            journal: &*self.journal,
            task: &self.task,
            lease: &self.lease,
            certain_until: &self.certain_until,
        };
        rename(&*self.bucket, &key("old"), &key(target), replace, &NoObserver, Some(leased)).await
    }

    /// Starts the rename, and aborts it at a request.
    async fn kill_at(&self, verb: Verb, moment: Moment) {
        let hold = self.bucket.hold(verb, moment);
        let running = tokio::spawn({
            let place = self.clone();
            async move { place.rename("new", false).await }
        });
        self.bucket.arrived(verb, 1).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled(), "{verb:?} {moment:?}");
        drop(hold);
    }

    /// Repairs as another node does, after the lease has ended.
    async fn repair(&self) -> bool {
        tokio::time::advance(Duration::from_mins(2)).await;
        let taken = self.journal.take_next_task(TaskKind::FileRename, &Lease::new().unwrap(), Duration::ZERO).await;
        let taken = taken.unwrap().and_then(Task::file_rename).unwrap();
        self.repair_again(&taken).await
    }

    async fn repair_again(&self, taken: &Task<FileRename>) -> bool {
        repair_file_rename(&*self.bucket, &*self.journal, taken, soon()).await.unwrap()
    }

    fn copied(&self, name: &str) -> BTreeMap<String, String> {
        self.bucket.metadata(&format!("acme/{name}")).unwrap()
    }
}

fn soon() -> LeaseEnd {
    LeaseEnd::after(Duration::from_mins(1))
}

fn key(name: &str) -> Key {
    Prefix::parse("acme/").unwrap().key(name).unwrap()
}

// S190: After a crash at any moment the RENAME of a file is finished, if its copy was made and neither file was changed …
#[tokio::test(start_paused = true)]
async fn a_kill_at_any_request_is_finished_once_the_copy_is_made() {
    let moments = [Moment::Request, Moment::Answer];
    let steps = [Verb::Head, Verb::List, Verb::Copy, Verb::Remove];
    for (verb, moment) in steps.into_iter().flat_map(|verb| moments.map(|moment| (verb, moment))) {
        let (at, place) = (format!("{verb:?} {moment:?}"), RenameFixture::new().await);
        place.kill_at(verb, moment).await;
        let is_removed = (verb, moment) == (Verb::Remove, Moment::Answer);
        let is_copied = verb == Verb::Remove || (verb, moment) == (Verb::Copy, Moment::Answer);
        assert_eq!(place.repair().await, is_copied && !is_removed, "{at}");
        let name = if is_copied { "acme/new" } else { "acme/old" };
        assert_eq!(place.bucket.keys(), [name], "{at}");
        assert_eq!(place.bucket.bytes(name).unwrap(), "bytes", "{at}");
        assert_eq!(place.bucket.metadata(name).unwrap()["mtime"], "7", "{at}");
        let again = place.task.clone().file_rename().unwrap();
        assert!(!place.repair_again(&again).await, "{at}: twice does no harm");
        assert_eq!(place.bucket.keys(), [name], "{at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_takes_along_the_attributes_that_the_journal_has() {
    let place = RenameFixture::new().await;
    let version = Version::of(&place.bucket.head(&key("old")).await.unwrap());
    let attributes = TimesAndMode { times: None, mode: Some(0o600) };
    let entry = ObjectAttributes { etag: version.etag.clone(), attributes, set_at: version.modified };
    place.journal.replace_attributes(place.bucket.id(), &key("old"), Some(&entry)).await.unwrap();
    place.kill_at(Verb::Remove, Moment::Request).await;
    assert!(place.repair().await);
    let carried = place.journal.attributes(place.bucket.id(), &key("new")).await.unwrap().unwrap();
    assert_eq!(carried.attributes, attributes);
    assert_eq!(place.journal.attributes(place.bucket.id(), &key("old")).await.unwrap(), None);
}

// S190: After a crash at any moment the RENAME of a file is finished, if its copy was made and neither file was changed …
#[tokio::test(start_paused = true)]
async fn files_that_clients_changed_since_stay() {
    type BucketEdit = fn(&MemoryBucket);
    let changes: [(&str, BucketEdit, &[&str]); 7] = [
        ("another target", |bucket| drop(bucket.insert("acme/new", "bytes")), &["acme/new", "acme/old"]),
        ("no target", |bucket| assert!(bucket.delete("acme/new")), &["acme/old"]),
        ("another source", |bucket| drop(bucket.insert("acme/old", "other")), &["acme/new", "acme/old"]),
        (
            "the same bytes again",
            |bucket| {
                bucket.set_time(i64::from(u32::MAX));
                bucket.insert_with("acme/old", "bytes", BTreeMap::from([("mtime".to_owned(), "7".to_owned())]));
            },
            &["acme/new", "acme/old"],
        ),
        (
            "the same bytes again, by an upload that began before",
            |bucket| {
                bucket.set_time(0);
                let metadata = [("mtime", "7"), (NewObject::TOKEN, "another")];
                let metadata = metadata.map(|(name, value)| (name.to_owned(), value.to_owned()));
                bucket.insert_with("acme/old", "bytes", metadata.into());
            },
            &["acme/new", "acme/old"],
        ),
        ("no source", |bucket| assert!(bucket.delete("acme/old")), &["acme/new"]),
        (
            "the target elsewhere",
            |bucket| {
                let metadata = bucket.metadata("acme/new").unwrap();
                assert!(bucket.delete("acme/new"));
                bucket.insert_with("acme/other", "bytes", metadata);
            },
            &["acme/old", "acme/other"],
        ),
    ];
    for (change, apply, left) in changes {
        let place = RenameFixture::new().await;
        place.kill_at(Verb::Remove, Moment::Request).await;
        apply(&place.bucket);
        assert!(!place.repair().await, "{change}");
        assert_eq!(place.bucket.keys(), left, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_changes_during_the_repair_stays() {
    let place = RenameFixture::new().await;
    place.kill_at(Verb::Remove, Moment::Request).await;
    let hold = place.bucket.hold(Verb::Remove, Moment::Request);
    let repairing = tokio::spawn({
        let place = place.clone();
        async move { place.repair().await }
    });
    place.bucket.arrived(Verb::Remove, 2).await;
    place.bucket.insert("acme/old", "a client's");
    drop(hold);
    assert!(!repairing.await.unwrap());
    assert_eq!(place.bucket.bytes("acme/old").unwrap(), "a client's");
    assert_eq!(place.bucket.bytes("acme/new").unwrap(), "bytes");
}

#[tokio::test(start_paused = true)]
async fn another_rename_of_the_source_in_between_gets_it_or_is_told_that_it_is_gone() {
    let place = RenameFixture::new().await;
    place.kill_at(Verb::Remove, Moment::Request).await;
    rename(&*place.bucket, &key("old"), &key("other"), false, &NoObserver, None).await.unwrap();
    assert!(!place.repair().await);
    assert_eq!(place.bucket.keys(), ["acme/new", "acme/other"]);

    let place = RenameFixture::new().await;
    place.kill_at(Verb::Remove, Moment::Request).await;
    let hold = place.bucket.hold(Verb::Remove, Moment::Request);
    let other = tokio::spawn({
        let bucket = Arc::clone(&place.bucket);
        async move { rename(&*bucket, &key("old"), &key("other"), false, &NoObserver, None).await }
    });
    place.bucket.arrived(Verb::Remove, 2).await;
    // The repair's deletion is the next one.
    let repairing = tokio::spawn({
        let place = place.clone();
        async move { place.repair().await }
    });
    place.bucket.arrived(Verb::Remove, 3).await;
    drop(hold);
    let (other, is_finished) = (other.await.unwrap(), repairing.await.unwrap());
    assert!(other.is_ok() != is_finished, "{other:?}");
    let expected: &[&str] = if is_finished { &["acme/new"] } else { &["acme/new", "acme/other"] };
    assert_eq!(place.bucket.keys(), expected);
}

/// This node could not reach the journal for so long that another node repaired the rename, while it still ran here.
#[tokio::test(start_paused = true)]
async fn a_rename_whose_task_another_node_has_leaves_its_copy() {
    for is_down in [false, true] {
        let place = RenameFixture::new().await;
        let hold = place.bucket.hold(Verb::Remove, Moment::Request);
        let running = tokio::spawn({
            let place = place.clone();
            async move { place.rename("new", false).await }
        });
        place.bucket.arrived(Verb::Remove, 1).await;
        let repairing = tokio::spawn({
            let place = place.clone();
            async move { place.repair().await }
        });
        place.bucket.arrived(Verb::Remove, 2).await;
        // The repair deletes the source first.
        assert!(place.bucket.delete("acme/old"));
        place.journal.set_down(is_down);
        drop(hold);
        let running = running.await.unwrap();
        assert!(matches!(running, Err(ObjectsError::Storage(Error::Unreachable(_)))), "the lease ended: {running:?}");
        assert!(!repairing.await.unwrap());
        assert_eq!(place.bucket.keys(), ["acme/new"], "journal down: {is_down}");
    }
}

/// After the lease another node may delete the source, and a client may store another file under its name.
#[tokio::test(start_paused = true)]
async fn a_source_is_deleted_only_under_the_lease() {
    for (is_renewed, left) in [(true, vec!["acme/new"]), (false, vec!["acme/new", "acme/old"])] {
        let place = RenameFixture::new().await;
        let hold = place.bucket.hold(Verb::Copy, Moment::Answer);
        let running = tokio::spawn({
            let place = place.clone();
            async move { place.rename("new", false).await }
        });
        place.bucket.arrived(Verb::Copy, 1).await;
        tokio::time::advance(Duration::from_mins(2)).await;
        if is_renewed {
            *place.certain_until.lock() = soon();
        }
        drop(hold);
        assert_eq!(running.await.unwrap().is_ok(), is_renewed);
        assert_eq!(place.bucket.count(Verb::Remove), usize::from(is_renewed));
        assert_eq!(place.bucket.keys(), left);
    }
}

// S136: A RENAME that learns at its deletion that another client has taken the source takes its copy away, if the new …
#[tokio::test(start_paused = true)]
async fn a_rename_that_still_has_its_task_takes_its_copy_away() {
    let place = RenameFixture::new().await;
    let hold = place.bucket.hold(Verb::Remove, Moment::Request);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename("new", false).await }
    });
    place.bucket.arrived(Verb::Remove, 1).await;
    assert!(place.bucket.delete("acme/old"));
    drop(hold);
    assert!(matches!(running.await.unwrap(), Err(ObjectsError::Storage(Error::NotFound))));
    assert_eq!(place.bucket.keys(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_costs_no_request_to_s3() {
    let place = RenameFixture::new().await;
    place.rename("new", true).await.unwrap();
    let with_task = place.bucket.verbs();
    assert!(place.copied("new")["wharfinger-upload"].starts_with("5eed."));
    let other = RenameFixture::new().await;
    rename(&*other.bucket, &key("old"), &key("new"), true, &NoObserver, None).await.unwrap();
    assert_eq!(with_task, other.bucket.verbs());
}
