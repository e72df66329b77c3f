//! Faults of the storage, as the client of a session sees them. `tests/integration/faults` checks the tree alone, with
//! more operations and more faults.

use super::*;
use crate::{
    faults::catalogue::{REQUEST_ID, StorageOutage, faults_of},
    support::partials::{clear_away, count_resumable},
};
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::timeout;
use wharfinger::{
    sftp::wire::OpenFlags,
    testing::{
        bucket::Verb,
        faulty::{Aim, Fault, Step},
    },
};

/// Longer than any wait in the server. Time is paused, so it costs no real time.
const PATIENCE: Duration = Duration::from_mins(15);
const ABC: Bytes = Bytes::from_static(b"abc");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientOperation {
    Put(usize),
    Fetch,
    List,
    Rename,
    Remove,
}
use ClientOperation::*;

impl ClientOperation {
    const ALL: [Self; 6] = [Put(3), Put(9 * MIB), Fetch, List, Rename, Remove];

    /// Performs the operation as a client that stops at the first error.
    async fn run(self, client: &mut SftpClient) -> SftpResult<()> {
        match self {
            Put(size) => put(client, &content(2, size)).await,
            Fetch => client.fetch("/old").await.map(|bytes| assert_eq!(bytes, ABC)),
            List => {
                let names = client.list("/").await?.concat();
                let mut names: Vec<_> = names.iter().map(|name| &name.filename[..]).collect();
                names.retain(|name| !name.starts_with(b"."));
                assert_eq!(names, [&b"old"[..]]);
                Ok(())
            }
            Rename => client.order(request::rename("/old", "/moved")).await,
            Remove => client.order(request::remove("/old")).await,
        }
    }
}

/// Uploads a file. Unlike [`SftpClient::put`] it closes its handle after an error, as real clients do. That CLOSE must
/// fail.
async fn put(client: &mut SftpClient, content: &Bytes) -> SftpResult<()> {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let handle = client.open("/new", flags).await?;
    let written = client.write_all(&handle, 0, content).await;
    let closed = client.close(&handle).await;
    assert!(written.is_ok() || closed.is_err(), "a failed WRITE was followed by a CLOSE that answered OK");
    written.and(closed)
}

fn stored(wharf: &Wharf) -> BTreeMap<String, Bytes> {
    wharf.bucket.keys().into_iter().map(|key| (key.clone(), wharf.bucket.bytes(&key).unwrap())).collect()
}

fn wharf() -> Wharf {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/old", ABC);
    wharf
}

/// Returns the objects after a operation without faults, and the requests that it took.
async fn ideal(operation: ClientOperation) -> (BTreeMap<String, Bytes>, Vec<Step>) {
    let wharf = wharf();
    operation.run(&mut wharf.connect().await).await.unwrap();
    (stored(&wharf), wharf.faulty.steps())
}

/// Performs `operation` in a session whose storage has `fault` at `aim`, then ends the session and checks the remains.
async fn attempt(operation: ClientOperation, aim: Aim, fault: Fault, after: &BTreeMap<String, Bytes>, what: &str) {
    let wharf = wharf();
    let before = stored(&wharf);
    wharf.faulty.meet(aim, fault);
    let mut client = wharf.connect().await;
    // No time-out here: the harness's client has a shorter one.
    match operation.run(&mut client).await {
        Ok(()) => assert!(stored(&wharf) == *after, "{what}: OK, and stored is {:?}", wharf.bucket.keys()),
        Err(StatusError { sentence, .. }) => {
            let secret = [REQUEST_ID, "acme", "arn:"].iter().any(|secret| sentence.contains(secret));
            assert!(!secret && sentence.contains(' '), "{what}: the client hears {sentence:?}");
        }
    }
    let both = before.iter().chain(after).map(|(key, bytes)| (key.clone(), bytes.clone())).collect();
    let whole = [&before, after].contains(&&stored(&wharf)) || operation == Rename && stored(&wharf) == both;
    assert!(whole, "{what}: stored is {:?}", wharf.bucket.keys());
    client.vanish();
    timeout(PATIENCE, wharf.drained()).await.unwrap_or_else(|_| panic!("{what}: the session never ends"));
    run_ready_tasks().await;
    let met = wharf.faulty.met();
    let nobodys =
        met.iter().filter(|(step, fault)| step.verb == Verb::CreateUpload && matches!(fault, Fault::AnswerLost(_)));
    let undone = met.iter().filter(|(step, _)| step.verb == Verb::AbortUpload).count();
    let at_once = count_resumable(&wharf.journal).await + undone + nobodys.clone().count();
    assert!(wharf.bucket.open_uploads() <= at_once, "{what}: an upload stays open that can't go on");
    let left = clear_away(&wharf.bucket, &wharf.journal).await;
    assert!(left.with_row == 0 && left.without_row <= nobodys.count(), "{what}: an upload stays open: {left:?}");
    assert_eq!(wharf.budget.used(), 0, "{what}: memory stays taken");
    wharf.faulty.restart();
    let mut client = wharf.connect().await;
    assert_eq!(client.stat("/").await.map(drop), Ok(()), "{what}: others are harmed");
}

#[tokio::test(start_paused = true)]
async fn clients_hear_a_sentence_and_lose_nothing_whatever_fails() {
    for operation in ClientOperation::ALL {
        let (after, steps) = ideal(operation).await;
        for step in steps {
            for (name, fault) in faults_of(step.verb) {
                if !matches!(fault, Fault::Silent | Fault::SilentWhenDone | Fault::BodyStalls { .. }) {
                    attempt(operation, Aim::At(step), fault, &after, &format!("{operation:?}, {step:?}, {name}")).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outages_end_with_a_sentence() {
    for operation in ClientOperation::ALL {
        let (after, steps) = ideal(operation).await;
        for first in 1..=steps.len() {
            for (name, outage) in StorageOutage::ALL {
                let fault = outage.fault();
                if !matches!(fault, Fault::Silent) {
                    let what = format!("{operation:?}, from request {first} on, {name}");
                    attempt(operation, Aim::From(first), fault, &after, &what).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_holds_up_nothing_else_and_ends_with_its_client() {
    for verb in [Verb::Read, Verb::Head, Verb::List, Verb::UploadPart] {
        let wharf = wharf();
        wharf.faulty.meet(Aim::At(Step { verb, nth: 1 }), Fault::Silent);
        let mut client = wharf.connect().await;
        match verb {
            Verb::Read => drop(client.send(request::open("/old", OpenFlags::READ)).await),
            Verb::Head => drop(client.send(request::stat("/old")).await),
            Verb::List => drop(client.send(request::open_dir("/")).await),
            _ => {
                let handle = client.create("/new").await;
                client.write_all(&handle, 0, &content(3, 9 * MIB)).await.unwrap();
            }
        }
        run_ready_tasks().await;
        wharf.bucket.insert("acme/other", ABC);
        assert_eq!(client.fetch("/other").await.unwrap(), ABC, "{verb:?}");
        client.vanish();
        run_ready_tasks().await;
        wharf.assert_nothing_left().await;
        assert_eq!(wharf.bucket.keys(), ["acme/old", "acme/other"], "{verb:?}");
    }
}
