//! A file that is being written: acknowledged means stored, all or nothing, and its session sees the upload meanwhile.

use super::{
    harness::{CREATE, Wharf},
    *,
};
use bytes::Bytes;
use std::time::Duration;
use wharfinger::{
    events::{Event, Outcome},
    sftp::wire::{Attrs, FileTimes, MAX_READ_BYTES, OpenFlags, StatusCode},
    store::Error,
    testing::bucket::{
        Moment::{Answer, Request},
        Verb,
    },
};

const SECRET: &str = "acme-bucket AKIA 4711";

fn refused() -> Error {
    Error::Refused { code: SECRET.into(), message: SECRET.into(), request: SECRET.into() }
}

fn times(modified: u32) -> Attrs {
    Attrs { times: Some(FileTimes { accessed: modified, modified }), ..Attrs::default() }
}

/// Checks the state after a failed WRITE of `/a`: the next WRITE and the CLOSE fail, nothing is published, and the
/// session continues.
async fn assert_poisoned(wharf: &Wharf, client: &mut SftpClient, handle: &wharfinger::sftp::wire::Handle) {
    let poisoned = "an earlier write failed, so nothing was stored: upload the file again";
    let size = client.fstat(handle).await.unwrap().size.unwrap();
    assert_eq!(client.write(handle, size, "more").await.unwrap_err().sentence, poisoned);
    assert_eq!(client.close(handle).await.unwrap_err().sentence, poisoned);
    assert!(wharf.bucket.keys().is_empty(), "nothing is published");
    assert_eq!(wharf.bucket.open_uploads(), 0, "nothing is left over");
    assert_eq!(wharf.budget.used(), 0);
    assert_eq!(client.stat("/a").await.unwrap_err().code, StatusCode::NoSuchFile);
    client.put("/a", &content(2, 9 * MIB)).await.unwrap();
    wharf.assert_stored("/a", &content(2, 9 * MIB));
}

// S61: After a failed WRITE the CLOSE fails too, and nothing is stored.
#[tokio::test(start_paused = true)]
async fn a_part_that_fails_fails_a_write_and_the_close() {
    for (verb, moment) in [(Verb::UploadPart, Request), (Verb::UploadPart, Answer), (Verb::CreateUpload, Request)] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        wharf.bucket.fail(verb, moment, refused());
        let handle = client.create("/a").await;
        let refused = client.write_all(&handle, 0, &content(1, 30 * MIB)).await.unwrap_err();
        assert_eq!(refused.code, StatusCode::Failure);
        assert!(!refused.sentence.contains("4711"), "{}", refused.sentence);
        run_ready_tasks().await;
        // The server also refuses and answers the WRITEs in flight behind the failed one.
        assert_poisoned(&wharf, &mut client, &handle).await;
    }
}

// S63: A hole of at most 64 MiB reads as zeros; a WRITE that would leave a larger one is refused.
// S106: A file larger than the tenant's `max_object_bytes` is refused at the WRITE that would make it so.
#[tokio::test(start_paused = true)]
async fn writes_that_can_t_be_stored_are_refused_with_a_sentence() {
    let mib = MIB as u64;
    for (offset, sentence) in [
        (0, "this part of the file is already stored and can't be written again: upload it again"),
        (9 * mib + 64 * mib + 1, "a hole of more than 67108864 bytes can't be stored"),
        (100 * mib - 1, "files larger than 104857600 bytes are not accepted"),
        (u64::MAX, "files larger than 104857600 bytes are not accepted"),
    ] {
        let wharf = Wharf::with(Setup { max_object_bytes: 100 * mib, ..Setup::default() });
        let mut client = wharf.connect().await;
        let handle = client.create("/a").await;
        client.write_all(&handle, 0, &content(1, 9 * MIB)).await.unwrap();
        let refused = client.write(&handle, offset, "xy").await.unwrap_err();
        assert_eq!(refused, StatusError { code: StatusCode::Failure, sentence: sentence.into() });
        assert_poisoned(&wharf, &mut client, &handle).await;
    }
}

// S60: A file appears whole, when CLOSE answers OK, or not at all.
#[tokio::test(start_paused = true)]
async fn a_close_that_fails_publishes_nothing() {
    for (size, verb) in [(3, Verb::Put), (9 * MIB, Verb::CompleteUpload), (9 * MIB, Verb::UploadPart)] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        let handle = client.create("/a").await;
        let hold = wharf.bucket.hold(verb, Request);
        wharf.bucket.fail(verb, Request, refused());
        client.write_all(&handle, 0, &content(1, size)).await.unwrap();
        let close = client.send(request::close(&handle)).await;
        run_ready_tasks().await;
        drop(hold);
        let sentence = client.status(close).await.unwrap_err().sentence;
        assert_eq!(sentence, "the storage could not do this");
        assert!(wharf.bucket.keys().is_empty());
        assert_eq!(wharf.budget.used(), 0);
        client.put("/a", &content(1, size)).await.unwrap();
        wharf.assert_stored("/a", &content(1, size));
        client.vanish();
        wharf.assert_left(usize::from(verb == Verb::CompleteUpload)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_told_from_a_lost_upload() {
    for (size, verb) in [(3, Verb::Put), (9 * MIB, Verb::CompleteUpload)] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        wharf.bucket.fail(verb, Answer, Error::Unreachable("timed out".into()));
        client.put("/a", &content(1, size)).await.unwrap();
        wharf.assert_stored("/a", &content(1, size));
    }
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
#[tokio::test(start_paused = true)]
async fn excl_holds_to_the_end() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    for size in [3, 9 * MIB] {
        wharf.bucket.delete("acme/a");
        let handle = client.open("/a", CREATE | OpenFlags::EXCLUSIVE).await.unwrap();
        client.write_all(&handle, 0, &content(1, size)).await.unwrap();
        wharf.bucket.insert("acme/a", "another's");
        let refused = client.close(&handle).await.unwrap_err();
        assert_eq!(refused.sentence, "a file or directory of this name exists already");
        wharf.assert_stored("/a", b"another's");
        assert_eq!(wharf.bucket.open_uploads(), 0);
    }
}

// S129: For a minute after an upload failed STAT doesn't show its session a file of the very size that it had: …
#[tokio::test(start_paused = true)]
async fn an_older_file_is_not_mistaken_for_the_upload_that_failed() {
    const NEW: &str = "new";
    for (older, misleads) in [("old", true), ("older", false)] {
        for healed in [false, true] {
            let wharf = Wharf::start();
            wharf.bucket.insert("acme/a", older);
            let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
            let handle = client.create("/a").await;
            client.write(&handle, 0, NEW).await.unwrap();
            wharf.bucket.fail(Verb::Put, Request, refused());
            let close = client.send(request::close(&handle)).await;
            let stats = [client.send(request::stat("/a")).await, client.send(request::lstat("/a")).await];
            client.status(close).await.unwrap_err();
            for stat in stats {
                match client.attrs(stat).await {
                    Ok(attrs) => assert!(!misleads && attrs.size == Some(older.len() as u64)),
                    Err(refusal) => {
                        assert!(misleads && refusal.code == StatusCode::Failure);
                        assert!(refusal.sentence.starts_with("the last upload of this file failed"), "{refusal:?}");
                    }
                }
            }
            client.order(request::set_stat("/a", times(1_000_000_000))).await.unwrap();
            assert_eq!(client.stat("/a").await.is_err(), misleads);
            assert_eq!(other.stat("/a").await.unwrap().size, Some(older.len() as u64));
            if healed {
                client.put("/a", &NEW.into()).await.unwrap();
            } else {
                tokio::time::sleep(Duration::from_mins(1)).await;
            }
            client.stat("/a").await.unwrap();
        }
    }
}

// S62: WRITEs may come in any order, as many as a client has in flight; without APPEND the offsets say what the …
#[tokio::test(start_paused = true)]
async fn writes_in_any_order_make_the_file_that_their_offsets_say() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let content = content(1, 20 * MIB + 17);
    let handle = client.open("/a", OpenFlags::WRITE | OpenFlags::CREATE).await.unwrap();
    let mut ids = Vec::new();
    let piece = MAX_READ_BYTES as usize;
    let mut starts: Vec<_> = (0..content.len()).step_by(piece).collect();
    for window in starts.chunks_mut(64) {
        window.reverse();
    }
    for start in starts {
        let data = content.slice(start..content.len().min(start + piece));
        ids.push(client.send(request::write(&handle, start as u64, data)).await);
    }
    for id in ids {
        client.status(id).await.unwrap();
    }
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &content);
}

// S68: With APPEND each WRITE, and each copy, goes to the end of the file in the order of arrival, whatever its offset: …
#[tokio::test(start_paused = true)]
async fn what_is_appended_stands_in_the_order_in_which_it_came() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let (old, new) = (content(1, 9 * MIB), content(2, 20 * MIB));
    for there in [None, Some(old)] {
        if let Some(old) = &there {
            wharf.bucket.insert("acme/a", old.clone());
        }
        let start = there.as_ref().map_or(0, Bytes::len) as u64;
        let handle = client.open("/a", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND).await.unwrap();
        let mut ids = Vec::new();
        for (number, piece) in new.chunks(MAX_READ_BYTES as usize).enumerate() {
            // Offsets as OpenSSH's `reput` and curl send them, and two that no client should send.
            let at = (number * MAX_READ_BYTES as usize) as u64;
            let offset = [start + at, at, 7, u64::MAX][number % 4];
            ids.push(client.send(request::write(&handle, offset, new.slice_ref(piece))).await);
        }
        for id in ids {
            client.status(id).await.unwrap();
        }
        client.close(&handle).await.unwrap();
        wharf.assert_stored("/a", &[&there.unwrap_or_default()[..], &new].concat());
        wharf.bucket.delete("acme/a");
    }
}

// S64: Until its CLOSE only its own session sees a new file, from its OPEN on: STAT shows its size so far. The …
#[tokio::test(start_paused = true)]
async fn a_file_on_its_way_shows_its_size_so_far_to_its_own_session_alone() {
    let wharf = Wharf::start();
    let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
    let handle = client.create("/a").await;
    let mut size = 0;
    for piece in [0, 100, 9 * MIB, MIB] {
        client.write_all(&handle, size, &content(1, piece)).await.unwrap();
        size += piece as u64;
        assert_eq!(client.fstat(&handle).await.unwrap().size, Some(size));
        assert_eq!(client.stat("/a").await.unwrap().size, Some(size));
        assert_eq!(other.stat("/a").await.unwrap_err().code, StatusCode::NoSuchFile);
    }
    client.write(&handle, 5, "").await.unwrap();
    assert_eq!(client.fstat(&handle).await.unwrap().size, Some(size));
    client.close(&handle).await.unwrap();
    assert_eq!(other.stat("/a").await.unwrap().size, Some(size));
}

// S69: READ of bytes that have left the server's memory, and WRITE to them, are refused; the latter ends the upload.
#[tokio::test(start_paused = true)]
async fn what_was_written_can_be_read_back_until_it_is_shipped() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let content = content(1, 9 * MIB);
    let handle = client.open("/a", CREATE | OpenFlags::READ).await.unwrap();
    let eof = StatusError { code: StatusCode::Eof, sentence: "end of file".into() };
    assert_eq!(client.read(&handle, 0, 10).await, Err(eof.clone()));
    client.write(&handle, 10, "xyz").await.unwrap();
    assert_eq!(client.read(&handle, 8, 4).await.unwrap(), Bytes::from_static(b"\0\0xy"));
    assert_eq!(client.read(&handle, 12, 100).await.unwrap(), "z");
    assert_eq!(client.read(&handle, 13, 1).await, Err(eof));
    client.write_all(&handle, 0, &content).await.unwrap();
    let unready = client.read(&handle, 0, 10).await.unwrap_err();
    assert!(unready.sentence.contains("on its way to the storage"), "{unready:?}");
    let tail = 8 * MIB + 5;
    assert!(
        client.read(&handle, tail as u64, MAX_READ_BYTES).await.unwrap() == content[tail..][..MAX_READ_BYTES as usize]
    );
    client.close(&handle).await.unwrap();
    wharf.assert_stored("/a", &content);
}

// S88: Metadata is sent with the first part, or at CLOSE for a file of one part.
// S94: STAT shows the times and modes that are stored with the object, those of other programs too, and those in the …
#[tokio::test(start_paused = true)]
async fn times_known_at_the_first_part_are_stored_and_later_ones_are_shown() {
    for (size, stored) in [(3, "3"), (9 * MIB, "1")] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        let id = client.send(request::open_with("/a", CREATE, times(1))).await;
        let handle = client.handle(id).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().times, times(1).times);
        client.write_all(&handle, 0, &content(1, size)).await.unwrap();
        client.order(request::fset_stat(&handle, times(2))).await.unwrap();
        client.order(request::set_stat("/a", times(3))).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().times, times(3).times);
        client.close(&handle).await.unwrap();
        assert_eq!(wharf.bucket.metadata("acme/a").unwrap()["mtime"], stored);
        assert_eq!(client.stat("/a").await.unwrap().times, times(3).times);
        client.order(request::set_stat("/a", times(4))).await.unwrap();
        assert_eq!(client.stat("/a").await.unwrap().times, times(4).times);
        let listed = client.list("/").await.unwrap().concat();
        let listed = listed.iter().find(|name| name.filename == "a").unwrap();
        assert_eq!(listed.attrs.times, times(4).times);
        client.put("/a", &content(1, 3)).await.unwrap();
        assert_ne!(client.stat("/a").await.unwrap().times, times(4).times, "they belong to one version");
    }
}

// S104: Owner and group are 0, and the only owner that can be set is that one. All else is refused, and then nothing …
#[tokio::test(start_paused = true)]
async fn what_can_t_be_set_is_refused_and_then_nothing_is_set() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    client.put("/a", &content(1, 3)).await.unwrap();
    let before = client.stat("/a").await.unwrap();
    let owner = |uid| Some(wharfinger::sftp::wire::OwnerIds { uid, gid: 0 });
    assert_eq!(before.owner, owner(0));
    for (attrs, code) in [
        (Attrs { size: Some(u64::MAX), ..times(9) }, Err(StatusCode::Failure)),
        (Attrs { owner: owner(1), ..times(9) }, Err(StatusCode::OpUnsupported)),
        (Attrs { size: Some(3), owner: owner(0), ..Attrs::default() }, Ok(())),
    ] {
        let handle = client.open("/a", OpenFlags::READ | OpenFlags::WRITE).await.unwrap();
        let by_handle = client.order(request::fset_stat(&handle, attrs)).await;
        // If the server has accepted an impossible size, CLOSE must fail.
        assert_eq!(client.close(&handle).await.is_ok(), attrs.size != Some(u64::MAX) || by_handle.is_err());
        for outcome in [by_handle, client.order(request::set_stat("/a", attrs)).await] {
            assert_eq!(outcome.map_err(|refused| refused.code), code);
        }
        assert_eq!(client.stat("/a").await.unwrap(), before);
    }
}

// S155: FSETSTAT through a handle for reading sets times and mode of the version that is open, and FSTAT of the handle …
#[tokio::test(start_paused = true)]
async fn what_is_set_through_a_handle_for_reading_is_set_on_what_it_has_open() {
    for content in ["", "abc"] {
        let wharf = Wharf::start();
        wharf.bucket.insert("acme/a", content);
        let mut client = wharf.connect().await;
        let handle = client.open("/a", OpenFlags::READ).await.unwrap();
        let wanted = Attrs { permissions: Some(0o640), ..times(7) };
        // Sent without waiting for the earlier replies.
        let set = client.send(request::fset_stat(&handle, wanted)).await;
        let (fstat, stat) = (client.send(request::fstat(&handle)).await, client.send(request::stat("/a")).await);
        client.status(set).await.unwrap();
        for shown in [client.attrs(fstat).await.unwrap(), client.attrs(stat).await.unwrap()] {
            assert_eq!((shown.times, shown.permissions), (times(7).times, Some(0o100_640)), "{content:?}");
        }
        for size in [0, 3] {
            let refused = client.order(request::fset_stat(&handle, Attrs { size: Some(size), ..times(9) })).await;
            assert_eq!(refused.unwrap_err().sentence, "the file was not opened for writing");
        }
        assert_eq!(client.fstat(&handle).await.unwrap().times, times(7).times);
        wharf.assert_stored("/a", content.as_bytes());

        // By now another file has the name.
        client.put("/a", &"newer".into()).await.unwrap();
        client.order(request::set_stat("/a", times(8))).await.unwrap();
        client.order(request::fset_stat(&handle, times(9))).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().times, times(9).times);
        assert_eq!(client.stat("/a").await.unwrap().times, times(8).times);
        client.order(request::remove("/a")).await.unwrap();
        client.order(request::fset_stat(&handle, times(10))).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().times, times(10).times);
        client.close(&handle).await.unwrap();
    }
}

/// A CLOSE that stores one object, in one request or in parts, has what S3 answered in its record. A download's has the
/// version that was read.
#[tokio::test(start_paused = true)]
async fn the_record_of_a_close_has_the_object_that_s3_stored_or_read() {
    let wharf = Wharf::start();
    let mut records = wharf.events.subscribe();
    let mut client = wharf.connect().await;
    client.put("/small", &content(1, 10)).await.unwrap();
    client.put("/large", &content(2, 20 * MIB)).await.unwrap();
    let handle = client.open("/small", OpenFlags::READ).await.unwrap();
    client.read_all(&handle).await.unwrap();
    client.close(&handle).await.unwrap();
    let mut closed = Vec::new();
    while let Ok(record) = records.try_recv() {
        if let Event::FileClosed { path, size, object, .. } = &record.event {
            closed.push((path.clone(), *size, object.clone()));
        }
    }
    let [(_, _, Some(small)), (_, _, Some(large)), (path, Some(10), Some(read))] = &closed[..] else {
        panic!("{closed:?}")
    };
    assert_eq!((path.as_str(), &read.key, &read.etag), ("/small", &small.key, &small.etag));
    assert_eq!((&read.request_id, &read.checksum_crc64nvme), (&None, &None), "a download publishes nothing");
    for (object, name) in [(small, "small"), (large, "large")] {
        assert_eq!(object.key.as_str(), format!("acme/{name}"));
        assert!(!object.etag.is_empty());
        assert!(object.request_id.is_some() && object.checksum_crc64nvme.is_some(), "{object:?}");
    }
}

/// S3 may deny the question for the name before the first WRITE. The client hears a sentence, and the record of the
/// CLOSE has S3's words.
#[tokio::test(start_paused = true)]
async fn the_record_of_a_close_says_why_an_earlier_write_was_refused() {
    let wharf = Wharf::start();
    let mut records = wharf.events.subscribe();
    let mut client = wharf.connect().await;
    for verb in [Verb::Head, Verb::List] {
        wharf.bucket.fail(verb, Request, refused());
    }
    let handle = client.create("/a").await;
    run_ready_tasks().await;
    client.write(&handle, 0, "data").await.unwrap_err();
    let refused = client.close(&handle).await.unwrap_err();
    assert!(!refused.sentence.contains("4711"), "{}", refused.sentence);
    let closed = std::iter::from_fn(|| records.try_recv().ok()).find_map(|record| match &record.event {
        Event::FileClosed { outcome, .. } => Some(outcome.clone()),
        _ => None,
    });
    let Some(Outcome::Failed(error)) = closed else { panic!("{closed:?}") };
    assert!(error.contains("4711"), "{error}");
}
