//! A marker never appears before its data, whichever request S3 delays, and never without its data.

use super::{
    harness::{CREATE, Setup, SftpClient, Wharf, content},
    *,
};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use wharfinger::{
    sftp::wire::{Handle, OpenFlags, Reply, StatusCode},
    store::Error,
    testing::bucket::{Moment::Request, Verb},
};

const DATA: &str = "acme/data";

/// Opens and writes a file, then sends its CLOSE without waiting for the reply.
async fn closing(client: &mut SftpClient, path: &str) -> u32 {
    let handle = open_with(client, path, 3).await;
    client.send(request::close(&handle)).await
}

async fn open_with(client: &mut SftpClient, path: &str, bytes: usize) -> Handle {
    let handle = client.create(path).await;
    client.write_all(&handle, 0, &content(1, bytes)).await.unwrap();
    handle
}

/// Keeps an upload that [`open_with`] began from a stall. Never ends.
async fn keep_moving(client: &mut SftpClient, handle: &Handle) -> ! {
    let mut offset = 1 << 20;
    loop {
        client.write(handle, offset, content(1, 32 << 10)).await.unwrap();
        offset += 32 << 10;
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
}

/// Sends every kind of request that creates or removes a name, without waiting for replies.
async fn changes(client: &mut SftpClient) -> [u32; 5] {
    let marker = closing(client, "/data.done").await;
    let [made, renamed, gone, removed] = changes_of_names(client).await;
    [marker, made, renamed, gone, removed]
}

async fn changes_of_names(client: &mut SftpClient) -> [u32; 4] {
    [
        client.send(request::mkdir("/made")).await,
        client.send(request::rename("/old", "/new")).await,
        client.send(request::remove("/gone")).await,
        client.send(request::rmdir("/empty")).await,
    ]
}

fn wharf() -> Wharf {
    let wharf = Wharf::with(Setup { budget_bytes: 1 << 30, mounts: &[("/other", "other/")], ..Setup::default() });
    for key in ["acme/old", "acme/gone", "acme/empty/", "acme/there"] {
        wharf.bucket.insert(key, "");
    }
    wharf
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn what_makes_a_name_appear_or_go_waits_for_the_closes_before_it() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let changes = changes(&mut client).await;
    for id in [data].iter().chain(&changes) {
        assert!(!client.incoming.is_answered(*id).await, "{id}");
    }
    assert_eq!(wharf.bucket.keys(), ["acme/empty/", "acme/gone", "acme/old", "acme/there"]);
    let elsewhere = closing(&mut client, "/other/data").await;
    client.status(elsewhere).await.unwrap();
    let mut neighbour = wharf.connect().await;
    let other_channel = closing(&mut neighbour, "/neighbour").await;
    neighbour.status(other_channel).await.unwrap();
    drop(hold);
    for id in [data].iter().chain(&changes) {
        client.status(*id).await.unwrap();
    }
    let puts: Vec<_> = wharf.bucket.requests().into_iter().filter(|request| request.verb == Verb::Put).collect();
    let behind: Vec<_> = puts.iter().map(|put| put.name.as_str()).filter(|name| !name.contains("er/")).collect();
    assert_eq!(behind[..3], [DATA, "acme/neighbour", "acme/data.done"]);
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn a_bucket_that_never_answers_a_close_holds_up_neither_reads_nor_opens_nor_writes() {
    let wharf = wharf();
    wharf.bucket.insert("acme/download", content(3, 1 << 20));
    let _hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let _waiting = changes(&mut client).await;
    assert_eq!(client.fetch("/download").await.unwrap(), content(3, 1 << 20));
    let upload = open_with(&mut client, "/upload", 20 << 20).await;
    client.stat("/there").await.unwrap();
    client.fstat(&upload).await.unwrap();
    client.open("/elsewhere", OpenFlags::READ).await.unwrap_err();
    assert!(!client.incoming.is_answered(data).await);
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn uploads_that_are_open_side_by_side_are_published_side_by_side() {
    let wharf = wharf();
    let hold = wharf.bucket.hold(Verb::Put, Request);
    let mut client = wharf.connect().await;
    let mut handles = Vec::new();
    for number in 0..64 {
        handles.push(open_with(&mut client, &format!("/{number}"), 3).await);
    }
    let mut closes = Vec::new();
    for handle in &handles {
        closes.push(client.send(request::close(handle)).await);
    }
    tokio::time::timeout(Duration::from_secs(1), wharf.bucket.arrived(Verb::Put, 64)).await.unwrap();
    drop(hold);
    for close in closes {
        client.status(close).await.unwrap();
    }
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn an_empty_file_that_open_makes_waits_too() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let open = client.send(request::open("/data.done", OpenFlags::READ | OpenFlags::CREATE)).await;
    assert!(!client.incoming.is_answered(open).await);
    drop(hold);
    client.status(data).await.unwrap();
    client.handle(open).await.unwrap();
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn what_waits_is_done_in_its_order_when_the_client_is_gone() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    closing(&mut client, "/data").await;
    changes(&mut client).await;
    run_ready_tasks().await;
    client.vanish();
    run_ready_tasks().await;
    assert!(wharf.bucket.bytes("acme/data.done").is_none());
    drop(hold);
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/data", "acme/data.done", "acme/made/", "acme/new", "acme/there"]);
}

// S160: If such an earlier CLOSE fails, and no reply to a WRITE or COPY-DATA told the client so before the CLOSE …
#[tokio::test(start_paused = true)]
async fn a_failure_that_no_reply_told_fails_what_waited_for_it() {
    let told = "a file that was closed before this could not be stored: ";
    for (error, code, reason) in [
        (Error::Unreachable("x".into()), StatusCode::Failure, "the storage did not answer, try again later"),
        (
            Error::Forbidden { request: "x".into() },
            StatusCode::PermissionDenied,
            "the storage denied the server access to this",
        ),
    ] {
        let wharf = wharf();
        let before = wharf.bucket.keys();
        let hold = wharf.bucket.hold_key(Verb::Put, DATA);
        wharf.bucket.fail_key(Verb::Put, DATA, error);
        let mut client = wharf.connect().await;
        let data = closing(&mut client, "/data").await;
        let changes = changes(&mut client).await;
        let behind_the_marker = closing(&mut client, "/data.done.done").await;
        run_ready_tasks().await;
        drop(hold);
        assert_eq!(client.status(data).await.unwrap_err().sentence, reason);
        for id in changes.iter().chain([&behind_the_marker]) {
            let refusal = client.status(*id).await.unwrap_err();
            assert_eq!((refusal.code, refusal.sentence), (code, format!("{told}{reason}")));
        }
        assert_eq!(wharf.bucket.keys(), before);
        client.order(request::mkdir("/made")).await.unwrap();
        drop(client);
        wharf.assert_nothing_left().await;
    }
}

// S160: If such an earlier CLOSE fails, and no reply to a WRITE or COPY-DATA told the client so before the CLOSE …
#[tokio::test(start_paused = true)]
async fn a_failure_that_a_write_told_fails_nothing_else() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let front = closing(&mut client, "/data").await;
    let spoilt = open_with(&mut client, "/spoilt", 3).await;
    client.write(&spoilt, 1 << 40, "a hole").await.unwrap_err();
    let spoilt = client.send(request::close(&spoilt)).await;
    let marker = closing(&mut client, "/data.done").await;
    run_ready_tasks().await;
    drop(hold);
    client.status(front).await.unwrap();
    client.status(spoilt).await.unwrap_err();
    client.status(marker).await.unwrap();
}

// S160: If such an earlier CLOSE fails, and no reply to a WRITE or COPY-DATA told the client so before the CLOSE …
#[tokio::test(start_paused = true)]
async fn a_failure_that_a_write_told_after_the_close_came_fails_what_waited_for_it() {
    let wharf = wharf();
    let before = wharf.bucket.keys();
    let mut client = wharf.connect().await;
    let data = client.create("/data").await;
    let write = client.send(request::write(&data, 1 << 40, "a hole")).await;
    let data = client.send(request::close(&data)).await;
    let changes = changes_of_names(&mut client).await;
    for id in [write, data].iter().chain(&changes) {
        client.status(*id).await.unwrap_err();
    }
    assert_eq!(wharf.bucket.keys(), before);
}

// S160: If such an earlier CLOSE fails, and no reply to a WRITE or COPY-DATA told the client so before the CLOSE …
#[tokio::test(start_paused = true)]
async fn a_write_that_its_handle_does_not_allow_tells_of_no_failure() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    wharf.bucket.fail_key(Verb::Put, DATA, Error::Unreachable("x".into()));
    let mut client = wharf.connect().await;
    let truncated = OpenFlags::from_bits(0x08 | 0x10);
    let data = client.open("/data", truncated).await.unwrap();
    client.write(&data, 0, "x").await.unwrap_err();
    let data = client.send(request::close(&data)).await;
    let marker = client.send(request::mkdir("/made")).await;
    run_ready_tasks().await;
    drop(hold);
    client.status(data).await.unwrap_err();
    client.status(marker).await.unwrap_err();
}

// S160: If such an earlier CLOSE fails, and no reply to a WRITE or COPY-DATA told the client so before the CLOSE …
#[tokio::test(start_paused = true)]
async fn a_failure_that_was_answered_before_the_close_came_fails_nothing() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    wharf.bucket.fail_key(Verb::Put, DATA, Error::Forbidden { request: "x".into() });
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let long = open_with(&mut client, "/long", 3).await;
    drop(hold);
    client.status(data).await.unwrap_err();
    client.close(&long).await.unwrap();
    wharf.assert_stored("/long", &content(1, 3));
}

// S161: A CLOSE that S3 leaves without any answer fails within 15 minutes, and so does what waits for it.
#[tokio::test(start_paused = true)]
async fn a_close_ends_within_15_minutes() {
    for (verb, bytes) in [(Verb::Put, 3), (Verb::UploadPart, 9 << 20), (Verb::CompleteUpload, 9 << 20)] {
        let wharf = wharf();
        let _hold = wharf.bucket.hold_key(verb, DATA);
        let mut client = wharf.connect().await;
        let data = open_with(&mut client, "/data", bytes).await;
        let since = Instant::now();
        let data = client.send(request::close(&data)).await;
        let marker = closing(&mut client, "/data.done").await;
        let refusal = client.status(data).await.unwrap_err();
        assert_eq!(refusal.sentence, "the storage did not answer, try again later", "{verb:?}");
        client.status(marker).await.unwrap_err();
        let minutes = since.elapsed().as_secs() / 60;
        assert!((11..15).contains(&minutes), "{verb:?}: {minutes} minutes");
        assert!(wharf.bucket.bytes("acme/data.done").is_none());
    }
}

// S161: A CLOSE that S3 leaves without any answer fails within 15 minutes, and so does what waits for it.
#[tokio::test(start_paused = true)]
async fn a_close_ends_within_15_minutes_where_s3_answers_nothing_at_all() {
    const VERBS: [Verb; 8] = [
        Verb::Head,
        Verb::Read,
        Verb::List,
        Verb::Put,
        Verb::CreateUpload,
        Verb::UploadPart,
        Verb::CompleteUpload,
        Verb::AbortUpload,
    ];
    // Index of the first verb that S3 leaves unanswered. The lowest is the listing that OPEN sends for the name.
    for (first, bytes) in [(2, 3), (3, 3), (2, 9 << 20), (3, 9 << 20), (4, 9 << 20), (5, 9 << 20), (6, 9 << 20)] {
        let wharf = wharf();
        let mut client = wharf.connect().await;
        let mut holds: Vec<_> = VERBS[first..].iter().map(|verb| wharf.bucket.hold(*verb, Request)).collect();
        let data = open_with(&mut client, "/directory/data", bytes).await;
        holds.extend(VERBS[..first].iter().map(|verb| wharf.bucket.hold(*verb, Request)));
        let since = Instant::now();
        let data = client.send(request::close(&data)).await;
        let marker = client.send(request::mkdir("/done")).await;
        client.status(data).await.unwrap_err();
        client.status(marker).await.unwrap_err();
        let minutes = since.elapsed().as_secs() / 60;
        assert!((11..15).contains(&minutes), "{:?}, {bytes} bytes: {minutes} minutes", VERBS[first]);
        let keys = wharf.bucket.keys();
        assert!(!keys.iter().any(|key| key.contains("data") || key.contains("done")), "{keys:?}");
    }
}

// S161: A CLOSE that S3 leaves without any answer fails within 15 minutes, and so does what waits for it.
#[tokio::test(start_paused = true)]
async fn a_close_that_advances_slowly_takes_as_long_as_it_takes() {
    let wharf = wharf();
    let hold = wharf.bucket.hold_key(Verb::UploadPart, DATA);
    let mut client = wharf.connect().await;
    let data = open_with(&mut client, "/data", 40 << 20).await;
    let data = client.send(request::close(&data)).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_mins(10)).await;
        hold.release(1);
    }
    client.status(data).await.unwrap();
}

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, the …
#[tokio::test(start_paused = true)]
async fn an_upload_whose_turn_has_come_keeps_its_memory() {
    let wharf = Wharf::with(Setup { budget_bytes: 20 << 20, ..Setup::default() });
    let front = wharf.bucket.hold_key(Verb::Put, DATA);
    let parts = wharf.bucket.hold(Verb::UploadPart, Request);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let large = open_with(&mut client, "/large", 9 << 20).await;
    let large = client.send(request::close(&large)).await;
    let mut neighbour = wharf.connect().await;
    for number in 0..9 {
        neighbour.send(request::open(&format!("/{number}"), CREATE)).await;
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    drop(front);
    client.status(data).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(!client.incoming.is_answered(large).await);
    drop(parts);
    client.status(large).await.unwrap();
}

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, the …
#[tokio::test(start_paused = true)]
async fn one_upload_gives_its_memory_up_at_a_time_however_long_that_takes() {
    let wharf = Wharf::with(Setup { budget_bytes: 40 << 20, ..Setup::default() });
    let front = wharf.bucket.hold_key(Verb::Put, DATA);
    let parts = wharf.bucket.hold(Verb::UploadPart, Request);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let [one, other] = [open_with(&mut client, "/one", 9 << 20).await, open_with(&mut client, "/other", 9 << 20).await];
    let large = [client.send(request::close(&one)).await, client.send(request::close(&other)).await];
    let (mut first, mut second, mut neighbour) = (wharf.connect().await, wharf.connect().await, wharf.connect().await);
    let uploads = (open_with(&mut first, "/0", 1 << 20).await, open_with(&mut second, "/1", 1 << 20).await);
    let needs_memory = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        open_with(&mut neighbour, "/needed", 1 << 20).await;
        tokio::time::sleep(Duration::from_secs(9)).await;
        client.status(large[0]).await.unwrap_err();
        assert!(!client.incoming.is_answered(large[1]).await);
    };
    tokio::select! {
        () = needs_memory => {}
        _ = keep_moving(&mut first, &uploads.0) => {}
        _ = keep_moving(&mut second, &uploads.1) => {}
    }
    drop((front, parts));
    client.status(data).await.unwrap();
    client.status(large[1]).await.unwrap();
}

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, the …
#[tokio::test(start_paused = true)]
async fn uploads_that_wait_give_their_memory_to_others_the_largest_first() {
    let wharf = Wharf::with(Setup { budget_bytes: 20 << 20, ..Setup::default() });
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let data = closing(&mut client, "/data").await;
    let small = open_with(&mut client, "/small", 1 << 20).await;
    let large = open_with(&mut client, "/large", 5 << 20).await;
    let [small, large] = [client.send(request::close(&small)).await, client.send(request::close(&large)).await];
    assert!(!client.incoming.is_answered(large).await);
    let since = Instant::now();
    let (mut first, mut second) = (wharf.connect().await, wharf.connect().await);
    let upload = open_with(&mut first, "/one", 1 << 20).await;
    tokio::select! {
        _ = open_with(&mut second, "/two", 1 << 20) => {}
        _ = keep_moving(&mut first, &upload) => {}
    }
    assert!((29..=30).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    let told = "the upload was abandoned: it waited for earlier files while others waited for memory";
    assert_eq!(client.status(large).await.unwrap_err().sentence, told);
    assert!(!client.incoming.is_answered(small).await);
    drop(hold);
    client.status(data).await.unwrap();
    client.status(small).await.unwrap();
}

// S162: While others need memory, uploads whose CLOSE has waited for 30 seconds release their memory and fail, the …
#[tokio::test(start_paused = true)]
async fn an_upload_that_waits_behind_a_rename_gives_its_memory_up_too() {
    let wharf = Wharf::with(Setup { budget_bytes: 15 << 20, ..Setup::default() });
    let hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let data = open_with(&mut client, "/data", 1 << 20).await;
    let temporary = open_with(&mut client, "/temporary", 1 << 20).await;
    let data = client.send(request::close(&data)).await;
    let rename = client.send(request::rename("/temporary", "/final")).await;
    let temporary = client.send(request::close(&temporary)).await;
    assert!(!client.incoming.is_answered(rename).await);
    let since = Instant::now();
    let mut neighbour = wharf.connect().await;
    open_with(&mut neighbour, "/one", 1 << 20).await;
    assert!((29..=31).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    client.status(temporary).await.unwrap_err();
    drop(hold);
    client.status(data).await.unwrap();
}

#[derive(Debug)]
enum Stage {
    Opening,
    Closing,
}

/// Returns the time that `workers` workers of one client need for `files` files. A worker uploads one file after the
/// other. The client serves its workers in the order of the replies.
async fn pace(wharf: &Wharf, workers: usize, files: usize) -> Duration {
    let mut client = wharf.connect().await;
    let (mut begun, mut stages, mut heard) = (0, HashMap::new(), client.incoming.order.len());
    let since = Instant::now();
    while begun < workers {
        stages.insert(client.send(request::open(&format!("/{begun}"), CREATE)).await, Stage::Opening);
        begun += 1;
    }
    while !stages.is_empty() {
        while client.incoming.order.len() == heard {
            assert!(client.incoming.receive().await);
        }
        let id = client.incoming.order[heard];
        heard += 1;
        let reply = client.reply(id).await;
        match (stages.remove(&id), reply) {
            (Some(Stage::Opening), Reply::Handle { handle, .. }) => {
                client.send(request::write(&handle, 0, "bytes")).await;
                stages.insert(client.send(request::close(&handle)).await, Stage::Closing);
            }
            (Some(Stage::Closing), _) if begun < files => {
                let open = client.send(request::open(&format!("/{begun}"), CREATE)).await;
                stages.insert(open, Stage::Opening);
                begun += 1;
            }
            _ => {}
        }
    }
    since.elapsed()
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn workers_that_open_a_file_whenever_they_have_stored_one_keep_their_pace() {
    let wharf = wharf();
    wharf.bucket.answer_after(Duration::from_millis(30));
    let elapsed = pace(&wharf, 64, 64 * 20).await;
    assert!(elapsed.as_millis() <= 20 * 30 * 10 / 9, "{elapsed:?}");
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn workers_that_hear_of_their_files_one_by_one_keep_their_pace() {
    for (workers, slowest_ms) in [(4, 40), (4, 330), (16, 50), (16, 330), (64, 31), (64, 70), (64, 130)] {
        let wharf = wharf();
        wharf.bucket.answer_within(Duration::from_millis(30)..Duration::from_millis(slowest_ms));
        let elapsed = pace(&wharf, workers, workers * 20).await;
        // Every file waits for the slowest one. The first files also wait for the lookup of their directory.
        assert!(elapsed <= Duration::from_millis(22 * slowest_ms), "{workers} workers, {slowest_ms} ms: {elapsed:?}");
    }
}

// S159: CLOSE of an upload, RENAME, REMOVE, MKDIR and RMDIR wait for the CLOSEs that came before them on the same channel …
#[tokio::test(start_paused = true)]
async fn the_answer_of_a_stored_file_waits_for_others_a_second_at_most() {
    let wharf = wharf();
    let _hold = wharf.bucket.hold_key(Verb::Put, DATA);
    let mut client = wharf.connect().await;
    let [one, two] = [open_with(&mut client, "/one", 3).await, open_with(&mut client, "/two", 3).await];
    let _data = closing(&mut client, "/data").await;
    let since = Instant::now();
    let one = client.send(request::close(&one)).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(wharf.bucket.bytes("acme/one").is_some());
    let two = client.send(request::close(&two)).await;
    client.status(one).await.unwrap();
    client.status(two).await.unwrap();
    assert_eq!(since.elapsed().as_millis(), 1_000);
}
