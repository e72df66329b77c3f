//! Storage in a directory: acknowledged objects outlive the process at whatever moment it dies. Unacknowledged data
//! doesn't.

use super::{BUCKET, S3Site, SECRET, client_of, is, pattern, refusal};
use aws_sdk_s3::{Client, primitives::ByteStream, types::CompletedPart};
use fake_aws::{AwsSettings, FakeAws, StartError, StorageKind};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};
use tokio::{sync::mpsc, task::JoinSet};

fn files(directory: &Path) -> usize {
    fs::read_dir(directory.join("data")).unwrap().count()
}

#[tokio::test]
async fn objects_outlive_the_process_and_leftovers_do_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let site = S3Site::in_directory(path).await;
    let body = pattern(5 << 20);
    let put = site.client.put_object().bucket(BUCKET).key("ü\u{1}\"'/a").body(ByteStream::from(body.clone()));
    let etag = put.metadata("mtime", "1").content_type("a/b").send().await.unwrap().e_tag;
    site.put("empty/", "").await;
    site.put("removed", "x").await;
    site.put("replaced", "old").await;
    site.put("replaced", "new").await;
    site.client.delete_object().bucket(BUCKET).key("removed").send().await.unwrap();

    let create = || site.client.create_multipart_upload().bucket(BUCKET).key("big").send();
    let (whole, open) = (create().await.unwrap().upload_id.unwrap(), create().await.unwrap().upload_id.unwrap());
    let mut parts = Vec::new();
    for (id, number) in [(&whole, 1), (&whole, 2), (&open, 1)] {
        let part = site.client.upload_part().bucket(BUCKET).key("big").upload_id(id).part_number(number);
        let part = part.body(ByteStream::from(body.clone())).send().await.unwrap();
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build());
    }
    parts.pop();
    let parts = aws_sdk_s3::types::CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let complete = site.client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(whole);
    complete.multipart_upload(parts).send().await.unwrap();
    assert_eq!(files(path), 5, "one file for each object with bytes, two for the upload, one for the open part");

    // Leftovers of a kill: a part, an interrupted body, a record before its rename.
    let leftovers = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(path.join("data")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), leftovers.path().join(entry.file_name())).unwrap();
    }
    site.s3.stop().await;
    for entry in fs::read_dir(leftovers.path()).unwrap() {
        let entry = entry.unwrap();
        let target = path.join("data").join(entry.file_name());
        if !target.exists() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
    fs::write(path.join("data/cut-short"), "half").unwrap();
    fs::write(path.join("objects").join(BUCKET).join("0123-4"), "key = ").unwrap();
    assert_eq!(files(path), 6);

    let site = S3Site::in_directory(path).await;
    assert_eq!(files(path), 4);
    let list = site.client.list_objects_v2().bucket(BUCKET).encoding_type("url".into()).send().await.unwrap();
    let keys: Vec<_> = list.contents().iter().map(|object| object.key().unwrap()).collect();
    assert_eq!(keys, ["big", "empty/", "replaced", "%C3%BC%01%22%27/a"]);
    let head = site.client.head_object().bucket(BUCKET).key("ü\u{1}\"'/a").send().await.unwrap();
    assert_eq!((head.e_tag, head.content_type.as_deref()), (etag, Some("a/b")));
    assert_eq!(head.metadata.unwrap()["mtime"], "1");
    assert_eq!(site.read("big").await, [&body[..], &body[..]].concat());
    assert_eq!(site.read("replaced").await, "new");
    assert!(site.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap().uploads().is_empty());

    site.client.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/big")).send().await.unwrap();
    site.client.delete_object().bucket(BUCKET).key("big").send().await.unwrap();
    assert_eq!(site.read("copy").await.len(), 10 << 20);
    assert_eq!(files(path), 4, "the copy has files of its own, the original's are gone");
    site.s3.stop().await;
}

#[tokio::test]
async fn a_directory_of_others_is_left_alone_and_one_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        |path: &Path| AwsSettings::one_user("AKDEMO", SECRET, &[BUCKET], StorageKind::Directory(path.to_owned()));
    fs::write(directory.path().join("thesis.txt"), "years of work").unwrap();
    assert!(matches!(FakeAws::start(settings(directory.path())).await, Err(StartError::Directory(..))));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    let own = directory.path().join("new/own");
    let first = FakeAws::start(settings(&own)).await.unwrap();
    assert!(matches!(FakeAws::start(settings(&own)).await, Err(StartError::Directory(..))));
    first.stop().await;
    FakeAws::start(settings(&own)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_bucket_that_nobody_owns_is_not_served_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let site = S3Site::in_directory(directory.path()).await;
    site.put("a", "x").await;
    site.s3.stop().await;
    let storage = StorageKind::Directory(directory.path().to_owned());
    let other = FakeAws::start(AwsSettings::one_user("AKDEMO", SECRET, &["other"], storage)).await.unwrap();
    let get = client_of(&other.address.to_string(), SECRET).get_object().bucket(BUCKET).key("a").send().await;
    assert_eq!(refusal(get), is("NoSuchBucket", 404));
    other.stop().await;
    let site = S3Site::in_directory(directory.path()).await;
    assert_eq!(site.read("a").await, "x");
    site.s3.stop().await;
}

/// Environment variable of the process that the test kills.
const KILLED: &str = "WHARFINGER_TEST_KILLED_S3";

#[tokio::test]
async fn kill_9_leaves_whole_objects_and_all_that_were_acknowledged() {
    if let Some(path) = std::env::var_os(KILLED) {
        let site = S3Site::in_directory(Path::new(&path)).await;
        println!("\naddress={}", site.s3.address);
        return std::future::pending().await;
    }
    let directory = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let mut killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "s3::durable::kill_9_leaves_whole_objects_and_all_that_were_acknowledged", "--nocapture"])
            .env(KILLED, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
        let address = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("address=").map(str::to_owned));
        let client = client_of(&address.unwrap(), SECRET);
        let mut writers = JoinSet::new();
        let (acknowledgements, mut acknowledged) = mpsc::unbounded_channel();
        for writer in 0..4 {
            writers.spawn(overwrite(client.clone(), format!("round-{round}/{writer}"), acknowledgements.clone()));
        }
        for _ in 0..20 + 7 * round {
            acknowledged.recv().await.unwrap();
        }
        killed.kill().unwrap();
        killed.wait().unwrap();

        let site = S3Site::in_directory(directory.path()).await;
        for (key, acknowledged) in writers.join_all().await {
            let Some(acknowledged) = acknowledged else { continue };
            let body = site.read(&key).await;
            let version = body[0];
            assert_eq!(body, version_of(version), "{key} is one version, whole");
            // The next version may have been stored without its answer being seen.
            assert!(version == acknowledged || version == acknowledged.wrapping_add(1), "{key} lost {acknowledged}");
        }
        site.s3.stop().await;
    }
}

/// Overwrites an object until the S3 is gone. Returns the last version that the S3 acknowledged.
async fn overwrite(client: Client, key: String, acknowledgements: mpsc::UnboundedSender<()>) -> (String, Option<u8>) {
    let mut acknowledged = None;
    for version in (0..=u8::MAX).cycle() {
        let body = ByteStream::from(version_of(version));
        if client.put_object().bucket(BUCKET).key(&key).body(body).send().await.is_err() {
            break;
        }
        acknowledged = Some(version);
        let _ = acknowledgements.send(());
    }
    (key, acknowledged)
}

fn version_of(version: u8) -> Vec<u8> {
    vec![version; (300 << 10) + usize::from(version)]
}
