//! The journal's contract for tasks that are entered with a claim, as renames of files are.

use super::{bucket, lease, of, times, with_mode};
use futures_util::future::join_all;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use wharfinger::{
    account::Permissions,
    journal::{FileRename, Journal, Lease, MovedAttributes, Owner, RenamedNames, Standing, Task, TaskKind},
    name::{BucketId, Prefix},
};

pub async fn hold(journal: &Arc<dyn Journal>) {
    a_rename_is_entered_with_its_claim_and_ends_with_it(journal).await;
    a_rename_ends_with_the_attributes_of_its_file(journal).await;
    an_interrupted_rename_goes_to_another_node_when_its_lease_has_ended(journal).await;
    of_renames_of_one_file_one_is_entered(journal).await;
    of_renames_in_a_circle_some_are_entered_and_none_at_once_with_its_neighbours(journal).await;
}

fn rename(id: &str, source: &str) -> Task {
    rename_to(id, source, "target/ü'")
}

pub fn rename_to(id: &str, source: &str, target: &str) -> Task {
    let names = RenamedNames::new(Prefix::parse("tenants/acme/").unwrap(), source, target).unwrap();
    Task {
        id: id.to_owned(),
        bucket: bucket(),
        owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
        permissions: Some(Permissions::ALL),
        payload: FileRename { names }.into(),
    }
}

async fn next(journal: &Arc<dyn Journal>, lease: &Lease) -> Option<Task> {
    journal.take_next_task(TaskKind::FileRename, lease, Duration::ZERO).await.unwrap()
}

async fn a_rename_is_entered_with_its_claim_and_ends_with_it(journal: &Arc<dyn Journal>) {
    let (mine, theirs) = (lease("me", 60), lease("they", 60));
    let (task, other) = (rename("1", "a%_ü\\'/b"), rename("2", "a%_ü\\'/b"));
    let source = Prefix::parse("tenants/acme/").unwrap().key("a%_ü\\'/b").unwrap();
    assert!(journal.enter_claimed_task(&task, &mine).await.unwrap());
    if journal.is_shared() {
        assert!(!journal.enter_claimed_task(&other, &theirs).await.unwrap());
        assert!(!journal.claim(&bucket(), &source, &theirs).await.unwrap());
        assert!(journal.hold_claim(&bucket(), &source, &mine).await.unwrap());
    }
    journal.end_claimed_task(&task, &theirs, None).await.unwrap();
    let standing = journal.hold_task("1", &task.payload, &mine, Duration::ZERO).await.unwrap();
    assert_ne!(standing, Standing::Lost, "it isn't theirs to end");
    assert_eq!(next(journal, &theirs).await, None, "it is mine");
    for _ in 0..2 {
        journal.end_claimed_task(&task, &mine, None).await.unwrap();
    }
    let standing = journal.hold_task("1", &task.payload, &mine, Duration::ZERO).await.unwrap();
    assert_eq!(standing, Standing::Lost, "its row is gone");
    assert!(journal.enter_claimed_task(&other, &theirs).await.unwrap());
    journal.end_claimed_task(&other, &theirs, None).await.unwrap();
    assert!(journal.claim(&bucket(), &source, &mine).await.unwrap());
    if journal.is_shared() {
        assert!(!journal.enter_claimed_task(&other, &theirs).await.unwrap(), "a claim without a task counts as well");
    }
    journal.end_claim(&bucket(), &source, &mine).await.unwrap();
    assert_eq!(next(journal, &theirs).await, None);
}

async fn a_rename_ends_with_the_attributes_of_its_file(journal: &Arc<dyn Journal>) {
    let (mine, theirs) = (lease("me", 60), lease("they", 60));
    let (source, target) = ("moved/a%_ü\\'/b", "c");
    let [old, new] = [source, target].map(|name| Prefix::parse("tenants/acme/").unwrap().key(name).unwrap());
    let elsewhere = BucketId::new("files", Some("http://127.0.0.1:8333"));
    journal.replace_attributes(&elsewhere, &old, Some(&times("1", 4))).await.unwrap();
    for entry in [Some(times("2", 6)), None, Some(with_mode(times("3", 7))), Some(of("4", None, Some(0o600))), None] {
        for key in [&old, &new] {
            journal.replace_attributes(&bucket(), key, Some(&times("1", 5))).await.unwrap();
        }
        let task = rename_to("moved", source, target);
        assert!(journal.enter_claimed_task(&task, &mine).await.unwrap());
        for key in [&old, &new] {
            assert_eq!(journal.end_task_without_attributes(&task, &mine).await, Ok(false), "one has some");
            for name in [&old, &new].into_iter().filter(|_| journal.is_shared()) {
                assert_eq!(journal.hold_claim(&bucket(), name, &mine).await, Ok(true), "nothing has changed");
            }
            journal.replace_attributes(&bucket(), key, None).await.unwrap();
        }
        assert_eq!(journal.end_task_without_attributes(&task, &theirs).await, Ok(false), "it isn't theirs to end");
        let standing = journal.hold_task("moved", &task.payload, &mine, Duration::ZERO).await.unwrap();
        assert_ne!(standing, Standing::Lost);
        assert_eq!(journal.end_task_without_attributes(&task, &mine).await, Ok(true));
        let standing = journal.hold_task("moved", &task.payload, &mine, Duration::ZERO).await.unwrap();
        assert_eq!(standing, Standing::Lost, "its row is gone");
        assert!(journal.enter_claimed_task(&task, &theirs).await.unwrap(), "and no claim of mine is left");
        journal.end_claimed_task(&task, &theirs, None).await.unwrap();
        assert!(journal.enter_claimed_task(&task, &mine).await.unwrap());
        for key in [&old, &new] {
            journal.replace_attributes(&bucket(), key, Some(&times("1", 5))).await.unwrap();
        }
        let moved = MovedAttributes { source: &old, target: &new, entry: entry.as_ref() };
        journal.end_claimed_task(&task, &theirs, Some(moved)).await.unwrap();
        let standing = journal.hold_task("moved", &task.payload, &mine, Duration::ZERO).await.unwrap();
        assert_ne!(standing, Standing::Lost, "it isn't theirs to end");
        assert_eq!(journal.attributes(&bucket(), &new).await.unwrap(), entry, "but the attributes move");
        // The second time there is no row that it forgets, and no task.
        for _ in 0..2 {
            journal.end_claimed_task(&task, &mine, Some(moved)).await.unwrap();
            assert_eq!(journal.attributes(&bucket(), &new).await.unwrap(), entry);
            assert_eq!(journal.attributes(&bucket(), &old).await.unwrap(), None);
        }
        let standing = journal.hold_task("moved", &task.payload, &mine, Duration::ZERO).await.unwrap();
        assert_eq!(standing, Standing::Lost, "its row is gone");
        for key in [&old, &new] {
            assert!(journal.claim(&bucket(), key, &theirs).await.unwrap(), "nor has it a claim");
            journal.end_claim(&bucket(), key, &theirs).await.unwrap();
        }
    }
    assert_eq!(journal.attributes(&elsewhere, &old).await.unwrap(), Some(times("1", 4)), "of another bucket");
    journal.replace_attributes(&elsewhere, &old, None).await.unwrap();
}

async fn an_interrupted_rename_goes_to_another_node_when_its_lease_has_ended(journal: &Arc<dyn Journal>) {
    let (over, theirs) = (lease("me", 0), lease("they", 60));
    let task = rename("1", "file");
    assert!(journal.enter_claimed_task(&task, &over).await.unwrap());
    assert_eq!(next(journal, &theirs).await, Some(task.clone()));
    assert_eq!(next(journal, &lease("third", 60)).await, None);
    journal.end_claimed_task(&task, &over, None).await.unwrap();
    let standing = journal.hold_task("1", &task.payload, &theirs, Duration::ZERO).await.unwrap();
    assert_ne!(standing, Standing::Lost, "who lost the task doesn't end it");
    journal.end_task("1", Some(&theirs)).await.unwrap();
    assert_eq!(next(journal, &theirs).await, None);
}

async fn of_renames_of_one_file_one_is_entered(journal: &Arc<dyn Journal>) {
    let tasks: Vec<_> = (0..8).map(|number| rename(&number.to_string(), "at once")).collect();
    let leases: Vec<_> = (0..8).map(|number| lease(&number.to_string(), 60)).collect();
    let entered = tasks.iter().zip(&leases).map(|(task, lease)| journal.enter_claimed_task(task, lease));
    let entered = join_all(entered).await.into_iter().filter(|entered| *entered == Ok(true)).count();
    assert_eq!(entered, if journal.is_shared() { 1 } else { 8 }, "without claims the node itself sees to it");
    for (task, lease) in tasks.iter().zip(&leases) {
        journal.end_claimed_task(task, lease, None).await.unwrap();
    }
    assert_eq!(next(journal, &lease("janitor", 60)).await, None);
}

/// Each target is the source of the next: `0` to `1`, `1` to `2`, …, `7` to `0`. Two of them swap a name if they are
/// neighbours.
async fn of_renames_in_a_circle_some_are_entered_and_none_at_once_with_its_neighbours(journal: &Arc<dyn Journal>) {
    if !journal.is_shared() {
        return;
    }
    let name = |number: usize| (number % 8).to_string();
    let tasks: Vec<_> = (0..8).map(|number| rename_to(&name(number), &name(number), &name(number + 1))).collect();
    let leases: Vec<_> = (0..8).map(|number| lease(&name(number), 60)).collect();
    for _ in 0..20 {
        let mut has_entered = [false; 8];
        // An attempt that met another one has left no claim behind, so that each task is entered in the end.
        for attempt in 0.. {
            let mut order: Vec<usize> = (0..8).collect();
            order.rotate_left(attempt % 8);
            let entering = order.iter().map(|number| journal.enter_claimed_task(&tasks[*number], &leases[*number]));
            let answers = join_all(entering).await;
            let entered: BTreeSet<usize> =
                order.iter().zip(answers).filter(|(_, answer)| answer.unwrap()).map(|(number, _)| *number).collect();
            assert!(entered.iter().all(|number| !entered.contains(&((number + 1) % 8))), "neighbours: {entered:?}");
            for number in entered {
                journal.end_claimed_task(&tasks[number], &leases[number], None).await.unwrap();
                has_entered[number] = true;
            }
            if has_entered == [true; 8] {
                break;
            }
            assert!(attempt < 1_000, "{has_entered:?}");
        }
    }
}
