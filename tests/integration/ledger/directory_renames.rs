//! The journal's contract for tasks, as renames of directories use it.

use super::{bucket, lease};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use wharfinger::{
    account::{Permission, Permissions},
    journal::{DirectoryRename, Journal, Lease, Owner, RenamePhase, RenamedNames, Standing, Task, TaskKind},
    name::{BucketId, Prefix},
};

const NO_TIME: Duration = Duration::ZERO;

pub async fn hold(journal: &Arc<dyn Journal>) {
    a_rename_belongs_to_one_until_its_lease_ends(journal).await;
    renames_that_could_meet_are_not_entered(journal).await;
    an_upload_and_a_rename_of_one_name_leave_each_other_alone(journal).await;
}

pub fn rename(id: &str, source: &str, target: &str) -> Task {
    let names = RenamedNames::new(Prefix::parse("tenants/acme/").unwrap(), source, target).unwrap();
    Task {
        id: id.to_owned(),
        bucket: bucket(),
        owner: Owner { tenant: "acme".parse().unwrap(), user: "alice".parse().unwrap() },
        permissions: Some(Permissions::ALL.without(Permission::Mkdir)),
        payload: DirectoryRename { names, phase: RenamePhase::Entered }.into(),
    }
}

/// Returns the rename in this phase.
pub fn in_phase(task: &Task, phase: RenamePhase) -> Task {
    let rename = task.clone().directory_rename().unwrap().payload;
    Task { payload: DirectoryRename { phase, ..rename }.into(), ..task.clone() }
}

async fn enter(journal: &Arc<dyn Journal>, task: &Task, lease: &Lease) -> bool {
    journal.enter_task(task, lease, NO_TIME).await.unwrap()
}

async fn hold_task(journal: &Arc<dyn Journal>, task: &Task, lease: &Lease) -> Standing {
    journal.hold_task(&task.id, &task.payload, lease, NO_TIME).await.unwrap()
}

async fn next(journal: &Arc<dyn Journal>, lease: &Lease) -> Option<Task> {
    journal.take_next_task(TaskKind::DirectoryRename, lease, NO_TIME).await.unwrap()
}

async fn end(journal: &Arc<dyn Journal>, task: &Task, lease: &Lease) {
    journal.end_task(&task.id, Some(lease)).await.unwrap();
}

// S39: After a crash at any moment the rename of a directory is undone (while it copied) or finished (once it …
async fn a_rename_belongs_to_one_until_its_lease_ends(journal: &Arc<dyn Journal>) {
    let (mine, over, theirs) = (lease("me", 60), lease("me", 0), lease("they", 60));
    let entered = rename("1", "a%_ü\\'/b", "c");
    assert!(enter(journal, &entered, &mine).await);
    assert_eq!(next(journal, &theirs).await, None);
    let entered = in_phase(&entered, RenamePhase::Copying);
    assert_eq!(hold_task(journal, &entered, &theirs).await, Standing::Lost);
    assert_ne!(hold_task(journal, &entered, &over).await, Standing::Lost);
    assert_eq!(next(journal, &theirs).await, Some(entered.clone()));
    let later = in_phase(&entered, RenamePhase::Deleting);
    assert_eq!(hold_task(journal, &later, &mine).await, Standing::Lost, "it isn't mine any more");
    end(journal, &entered, &mine).await;
    assert_ne!(hold_task(journal, &later, &lease("they", 0)).await, Standing::Lost);
    let [first, second] = [lease("first", 60), lease("second", 60)];
    let taken = tokio::join!(next(journal, &first), next(journal, &second));
    let taken = [(&first, taken.0), (&second, taken.1)];
    let [(holder, Some(taken))] = &taken.into_iter().filter(|(_, taken)| taken.is_some()).collect::<Vec<_>>()[..]
    else {
        panic!("one of two takes it")
    };
    assert_eq!(*taken, later);
    for _ in 0..2 {
        end(journal, taken, holder).await;
    }
    assert_eq!(next(journal, &theirs).await, None);
}

// S37: The rename of a directory waits for another one that could meet it, or was interrupted and waits for its repair, …
async fn renames_that_could_meet_are_not_entered(journal: &Arc<dyn Journal>) {
    let held = lease("me", 60);
    let there = rename("2", "dir/old", "dir/new");
    assert!(enter(journal, &there, &held).await);
    for (source, target) in
        [("dir/old", "x"), ("x", "dir/new"), ("dir/new", "dir/old"), ("dir", "x"), ("x", "dir/new/y")]
    {
        assert!(!enter(journal, &rename("3", source, target), &held).await, "{source} to {target}");
    }
    let neighbours = rename("3", "dir/older", "dir/new-1");
    assert!(enter(journal, &neighbours, &held).await);
    let other = BucketId::new("files", Some("http://127.0.0.1:8333"));
    let elsewhere = Task { bucket: other, ..rename("4", "dir/old", "x") };
    assert!(enter(journal, &elsewhere, &held).await);
    for rename in [&there, &neighbours, &elsewhere] {
        end(journal, rename, &held).await;
    }
    let back = rename("5", "dir/new", "dir/old");
    assert!(enter(journal, &back, &held).await);
    end(journal, &back, &held).await;
    // Of several concurrent renames exactly one is entered: they don't all withdraw.
    for round in 0..20 {
        let at_once: Vec<_> = (0..4).map(|number| rename(&format!("{round}-{number}"), "dir/old", "dir/new")).collect();
        let entered = join_all(at_once.iter().map(|rename| enter(journal, rename, &held))).await;
        assert_eq!(entered.into_iter().filter(|entered| *entered).count(), 1);
        for rename in &at_once {
            end(journal, rename, &held).await;
        }
    }
}

async fn an_upload_and_a_rename_of_one_name_leave_each_other_alone(journal: &Arc<dyn Journal>) {
    let (upload, rename) = (super::uploads::upload("upload", "name"), rename("rename", "name", "other"));
    let free = lease("gone", 0);
    assert!(enter(journal, &rename, &free).await);
    assert!(journal.enter_task(&upload, &free, NO_TIME).await.unwrap());
    journal.abandon_tasks(TaskKind::Upload, &upload.subject()).await.unwrap();
    let janitor = lease("janitor", 60);
    let taken = journal.take_next_task(TaskKind::Upload, &janitor, NO_TIME).await.unwrap();
    assert_eq!(taken, Some(upload.clone()));
    assert_eq!(journal.take_next_task(TaskKind::Upload, &janitor, NO_TIME).await.unwrap(), None);
    assert_eq!(next(journal, &janitor).await, Some(rename.clone()));
    assert_eq!(next(journal, &janitor).await, None);
    for task in [&upload, &rename] {
        end(journal, task, &janitor).await;
    }
}
