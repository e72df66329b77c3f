//! Files that a session is uploading, as its own listings show them.

use super::*;
use wharfinger::{
    sftp::wire::{Attrs, FileTimes, StatusCode},
    testing::bucket::{Moment::Request, Verb},
};

async fn listed(client: &mut SftpClient, path: &str) -> Vec<(String, Attrs)> {
    let names = client.list(path).await.unwrap().concat().into_iter();
    let names = names.map(|name| (String::from_utf8(name.filename.to_vec()).unwrap(), name.attrs));
    names.filter(|(name, _)| !name.starts_with('.')).collect()
}

// S188: RMDIR of a directory in which, or deeper below which, the session is uploading a file is refused: the …
// S189: A session's listings show the files that it was uploading when they began as its STAT shows them, each once …
#[tokio::test(start_paused = true)]
async fn an_upload_is_listed_and_keeps_its_directory() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    client.order(request::mkdir("/d")).await.unwrap();
    let handle = client.create("/d/x").await;
    client.write(&handle, 0, "bytes").await.unwrap();
    let times =
        Attrs { times: Some(FileTimes { accessed: 5, modified: 7 }), permissions: Some(0o600), ..Attrs::default() };
    client.order(request::fset_stat(&handle, times)).await.unwrap();
    assert_eq!(listed(&mut client, "/d").await, [("x".to_owned(), client.stat("/d/x").await.unwrap())]);
    let StatusError { code, sentence } = client.order(request::rmdir("/d")).await.unwrap_err();
    assert_eq!((code, sentence.as_str()), (StatusCode::Failure, "the directory is not empty"));
    let mut another = wharf.connect().await;
    assert!(listed(&mut another, "/d").await.is_empty());
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/d/x", b"bytes");
    client.order(request::remove("/d/x")).await.unwrap();
    client.order(request::rmdir("/d")).await.unwrap();
}

/// The same for a client that doesn't wait for replies.
#[tokio::test(start_paused = true)]
async fn rmdir_behind_an_open_or_a_close_is_refused_and_behind_a_removal_it_is_not() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    client.order(request::mkdir("/d")).await.unwrap();
    let open = client.send(request::open("/d/x", harness::CREATE)).await;
    let behind_open = client.send(request::rmdir("/d")).await;
    let handle = client.handle(open).await.unwrap();
    assert_eq!(client.status(behind_open).await.unwrap_err().code, StatusCode::Failure);

    let hold = wharf.bucket.hold(Verb::Put, Request);
    let close = client.send(request::close(&handle)).await;
    let behind_close = client.send(request::rmdir("/d")).await;
    run_ready_tasks().await;
    drop(hold);
    client.status(close).await.unwrap();
    assert_eq!(client.status(behind_close).await.unwrap_err().code, StatusCode::Failure);
    wharf.assert_stored("/d/x", b"");

    let again = client.create("/d/y").await;
    let removed = [client.send(request::remove("/d/x")).await, client.send(request::remove("/d/y")).await];
    let behind_removal = client.send(request::rmdir("/d")).await;
    for id in removed.into_iter().chain([behind_removal]) {
        client.status(id).await.unwrap();
    }
    client.close(&again).await.unwrap();
    assert!(wharf.bucket.keys().is_empty(), "{:?}", wharf.bucket.keys());
}
