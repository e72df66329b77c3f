//! The handshake, limits, paths and flags, and malformed requests.

use super::*;
use bytes::Bytes;
use wharfinger::{
    sftp::{
        channel::Ended,
        wire::{Attrs, Extended, FileTimes, Handle, OpenFlags, Reply, Request, ServerLimits, StatusCode},
    },
    testing::bucket::Verb,
};

const UNKNOWN: u8 = 99;
const RENAME: u8 = 18;

fn string(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

#[tokio::test(start_paused = true)]
async fn version_3_is_spoken_whatever_the_client_has_and_what_works_is_announced() {
    let wharf = Wharf::start();
    for version in [3, 6, u32::MAX, 0] {
        let mut client = wharf.channel();
        client.send_request(&Request::Init { version }).await.unwrap();
        assert!(client.incoming.receive().await);
        let Some(Reply::Version { version: 3, extensions }) = client.incoming.version.take() else { panic!() };
        let names: Vec<_> = extensions.iter().map(|extension| extension.name.as_ref()).collect();
        assert_eq!(
            names,
            [
                "posix-rename@openssh.com",
                "limits@openssh.com",
                "lsetstat@openssh.com",
                "expand-path@openssh.com",
                "home-directory",
                "copy-data"
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_begins_with_one_init() {
    let wharf = Wharf::start();
    let mut client = wharf.channel();
    assert_eq!(client.try_send(request::stat("/")).await, Err(Ended::NotBegun));
    let mut client = wharf.channel();
    assert_eq!(client.send_body(&[UNKNOWN, 0, 0, 0, 1]).await, Err(Ended::NotBegun));
    let mut client = wharf.connect().await;
    assert_eq!(client.send_request(&Request::Init { version: 3 }).await, Err(Ended::NotBegun));
}

#[tokio::test(start_paused = true)]
async fn malformed_frames_end_the_channel() {
    let wharf = Wharf::start();
    for bytes in [
        &[0, 0, 0, 0][..],
        &[0xff, 0xff, 0xff, 0xff],
        &[0, 4, 8, 0, 17],
        // A STAT that ends early, one whose path exceeds the frame, and one without an id.
        &[0, 0, 0, 5, 17, 0, 0, 0, 1],
        &[0, 0, 0, 10, 17, 0, 0, 0, 1, 0, 0, 0, 2, b'/'],
        &[0, 0, 0, 1, 17],
    ] {
        let mut client = wharf.connect().await;
        assert!(matches!(client.inbound.feed(bytes).await, Err(Ended::Malformed(_))), "{bytes:?}");
    }
    let mut client = wharf.connect().await;
    assert_eq!(client.stat("/").await.unwrap().permissions, Some(0o40_755), "others are not harmed");
}

#[tokio::test(start_paused = true)]
async fn requests_may_be_split_in_any_way() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    for byte in [&[0, 0, 0, 10, 17, 0, 0, 0, 9][..], &string("/")[..]].concat() {
        client.inbound.feed(&[byte]).await.unwrap();
    }
    assert!(matches!(client.reply(9).await, Reply::Attrs { .. }));
}

#[tokio::test(start_paused = true)]
async fn unknown_requests_are_refused_with_their_id_and_the_session_continues() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    client.send_body(&[UNKNOWN, 0, 0, 3, 0xe8, 1, 2, 3]).await.unwrap();
    assert_eq!(client.status(1000).await.unwrap_err().code, StatusCode::OpUnsupported);
    let unknown = request::extended(Extended::Unknown("fsync@openssh.com".into()));
    assert_eq!(client.order(unknown).await.unwrap_err().code, StatusCode::OpUnsupported);
    client.stat("/").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_trails_a_request_is_ignored() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    // sshj appends the flags of version 5 to a v3 RENAME.
    let body = [&[RENAME, 0, 0, 0, 7][..], &string("/a"), &string("/b"), &[0, 0, 0, 1]].concat();
    client.send_body(&body).await.unwrap();
    client.status(7).await.unwrap();
    assert_eq!(wharf.bucket.keys(), ["acme/b"]);
}

#[tokio::test(start_paused = true)]
async fn limits_are_those_that_openssh_likes() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let Reply::ExtendedReply { data, .. } = client.ask(request::extended(Extended::Limits)).await else { panic!() };
    let told =
        ServerLimits { max_packet_bytes: 262_144, max_read_bytes: 261_120, max_write_bytes: 261_120, max_handles: 256 };
    assert_eq!(ServerLimits::decode(data), Ok(told));
}

// S3: `.`, `//` and a trailing `/` are dropped; `..` drops the name before it and stays at the root. `\` and `%2e` …
#[tokio::test(start_paused = true)]
async fn paths_are_made_absolute_and_home_is_where_the_session_starts() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    for (raw, path) in [(".", "/"), ("", "/"), ("a/./b/../c//", "/a/c"), ("/../..", "/"), ("~", "/~")] {
        assert_eq!(client.path(request::real_path(raw)).await.unwrap(), path, "{raw:?}");
    }
    for (raw, path) in [("~", "/"), ("~/", "/"), ("~/a/b", "/a/b"), ("~alice/a", "/a"), ("a", "/a"), ("/x/~", "/x/~")] {
        let expand = request::extended(Extended::ExpandPath { path: raw.into() });
        assert_eq!(client.path(expand).await.unwrap(), path, "{raw:?}");
    }
    for user in ["", "alice"] {
        let home = request::extended(Extended::HomeDirectory { user: user.into() });
        assert_eq!(client.path(home).await.unwrap(), "/");
    }
    for request in [Extended::ExpandPath { path: "~bob/x".into() }, Extended::HomeDirectory { user: "bob".into() }] {
        let refused = client.path(request::extended(request)).await.unwrap_err();
        assert_eq!(refused.code, StatusCode::Failure);
        assert_eq!(refused.sentence, "only your own home directory is known here");
    }
}

// S1: A path is UTF-8; NUL, other control characters, U+FFFE and U+FFFF are refused.
#[tokio::test(start_paused = true)]
async fn paths_that_no_storage_could_carry_are_refused() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    for raw in [&b"a\0b"[..], b"a\nb", b"\xff\xfe", "\u{fffe}".as_bytes(), &[b'n'; 256]] {
        let path = Bytes::copy_from_slice(raw);
        let opened = client.ask(|id| Request::Open { id, path, flags: OpenFlags::READ, attrs: Attrs::default() }).await;
        assert!(matches!(opened, Reply::Status { code: StatusCode::Failure, .. }), "{opened:?}");
    }
    assert_eq!(wharf.requested(), []);
}

// S153: OPEN follows open(2): WRITE or APPEND opens for writing; TRUNC empties the file at CLOSE, whatever else is set; all …
#[tokio::test(start_paused = true)]
async fn open_means_what_open_of_posix_means() {
    const THERE: &str = "0123456789";
    let (read, write) = (OpenFlags::READ, OpenFlags::WRITE);
    let (append, create) = (OpenFlags::APPEND, OpenFlags::CREATE);
    let (truncate, exclusive) = (OpenFlags::TRUNCATE, OpenFlags::EXCLUSIVE);
    let text = OpenFlags::from_bits(0x40);
    let missing = Err(StatusCode::NoSuchFile);
    let exists = Err(StatusCode::Failure);
    // Sizes after CLOSE: if the file existed before, and if it didn't.
    for (flags, there, nothing) in [
        (OpenFlags::default(), Ok(10), missing),
        (read, Ok(10), missing),
        (read | text, Ok(10), missing),
        (read | exclusive, Ok(10), missing),
        // flock(1) over sshfs.
        (read | create, Ok(10), Ok(0)),
        (create, Ok(10), Ok(0)),
        (read | create | exclusive, exists, Ok(0)),
        (create | exclusive, exists, Ok(0)),
        // Cyberduck's "New File".
        (create | truncate, Ok(0), Ok(0)),
        (create | truncate | exclusive, exists, Ok(0)),
        (truncate, Ok(0), missing),
        (read | truncate, Ok(0), missing),
        (write, Ok(10), missing),
        (write | exclusive, Ok(10), missing),
        (append, Ok(10), missing),
        (append | create, Ok(10), Ok(0)),
        (read | append | create, Ok(10), Ok(0)),
        (append | truncate, Ok(0), missing),
        (read | write | create | text, Ok(10), Ok(0)),
        (write | create | truncate, Ok(0), Ok(0)),
        (OpenFlags::from_bits(0x8000_0000) | write | create, Ok(10), Ok(0)),
    ] {
        let is_writable = flags.contains(write) || flags.contains(append);
        let is_readable = flags.contains(read) || !is_writable;
        for (is_there, result) in [(true, there), (false, nothing)] {
            let what = format!("{flags:?}, a file is there: {is_there}");
            let wharf = Wharf::start();
            if is_there {
                wharf.bucket.insert("acme/a", THERE);
            }
            let mut client = wharf.connect().await;
            let handle = match client.open("/a", flags).await {
                Ok(handle) => handle,
                Err(refusal) => {
                    assert_eq!(result, Err(refusal.code), "{what}");
                    assert_eq!(wharf.bucket.keys().len(), usize::from(is_there), "{what}");
                    continue;
                }
            };
            let read = client.read(&handle, 0, 1).await.map_err(|refusal| refusal.code);
            match is_readable {
                true if client.fstat(&handle).await.unwrap().size == Some(0) => {
                    assert_eq!(read, Err(StatusCode::Eof), "{what}");
                }
                true => assert_eq!(read.as_deref(), Ok(&b"0"[..]), "{what}"),
                false => assert_eq!(read, Err(StatusCode::PermissionDenied), "{what}"),
            }
            client.close(&handle).await.unwrap();
            assert_eq!(client.stat("/a").await.map(|attrs| attrs.size).ok(), Some(result.ok()), "{what}");
            assert_eq!(client.read(&handle, 0, 1).await.unwrap_err().code, StatusCode::Failure);

            let handle = client.open("/a", flags).await;
            let Ok(handle) = handle else { continue };
            let written = client.write(&handle, 0, "x").await;
            assert_eq!(written.is_ok(), is_writable, "{what}");
            let resized = client.order(request::fset_stat(&handle, Attrs { size: Some(1), ..Attrs::default() })).await;
            assert_eq!(resized.is_ok(), is_writable, "{what}");
            for refused in [written, resized].into_iter().filter_map(Result::err) {
                assert_eq!(refused.sentence, "the file was not opened for writing", "{what}");
            }
            client.close(&handle).await.unwrap();
            assert_eq!(wharf.bucket.open_uploads(), 0, "{what}");
        }
    }
}

// S154: CREAT without WRITE, APPEND and TRUNC opens a file that is there for reading, and makes no new version of …
#[tokio::test(start_paused = true)]
async fn a_lock_file_is_there_when_it_is_open_and_stays_the_same() {
    let wharf = Wharf::start();
    let (mut client, mut other) = (wharf.connect().await, wharf.connect().await);
    let flags = OpenFlags::READ | OpenFlags::CREATE;
    let mode = Attrs { permissions: Some(0o600), ..Attrs::default() };
    let open = client.send(request::open_with("/lock", flags, mode)).await;
    let stat = client.send(request::stat("/lock")).await;
    let first = client.handle(open).await.unwrap();
    assert_eq!(client.attrs(stat).await.unwrap().size, Some(0));
    assert_eq!(client.fstat(&first).await.unwrap().permissions, Some(0o100_600));
    assert_eq!(other.stat("/lock").await.unwrap().permissions, Some(0o100_600));
    assert_eq!(client.read(&first, 0, 10).await.unwrap_err().code, StatusCode::Eof);
    wharf.requested();
    let second = other.open("/lock", flags).await.unwrap();
    for (client, handle) in [(&mut client, &first), (&mut other, &second)] {
        assert_eq!(client.write(handle, 0, "x").await.unwrap_err().code, StatusCode::PermissionDenied);
        client.close(handle).await.unwrap();
    }
    assert_eq!(wharf.requested(), [Verb::Read]);
}

/// sshfs sends the OPEN and the CLOSE from two threads.
#[tokio::test(start_paused = true)]
async fn a_lock_file_is_made_behind_the_close_of_an_upload_and_not_instead() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let upload = client.create("/a").await;
    client.write(&upload, 0, "abc").await.unwrap();
    let flags = OpenFlags::READ | OpenFlags::CREATE;
    assert_eq!(client.open("/a", flags).await.unwrap_err().code, StatusCode::OpUnsupported, "its CLOSE doesn't come");
    let open = client.send(request::open("/a", flags)).await;
    client.close(&upload).await.unwrap();
    let handle = client.handle(open).await.unwrap();
    assert_eq!(client.read(&handle, 0, 10).await.unwrap(), "abc");
}

// S4: A path that ends in `/`, `.` or `..` is a directory's: no file that has the name is shown, opened, changed, …
#[tokio::test(start_paused = true)]
async fn a_file_is_not_made_under_the_name_of_a_directory() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    for path in ["/new/", "/new/.", "/new/a/..", ""] {
        for flags in [flags, OpenFlags::WRITE, OpenFlags::READ | OpenFlags::CREATE, OpenFlags::TRUNCATE] {
            let refused = client.open(path, flags).await.unwrap_err();
            assert_eq!((refused.code, &*refused.sentence), (StatusCode::Failure, "this is a directory"), "{path:?}");
        }
    }
    client.open("/new/..a", flags).await.unwrap();
}

// S4: A path that ends in `/`, `.` or `..` is a directory's: no file that has the name is shown, opened, changed, …
#[tokio::test(start_paused = true)]
async fn a_file_is_not_reached_under_the_name_of_a_directory() {
    let times = Attrs { times: Some(FileTimes { accessed: 1, modified: 1 }), ..Attrs::default() };
    for end in ["/", "//", "/.", "/./", "/x/.."] {
        let wharf = Wharf::start();
        wharf.bucket.insert("acme/file", "abc");
        let mut client = wharf.connect().await;
        let path = format!("/file{end}");
        let read = client.open(&path, OpenFlags::READ).await.map(drop);
        let stat = client.stat(&path).await.map(drop);
        let lstat = client.send(request::lstat(&path)).await;
        let lstat = client.attrs(lstat).await.map(drop);
        let set = client.order(request::set_stat(&path, times)).await;
        let removed = client.order(request::remove(&path)).await;
        let list = client.send(request::open_dir(&path)).await;
        let list = client.handle(list).await.map(drop);
        for outcome in [read, stat, lstat, set, removed, list] {
            assert_eq!(outcome.unwrap_err().code, StatusCode::NoSuchFile, "{end}");
        }
        for (source, target) in [(&*path, "/new"), ("/file", "/new/"), (&path, "/new/"), ("/file", "/new/.")] {
            let dots = end.ends_with(['.']) || end == "/./" || target.ends_with('.');
            let code = if dots && !(source == "/file" && target == "/new/") {
                StatusCode::Failure
            } else {
                StatusCode::NoSuchFile
            };
            let renamed = client.order(request::rename(source, target)).await;
            let replaced = client.order(request::posix_rename(source, target)).await;
            for outcome in [renamed, replaced] {
                assert_eq!(outcome.unwrap_err().code, code, "{source} {target}");
            }
        }
        assert_eq!(wharf.bucket.keys(), ["acme/file"]);
        assert_ne!(client.stat("/file").await.unwrap().times, times.times);
    }
}

// S4: A path that ends in `/`, `.` or `..` is a directory's: no file that has the name is shown, opened, changed, …
#[tokio::test(start_paused = true)]
async fn a_directory_is_reached_under_its_name_with_a_slash_whatever_file_has_the_name_too() {
    let times = Attrs { times: Some(FileTimes { accessed: 1, modified: 1 }), ..Attrs::default() };
    for both in [false, true] {
        let wharf = Wharf::start();
        wharf.bucket.insert("acme/d/", "");
        if both {
            wharf.bucket.insert("acme/d", "abc");
        }
        let mut client = wharf.connect().await;
        wharf.requested();
        assert_eq!(client.stat("/d/").await.unwrap().permissions, Some(0o40_755));
        assert_eq!(wharf.requested(), [Verb::List]);
        client.order(request::set_stat("/d/", times)).await.unwrap();
        assert_eq!(client.stat("/d/").await.unwrap().times, times.times);
        let id = client.send(request::open_dir("/d")).await;
        let handle = client.handle(id).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().permissions, Some(0o40_755));
        client.order(request::fset_stat(&handle, times)).await.unwrap();
        for outcome in [client.order(request::remove("/d/")).await, client.open("/d/", OpenFlags::READ).await.map(drop)]
        {
            assert_eq!(outcome.unwrap_err().sentence, "this is a directory");
        }
        let renamed = client.order(request::rename("/d/", "/e/")).await;
        if both {
            assert_eq!(renamed.unwrap_err().code, StatusCode::NoSuchFile);
            assert_ne!(client.stat("/d").await.unwrap().times, times.times);
            client.order(request::rmdir("/d/")).await.unwrap();
            assert_eq!(wharf.bucket.keys(), ["acme/d"]);
        } else {
            renamed.unwrap();
            client.order(request::mkdir("/f/")).await.unwrap();
            let onto = client.order(request::rename("/f", "/e/")).await.unwrap_err();
            assert_eq!(onto.sentence, "a file or directory of this name exists already");
            client.order(request::rename("/f/", "/g")).await.unwrap();
            client.order(request::rename("/g", "/h/")).await.unwrap();
            client.put("/a", &content(1, 3)).await.unwrap();
            let onto = client.order(request::rename("/a", "/h/")).await.unwrap_err();
            assert_eq!(onto.sentence, "a file or directory of this name exists already");
            client.order(request::rmdir("/h/")).await.unwrap();
            assert_eq!(wharf.bucket.keys(), ["acme/a", "acme/e/"]);
        }
    }
}

// S156: RMDIR and RENAME of a path that ends in `.` or `..` are refused.
#[tokio::test(start_paused = true)]
async fn nothing_is_removed_or_renamed_under_a_name_of_dots() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/d/", "");
    let mut client = wharf.connect().await;
    for path in ["/d/.", "/d/./", "/d/x/..", "/d/x/../", "d/."] {
        for outcome in [
            client.order(request::rmdir(path)).await,
            client.order(request::rename(path, "/e")).await,
            client.order(request::rename("/d", path)).await,
            client.order(request::posix_rename(path, "/e")).await,
        ] {
            assert_eq!(outcome.unwrap_err().code, StatusCode::Failure, "{path}");
        }
    }
    assert_eq!(wharf.bucket.keys(), ["acme/d/"]);
}

// S24: RMDIR takes an empty directory, REMOVE a file, and neither anything else.
#[tokio::test(start_paused = true)]
async fn a_file_is_no_directory_to_any_request() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/file", "abc");
    let mut client = wharf.connect().await;
    let list = client.send(request::open_dir("/file")).await;
    let none = StatusError { code: StatusCode::NoSuchFile, sentence: "this is not a directory".into() };
    assert_eq!(client.handle(list).await.unwrap_err(), none);
    assert_eq!(client.order(request::rmdir("/file")).await.unwrap_err(), none);
}

// S107: A connection has at most 256 open handles on all its channels, and …
#[tokio::test(start_paused = true)]
async fn a_connection_has_256_handles_and_a_closed_one_makes_room() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let mut handles = Vec::new();
    for _ in 0..256 {
        handles.push(client.open("/a", OpenFlags::READ).await.unwrap());
    }
    let refused = client.open("/a", OpenFlags::READ).await.unwrap_err();
    assert_eq!(refused.sentence, "too many open handles: close some first");
    let id = client.send(request::open_dir("/")).await;
    assert_eq!(client.handle(id).await.unwrap_err(), refused);
    client.close(&handles[0]).await.unwrap();
    let again = client.open("/a", OpenFlags::READ).await.unwrap();
    assert!(!handles.contains(&again), "a number is never used twice");
    assert_eq!(client.open("/none", OpenFlags::READ).await.unwrap_err(), refused);
    client.close(&again).await.unwrap();
    for _ in 0..300 {
        assert_eq!(client.open("/none", OpenFlags::READ).await.unwrap_err().code, StatusCode::NoSuchFile);
    }
    client.open("/a", OpenFlags::READ).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn handles_that_are_not_open_do_nothing() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let closed = client.open("/a", OpenFlags::READ).await.unwrap();
    client.close(&closed).await.unwrap();
    let open = client.open("/a", OpenFlags::READ).await.unwrap();
    let made_up =
        [&b""[..], b"x", &[0xff; 4], &[0; 256]].map(|raw| Handle::try_from(Bytes::copy_from_slice(raw)).unwrap());
    for handle in made_up.iter().chain([&closed]) {
        for outcome in [
            client.close(handle).await,
            client.write(handle, 0, "x").await,
            client.read(handle, 0, 1).await.map(drop),
            client.fstat(handle).await.map(drop),
            client.order(request::fset_stat(handle, Attrs::default())).await,
            client.order(request::read_dir(handle)).await,
            client.order(request::copy((&open, 0), 0, (handle, 0))).await,
        ] {
            let refused = StatusError { code: StatusCode::Failure, sentence: "this handle is not open".into() };
            assert_eq!(outcome, Err(refused), "{handle:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn handles_of_the_wrong_kind_are_refused_and_stay_open() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let reading = client.open("/a", OpenFlags::READ).await.unwrap();
    let writing = client.create("/b").await;
    let id = client.send(request::open_dir("/")).await;
    let directory = client.handle(id).await.unwrap();
    for (outcome, code) in [
        (client.write(&reading, 0, "x").await, StatusCode::PermissionDenied),
        (client.read(&writing, 0, 1).await.map(drop), StatusCode::PermissionDenied),
        (client.read(&directory, 0, 1).await.map(drop), StatusCode::Failure),
        (client.write(&directory, 0, "x").await, StatusCode::Failure),
        (client.order(request::read_dir(&reading)).await, StatusCode::Failure),
        (client.order(request::read_dir(&writing)).await, StatusCode::Failure),
        (client.order(request::copy((&reading, 0), 0, (&reading, 0))).await, StatusCode::PermissionDenied),
        (client.order(request::copy((&reading, 0), 0, (&directory, 0))).await, StatusCode::Failure),
    ] {
        assert_eq!(outcome.unwrap_err().code, code);
    }
    assert_eq!(client.fstat(&directory).await.unwrap().permissions, Some(0o40_755));
    for handle in [&reading, &writing, &directory] {
        client.close(handle).await.unwrap();
    }
}
