//! Renames that were interrupted at any request: in the end all old names or all new ones are there, and no byte is
//! lost.

use super::{
    tree_tests::{TreeFixture, next, renamed},
    *,
};
use crate::{
    journal::{
        DirectoryJournal as _, DirectoryRename, DirectoryTimes, Journal as _, Lease, ObjectAttributes, ObjectTimes,
        RenamePhase, Task, TimesAndMode,
    },
    store::Bucket as _,
    testing::bucket::{Moment, Verb},
};
use std::time::Duration;

/// Repairs as the next server does, after the lease has ended. Returns the rename that it found, and its result.
async fn repaired(place: &TreeFixture) -> Option<(Task<DirectoryRename>, Result<usize>)> {
    tokio::time::advance(Duration::from_mins(2)).await;
    let lease = Lease::new().unwrap();
    let taken = next(place, &lease).await?;
    let repaired = repair_rename(&*place.bucket, &place.shared_journal(), &taken, &lease).await;
    Some((taken, repaired))
}

/// Asserts that the rename is whole or undone after the repair.
async fn assert_whole(place: &TreeFixture, before: &std::collections::BTreeMap<String, bytes::Bytes>, at: &str) {
    let found = repaired(place).await;
    if let Some((taken, repaired)) = &found {
        repaired.as_ref().unwrap_or_else(|error| panic!("{at}: {error}"));
        let expected = if taken.payload.phase == RenamePhase::Deleting { renamed(before) } else { before.clone() };
        assert_eq!(place.contents(), expected, "{at}");
        // Repairs once more, as two nodes would whose clocks differ.
        let lease = Lease::new().unwrap();
        assert_eq!(repair_rename(&*place.bucket, &place.shared_journal(), taken, &lease).await.unwrap(), 0, "{at}");
        assert_eq!(place.contents(), expected, "{at}");
    } else {
        let after = place.contents();
        assert!(after == *before || after == renamed(before), "{at}: {after:?}");
    }
    assert!(place.journal.renames().is_empty(), "{at}");
}

/// Starts the rename, and aborts it at the request that follows `done` requests of its kind.
async fn kill(place: &TreeFixture, verb: Verb, moment: Moment, done: usize) {
    let hold = place.bucket.hold(verb, moment);
    hold.release(done);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(verb, done + 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled(), "{verb:?} {done} {moment:?}");
}

// S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
// S40: Until an interrupted rename is repaired both names may show files, and no byte is missing from both.
#[tokio::test(start_paused = true)]
async fn a_kill_at_any_request_is_undone_or_finished() {
    let moments = [Moment::Request, Moment::Answer];
    let steps = [(Verb::List, 2), (Verb::Copy, 9), (Verb::RemoveMany, 2), (Verb::Remove, 1)];
    for (verb, moment, done) in steps
        .into_iter()
        .flat_map(|(verb, most)| moments.map(|moment| (verb, moment, most)))
        .flat_map(|(verb, moment, most)| (0..most).map(move |done| (verb, moment, done)))
    {
        let at = format!("{verb:?} {done} {moment:?}");
        let place = TreeFixture::with_a_tree();
        let before = place.contents();
        kill(&place, verb, moment, done).await;
        let meanwhile = place.contents();
        for (old, new) in before.iter().zip(before.keys().map(|key| key.replacen("acme/old/", "acme/new/", 1))) {
            assert!([old.0, &new].iter().any(|key| meanwhile.get(*key) == Some(old.1)), "{at}: {}", old.0);
        }
        assert_whole(&place, &before, &at).await;
    }
}

// S169: RENAME takes the time of a directory along, and those of the directories below it; so does another node that …
#[tokio::test(start_paused = true)]
async fn times_of_directories_end_up_where_the_directories_do() {
    let times = |modified| DirectoryTimes { accessed: modified, modified };
    let directory = |name: &str| Prefix::parse(&format!("acme/{name}/")).unwrap();
    for (verb, done) in [(Verb::Copy, 3), (Verb::RemoveMany, 0), (Verb::RemoveMany, 1), (Verb::Remove, 0)] {
        for moment in [Moment::Request, Moment::Answer] {
            let at = format!("{verb:?} {done} {moment:?}");
            let place = TreeFixture::with_a_tree();
            let (journal, bucket) = (&place.journal, place.bucket.id());
            for (name, modified) in [("old", 1), ("old/sub", 2), ("older", 3), ("new/sub", 4)] {
                journal.set_directory_times(bucket, &directory(name), times(modified)).await.unwrap();
            }
            kill(&place, verb, moment, done).await;
            let is_finished =
                repaired(&place).await.is_some_and(|(taken, _)| taken.payload.phase == RenamePhase::Deleting);
            assert_eq!(is_finished, verb != Verb::Copy, "{at}");
            let [there, gone] = if is_finished { ["new", "old"] } else { ["old", "new"] };
            for (name, modified) in [(there, Some(1)), (gone, None), ("older", Some(3))] {
                let kept = journal.directory_times(bucket, &directory(name)).await.unwrap();
                assert_eq!(kept, modified.map(times), "{at}: {name}");
            }
            for (name, modified) in [(there, Some(2)), (gone, None)] {
                let kept = journal.directory_times(bucket, &directory(&format!("{name}/sub"))).await.unwrap();
                assert_eq!(kept, modified.map(times), "{at}: {name}/sub");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_step_leaves_the_old_names_or_what_repair_needs() {
    let lost = || Error::Unreachable("lost".into());
    let denied = || Error::Forbidden { request: "403".into() };
    let slow = || Error::Throttled { request: "503".into() };
    for verb in [Verb::List, Verb::Copy, Verb::RemoveMany, Verb::Remove] {
        for moment in [Moment::Request, Moment::Answer] {
            // S3 hasn't done a request that it denies.
            let denied = (moment == Moment::Request).then(denied);
            for error in [lost(), slow()].into_iter().chain(denied) {
                let at = format!("{verb:?} {moment:?} {error}");
                let place = TreeFixture::with_a_tree();
                let before = place.contents();
                place.bucket.fail(verb, moment, error);
                let answered = place.rename().await;
                if answered.is_ok() {
                    assert_eq!(place.contents(), renamed(&before), "{at}");
                }
                assert_whole(&place, &before, &at).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_down_at_any_question_loses_nothing() {
    for verb in [Verb::List, Verb::Copy, Verb::RemoveMany] {
        for down_again in [false, true] {
            let at = format!("{verb:?} {down_again}");
            let place = TreeFixture::with_a_tree();
            let before = place.contents();
            let hold = place.bucket.hold(verb, Moment::Answer);
            let running = tokio::spawn({
                let place = place.clone();
                async move { place.rename().await }
            });
            place.bucket.arrived(verb, 1).await;
            place.journal.set_down(true);
            drop(hold);
            if down_again {
                running.abort();
            }
            drop(running.await);
            place.journal.set_down(false);
            assert_whole(&place, &before, &at).await;
        }
    }
}

// S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
#[tokio::test(start_paused = true)]
async fn a_repair_that_is_interrupted_is_repaired() {
    let place = TreeFixture::with_a_tree();
    let before = place.contents();
    place.bucket.fail(Verb::RemoveMany, Moment::Request, Error::Unreachable("lost".into()));
    assert!(place.rename().await.is_err());
    for verb in [Verb::List, Verb::Head, Verb::RemoveMany] {
        place.bucket.fail(verb, Moment::Answer, Error::Unreachable("lost".into()));
        let (_, repaired) = repaired(&place).await.unwrap();
        assert!(repaired.is_err(), "{verb:?}");
    }
    assert_whole(&place, &before, "at last").await;
    assert_eq!(place.contents(), renamed(&before));
}

#[tokio::test(start_paused = true)]
async fn markers_go_after_the_last_page() {
    let place = TreeFixture::default();
    for number in 0..1500 {
        place.bucket.insert(&format!("acme/old/{number:04}"), "x");
    }
    place.bucket.insert("acme/old/", "");
    let before = place.contents();
    let hold = place.bucket.hold(Verb::RemoveMany, Moment::Request);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(Verb::RemoveMany, 1).await;
    running.abort();
    drop(running.await);
    drop(hold);
    place.bucket.forget_requests();
    assert_eq!(repaired(&place).await.unwrap().1.unwrap(), 1501);
    assert_eq!(place.contents(), renamed(&before));
    let requests = place.bucket.requests();
    let deletions: Vec<&str> =
        requests.iter().filter(|request| request.verb == Verb::RemoveMany).map(|request| &*request.name).collect();
    assert_eq!(deletions, ["acme/old/0000", "acme/old/0999", "acme/old/"]);
}

#[tokio::test(start_paused = true)]
async fn repair_takes_away_only_what_has_its_twin() {
    for phase in [RenamePhase::Copying, RenamePhase::Deleting] {
        let place = TreeFixture::with_a_tree();
        let verb = if phase == RenamePhase::Copying { Verb::Copy } else { Verb::RemoveMany };
        let hold =
            place.bucket.hold(verb, if phase == RenamePhase::Copying { Moment::Answer } else { Moment::Request });
        let running = tokio::spawn({
            let place = place.clone();
            async move { place.rename().await }
        });
        place.bucket.arrived(verb, 1).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        running.abort();
        drop(running.await);
        drop(hold);
        // Meanwhile another client works in the half that is to be deleted.
        let doomed = if phase == RenamePhase::Copying { "new" } else { "old" };
        place.bucket.insert(&format!("acme/{doomed}/a"), "another version");
        place.bucket.insert(&format!("acme/{doomed}/fresh"), "a new file");
        let (_, repaired) = repaired(&place).await.unwrap();
        repaired.unwrap();
        let left: Vec<String> =
            place.bucket.keys().into_iter().filter(|key| key.starts_with(&format!("acme/{doomed}/"))).collect();
        assert_eq!(left, [format!("acme/{doomed}/a"), format!("acme/{doomed}/fresh")], "{phase:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_in_the_journal_are_carried_by_a_repair_too() {
    let place = TreeFixture::with_a_tree();
    let key = |name: &str| Prefix::parse("acme/").unwrap().key(name).unwrap();
    let version = Version::of(&place.bucket.head(&key("old/a")).await.unwrap());
    let times = Some(ObjectTimes::Set { accessed: 4, modified: 5 });
    let entry = ObjectAttributes::new(&version, TimesAndMode { times, mode: Some(0o600) });
    place.journal.add_attributes(place.bucket.id(), &key("old/a"), &entry, version.modified).await.unwrap();
    let hold = place.bucket.hold(Verb::Copy, Moment::Answer);
    let running = tokio::spawn({
        let place = place.clone();
        async move { place.rename().await }
    });
    place.bucket.arrived(Verb::Copy, 1).await;
    drop(hold);
    place.bucket.fail(Verb::RemoveMany, Moment::Request, Error::Unreachable("lost".into()));
    assert!(running.await.unwrap().is_err());
    repaired(&place).await.unwrap().1.unwrap();
    let carried = place.journal.attributes(place.bucket.id(), &key("new/a")).await.unwrap().unwrap();
    assert_eq!((carried.etag, carried.attributes), (entry.etag, entry.attributes));
    assert_eq!(place.journal.attributes(place.bucket.id(), &key("old/a")).await.unwrap(), None);
}

// S167: The rename of a directory that was cut off, and is finished by another node, keeps the times of the files …
#[tokio::test(start_paused = true)]
async fn the_times_of_files_are_carried_by_a_repair_too() {
    let place = TreeFixture::with_a_tree();
    let key = |name: &str| Prefix::parse("acme/").unwrap().key(name).unwrap();
    let modified = place.bucket.head(&key("old/a")).await.unwrap().modified;
    place.bucket.set_time(modified + 1_000);
    place.bucket.fail(Verb::RemoveMany, Moment::Request, Error::Unreachable("lost".into()));
    assert!(place.rename().await.is_err());
    // The rename may have been interrupted before it wrote the times.
    tokio::time::sleep(Duration::from_secs(1)).await;
    place.journal.replace_attributes(place.bucket.id(), &key("new/a"), None).await.unwrap();
    repaired(&place).await.unwrap().1.unwrap();
    let kept = async |name: &str| place.journal.attributes(place.bucket.id(), &key(name)).await.unwrap();
    let times = kept("new/a").await.unwrap().attributes.times;
    assert_eq!((times, kept("old/a").await), (Some(ObjectTimes::appeared(modified)), None));
}
