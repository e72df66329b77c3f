//! The design's table "SFTP in, S3 out": the exact requests to S3 of each row, caused by SFTP clients.

use super::{
    harness::{CREATE, SftpClient, Wharf},
    *,
};
use wharfinger::{
    sftp::wire::{Attrs, Extended, FileTimes, OpenFlags, Reply, Request, StatusCode},
    testing::bucket::Verb::{self, CompleteUpload, Copy, CreateUpload, Head, List, Put, Read, Remove, UploadPart},
};

fn code<T: std::fmt::Debug>(outcome: SftpResult<T>) -> StatusCode {
    outcome.unwrap_err().code
}

/// Stores a first file. The server looks its directory up, unless it did so within the last two seconds.
async fn know_the_directory(wharf: &Wharf, client: &mut SftpClient) {
    client.put("/first", &content(1, 0)).await.unwrap();
    let requests = wharf.requested();
    assert!(requests == [List, Put] || requests == [Put], "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_of_one_part_is_one_put() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    know_the_directory(&wharf, &mut client).await;
    for size in [0, 1, 8 * MIB] {
        let content = content(1, size);
        let handle = client.create("/a").await;
        client.write_all(&handle, 0, &content).await.unwrap();
        assert_eq!(wharf.requested(), []);
        client.close(&handle).await.unwrap();
        assert_eq!(wharf.requested(), [Put]);
        wharf.assert_stored("/a", &content);
    }
}

#[tokio::test(start_paused = true)]
async fn a_larger_file_is_its_parts_and_two() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    know_the_directory(&wharf, &mut client).await;
    for (size, parts) in [(8 * MIB + 1, vec![8 * MIB, 1]), (20 * MIB, vec![8 * MIB, 8 * MIB, 4 * MIB])] {
        let content = content(1, size);
        client.put("/a", &content).await.unwrap();
        let mut sent: Vec<_> = wharf.bucket.requests().into_iter().filter(|sent| sent.verb == UploadPart).collect();
        sent.sort_by_key(|part| part.part_number);
        assert_eq!(sent.iter().map(|part| usize::try_from(part.sent_bytes).unwrap()).collect::<Vec<_>>(), parts);
        let requests = wharf.requested();
        assert_eq!((requests.first(), requests.last()), (Some(&CreateUpload), Some(&CompleteUpload)));
        assert_eq!(requests.len(), parts.len() + 2);
        wharf.assert_stored("/a", &content);
    }
}

#[tokio::test(start_paused = true)]
async fn opening_an_upload_asks_only_where_the_flags_need_an_answer() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    know_the_directory(&wharf, &mut client).await;
    let keep = OpenFlags::WRITE | OpenFlags::CREATE;
    for (flags, asked) in [
        (CREATE, &[][..]),
        (CREATE | OpenFlags::READ, &[]),
        (keep, &[Head, List]),
        (keep | OpenFlags::EXCLUSIVE, &[Head, List]),
    ] {
        let handle = client.open("/a", flags).await.unwrap();
        assert_eq!(wharf.requested(), asked, "{flags:?}");
        client.close(&handle).await.unwrap();
        assert_eq!(wharf.requested(), [Put]);
        client.order(request::remove("/a")).await.unwrap();
        wharf.requested();
    }
    wharf.bucket.insert("acme/full", "x");
    let handle = client.open("/full", keep).await.unwrap();
    client.close(&handle).await.unwrap();
    assert_eq!(code(client.open("/full", keep | OpenFlags::EXCLUSIVE).await), StatusCode::Failure);
    assert_eq!(wharf.requested(), [Head, Head], "what nobody changed stays as it is");
}

#[tokio::test(start_paused = true)]
async fn a_small_download_is_one_get() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    wharf.bucket.insert("acme/empty", "");
    let mut client = wharf.connect().await;
    for (path, content) in [("/a", "abc"), ("/empty", "")] {
        let handle = client.open(path, OpenFlags::READ).await.unwrap();
        assert_eq!(client.fstat(&handle).await.unwrap().size, Some(content.len() as u64));
        assert_eq!(client.read_all(&handle).await.unwrap(), content);
        client.close(&handle).await.unwrap();
        assert_eq!(wharf.requested(), [Read], "{path}");
    }
    assert_eq!(code(client.open("/none", OpenFlags::READ).await), StatusCode::NoSuchFile);
    assert_eq!(wharf.requested(), [Read, List]);
}

#[tokio::test(start_paused = true)]
async fn a_large_download_is_one_get_for_each_8_mib() {
    let wharf = Wharf::start();
    let content = content(1, 20 * MIB);
    wharf.bucket.insert("acme/a", content.clone());
    let mut client = wharf.connect().await;
    assert!(client.fetch("/a").await.unwrap() == content);
    let ranges: Vec<_> = wharf.bucket.requests().into_iter().filter_map(|get| get.range).collect();
    let mib = MIB as u64;
    assert_eq!(ranges, [0..8 * mib, 8 * mib..16 * mib, 16 * mib..20 * mib]);
    assert_eq!(wharf.requested(), [Read, Read, Read]);
}

#[tokio::test(start_paused = true)]
async fn openssh_stats_before_it_opens_and_pays_one_head_more_for_a_large_file() {
    let wharf = Wharf::start();
    let content = content(1, 20 * MIB);
    wharf.bucket.insert("acme/large", content.clone());
    wharf.bucket.insert("acme/small", "abc");
    let mut client = wharf.connect().await;
    client.stat("/small").await.unwrap();
    assert_eq!(client.fetch("/small").await.unwrap(), "abc");
    assert_eq!(wharf.requested(), [Head, Read]);
    client.stat("/large").await.unwrap();
    assert!(client.fetch("/large").await.unwrap() == content);
    assert_eq!(wharf.requested(), [Head, Head, Read, Read, Read]);
}

#[tokio::test(start_paused = true)]
async fn stat_is_a_head_and_for_anything_but_a_file_a_listing() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    wharf.bucket.insert("acme/dir/x", "x");
    let mut client = wharf.connect().await;
    for forbidden in [false, true] {
        if forbidden {
            wharf.bucket.forbid_missing();
        }
        assert_eq!(client.stat("/a").await.unwrap().size, Some(3));
        assert_eq!(wharf.requested(), [Head]);
        assert_eq!(client.stat("/dir").await.unwrap().permissions, Some(0o40_755));
        assert_eq!(wharf.requested(), [Head, List]);
        assert_eq!(code(client.stat("/none").await), StatusCode::NoSuchFile);
        assert_eq!(wharf.requested(), [Head, List]);
    }
    client.stat("/").await.unwrap();
    assert_eq!(wharf.requested(), []);
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_one_request_for_a_thousand_names_in_replies_that_any_client_accepts() {
    let wharf = Wharf::start();
    for number in 0..2500 {
        wharf.bucket.insert(&format!("acme/dir/{number:04}-{}", "n".repeat(number % 200)), "x");
    }
    let mut client = wharf.connect().await;
    let replies = client.list("/dir").await.unwrap();
    assert_eq!(wharf.requested(), [List, List, List]);
    for names in &replies {
        let length = Reply::Name { id: 0, names: names.clone() }.encoded_len();
        assert!(length <= 34_000, "a READDIR reply of {length} bytes");
    }
    let mut names: Vec<_> = replies.concat().into_iter().map(|name| name.filename).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 2502);
    let length: usize = replies.iter().map(|names| Reply::Name { id: 0, names: names.clone() }.encoded_len()).sum();
    assert!(replies.len() < 2 * length / 32_768 + 4, "{} replies for {length} bytes", replies.len());
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_tree_cost_what_the_table_says() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    client.order(request::mkdir("/dir")).await.unwrap();
    assert_eq!(wharf.requested(), [List, Put]);
    client.order(request::rename("/a", "/dir/b")).await.unwrap();
    assert_eq!(wharf.requested(), [Head, List, Copy, Remove]);
    assert_eq!(code(client.order(request::rmdir("/dir")).await), StatusCode::Failure);
    assert_eq!(wharf.requested(), [List]);
    client.order(request::posix_rename("/dir/b", "/a")).await.unwrap();
    assert_eq!(wharf.requested(), [Head, List, Copy, Remove]);
    client.order(request::rmdir("/dir")).await.unwrap();
    assert_eq!(wharf.requested(), [List, Remove]);
    client.order(request::remove("/a")).await.unwrap();
    assert_eq!(wharf.requested(), [Head, Remove]);
    assert_eq!(code(client.order(request::remove("/a")).await), StatusCode::NoSuchFile);
    assert_eq!(wharf.requested(), [Head, List]);
    assert!(wharf.bucket.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_storage_need_not_know_costs_nothing() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    client.put("/a", &content(1, 3)).await.unwrap();
    wharf.requested();
    let times = Attrs { times: Some(FileTimes { accessed: 1, modified: 2 }), ..Attrs::default() };
    client.order(request::set_stat("/a", times)).await.unwrap();
    client.path(request::real_path("x/../y")).await.unwrap();
    client.path(request::extended(Extended::ExpandPath { path: "~/x".into() })).await.unwrap();
    for refused in [
        client.order(|id| Request::ReadLink { id, path: "/a".into() }).await,
        client.order(|id| Request::Symlink { id, target: "/a".into(), link: "/b".into() }).await,
    ] {
        assert_eq!(code(refused), StatusCode::OpUnsupported);
    }
    assert_eq!(wharf.requested(), []);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_disconnects_costs_one_request_at_most() {
    let wharf = Wharf::start();
    // With 14 MiB the server also stores the beginning of a part, so that the client need not send it again.
    let begun = [CreateUpload, UploadPart];
    for (size, requests) in [(MIB, vec![]), (9 * MIB, begun.into()), (14 * MIB, [&begun[..], &[UploadPart]].concat())] {
        let mut client = wharf.connect().await;
        know_the_directory(&wharf, &mut client).await;
        let handle = client.create("/a").await;
        client.write_all(&handle, 0, &content(1, size)).await.unwrap();
        client.vanish();
        run_ready_tasks().await;
        assert_eq!(wharf.requested(), requests as Vec<Verb>);
    }
    assert_eq!(wharf.bucket.keys(), ["acme/first"]);
    wharf.assert_left(1).await;
}
