//! A reload while storage is asked for a file, and files and directories that outlive it: none stays open in a mount that
//! the reload took away, and none is served from there.

use super::sessions::{OpenSession, acme, at, with_inbox_at, with_permissions, without_inbox};
use crate::support::scope;
use std::{slice, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use wharfinger::{
    account::Permission,
    session::{OpenDirectory, WriteOpening},
    tenants::TenantSetup,
    testing::{
        FaultyBucket, MemoryBucket,
        bucket::Verb,
        faulty::{Aim, Fault},
    },
    vfs::{Error, NewAttributes, WriteOptions},
};

const ANSWER: Duration = Duration::from_secs(10);

fn bucket() -> FaultyBucket {
    let memory = Arc::new(MemoryBucket::new());
    memory.insert("acme/old", "123456789");
    memory.insert("acme/inbox/old", "former");
    memory.insert("acme/in/old", "former");
    memory.insert("acme/other/old", "present");
    for number in 0..5 {
        memory.insert(&format!("acme/inbox/{number}"), "former");
        memory.insert(&format!("acme/other/{number}"), "present");
    }
    FaultyBucket::over(memory)
}

/// A session whose storage answers at once.
fn prompt() -> OpenSession {
    OpenSession::over(Arc::new(bucket()))
}

/// A session whose storage answers these requests after [`ANSWER`].
fn with_slow(verb: Verb) -> OpenSession {
    let bucket = bucket();
    bucket.meet(Aim::Every(verb), Fault::Slow(ANSWER));
    OpenSession::over(Arc::new(bucket))
}

/// Runs a request, and a reload while it waits for storage. Returns the answer, and the number of sessions that end.
async fn amid<T>(site: &OpenSession, setup: &TenantSetup, request: impl Future<Output = T>) -> (T, usize) {
    let reload = async {
        sleep(ANSWER / 2).await;
        site.swap(slice::from_ref(setup))
    };
    tokio::join!(request, reload)
}

const UPDATE: WriteOptions =
    WriteOptions { read: true, write: true, create: false, truncate: false, exclusive: false, append: false };

#[tokio::test(start_paused = true)]
async fn a_file_that_is_found_after_its_mount_moved_is_looked_for_again() {
    let site = with_slow(Verb::Read);
    let (opened, ended) = amid(&site, &with_inbox_at("acme/other/"), site.open.tree().open_read(&at("/in/old"))).await;
    let file = opened.unwrap();
    assert_eq!((file.read(0, 9).await.unwrap().concat(), ended), (b"present".to_vec(), 0));
    site.assert_open().await;
    assert_eq!(site.swap(&[with_inbox_at("acme/third/")]), 1, "it counts in the mount where it is");

    let site = with_slow(Verb::Read);
    let (opened, ended) = amid(&site, &with_inbox_at("acme/third/"), site.open.tree().open_read(&at("/in/old"))).await;
    assert!(matches!(opened, Err(Error::NotFound)), "{opened:?}");
    assert_eq!(ended, 0);
    site.assert_open().await;

    let site = with_slow(Verb::Read);
    let (opened, ended) = amid(&site, &with_inbox_at("acme/other/"), site.open.tree().open_read(&at("/old"))).await;
    assert_eq!((opened.unwrap().read(0, 3).await.unwrap().concat(), ended), (b"123".to_vec(), 0), "another mount");
    site.assert_open().await;
}

/// Acme's user has a mount at `/`, and the reload adds one at `/in`.
#[tokio::test(start_paused = true)]
async fn a_file_that_is_found_after_a_new_mount_covers_its_path_is_looked_for_there() {
    for is_read in [true, false] {
        let site = with_slow(if is_read { Verb::Read } else { Verb::Head });
        assert_eq!(site.swap(&[without_inbox()]), 0);
        let (tree, path) = (site.open.tree(), at("/in/old"));
        let added = with_inbox_at("acme/other/");
        if is_read {
            let (opened, ended) = amid(&site, &added, tree.open_read(&path)).await;
            assert_eq!((opened.unwrap().read(0, 9).await.unwrap().concat(), ended), (b"present".to_vec(), 0));
        } else {
            let open = tree.open_write(&path, UPDATE, NewAttributes::default(), async {});
            let (opened, ended) = amid(&site, &added, open).await;
            let _opened = opened.unwrap();
            assert_eq!(ended, 0);
            assert_eq!(site.swap(&[with_inbox_at("acme/third/")]), 1, "it counts in the new mount");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_found_after_the_session_lost_its_rights_is_not_open() {
    let site = with_slow(Verb::Read);
    let removed = acme(|_, _, credentials| credentials.public_keys.clear());
    let (opened, ended) = amid(&site, &removed, site.open.tree().open_read(&at("/old"))).await;
    assert_eq!(ended, 1);
    let sentence = "the server is ending this session: the credential of this login was removed";
    assert_eq!(opened.unwrap_err().to_string(), sentence);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_found_after_its_storage_changed_is_looked_for_again() {
    let elsewhere = Arc::new(scope::storage("elsewhere", "http://127.0.0.1:1", "nobody", "secret"));
    let moved = TenantSetup { storage: elsewhere, ..acme(|_, _, _| {}) };
    let site = with_slow(Verb::Read);
    let since = Instant::now();
    let (opened, ended) = amid(&site, &moved, site.open.tree().open_read(&at("/old"))).await;
    assert_eq!((since.elapsed(), ended), (ANSWER * 2, 0), "storage is asked again");
    assert_eq!(site.swap(&[acme(|_, _, _| {})]), 1, "it counts in the bucket where it is");
    drop(opened.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_file_to_change_is_looked_for_again_too() {
    let site = with_slow(Verb::Head);
    let path = at("/in/old");
    let open = site.open.tree().open_write(&path, UPDATE, NewAttributes::default(), async {});
    let (opened, ended) = amid(&site, &with_inbox_at("acme/third/"), open).await;
    assert!(matches!(opened, Err(Error::NotFound)), "{opened:?}");
    assert_eq!(ended, 0);
    site.assert_open().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_waits_for_memory_is_open() {
    let site = prompt();
    let options = WriteOptions { write: true, create: true, truncate: true, ..WriteOptions::default() };
    let open = site.open.tree().open_write(&at("/in/new"), options, NewAttributes::default(), async {}).await.unwrap();
    assert!(matches!(open, WriteOpening::Upload(_)), "{open:?}");
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_has_begun_is_open_without_its_reader() {
    let site = prompt();
    let open = site.open.tree().open_write(&at("/in/old"), UPDATE, NewAttributes::default(), async {}).await.unwrap();
    let WriteOpening::Unchanged(reader, file) = open else { panic!("{open:?}") };
    let pending = file.begin();
    drop((reader, file));
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 1);
    drop(pending);
}

#[tokio::test(start_paused = true)]
async fn the_source_of_a_copy_is_open_until_the_copy_ends() {
    let site = prompt();
    let file = site.open.tree().open_read(&at("/in/old")).await.unwrap();
    let source = Arc::clone(file.file());
    file.close();
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 1);
    drop(source);
}

#[tokio::test(start_paused = true)]
async fn an_open_directory_ends_no_session_and_is_listed_with_the_present_rights() {
    let names = async |directory: &mut OpenDirectory| directory.next(|_| true).await;
    let site = prompt();
    let mut directory = site.open.tree().open_directory(&at("/in")).await.unwrap();
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 0);
    assert!(matches!(names(&mut directory).await, Err(Error::NotFound)));
    let mut directory = site.open.tree().open_directory(&at("/in")).await.unwrap();
    let all = [Permission::Read, Permission::Write].into_iter().collect();
    assert_eq!(site.swap(&[with_permissions(all)]), 0);
    assert!(matches!(names(&mut directory).await, Err(Error::NotFound)), "the mount is back where it was");

    let site = with_slow(Verb::List);
    let mut root = site.open.tree().open_directory(&at("/")).await.unwrap();
    assert_eq!(site.swap(&[with_permissions(all)]), 0);
    assert!(matches!(names(&mut root).await, Err(Error::Denied(Permission::List))));
    site.assert_open().await;
    let (opened, _) = amid(&site, &with_inbox_at("acme/other/"), site.open.tree().open_directory(&at("/in"))).await;
    assert!(matches!(opened, Err(Error::Denied(Permission::List))), "{opened:?}");
    let (opened, _) = amid(&site, &with_inbox_at("acme/third/"), site.open.tree().open_directory(&at("/in"))).await;
    assert!(matches!(names(&mut opened.unwrap()).await, Err(Error::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_prefetched_file_of_a_former_mount_is_not_served() {
    let site = prompt();
    let mut directory = site.open.tree().open_directory(&at("/in")).await.unwrap();
    directory.next(|_| true).await.unwrap();
    for number in 0..2 {
        site.open.tree().open_read(&at(&format!("/in/{number}"))).await.unwrap().close();
    }
    assert_eq!(site.swap(&[with_inbox_at("acme/other/")]), 0);
    for number in 2..5 {
        let file = site.open.tree().open_read(&at(&format!("/in/{number}"))).await.unwrap();
        assert_eq!(file.read(0, 9).await.unwrap().concat(), b"present");
    }
}
