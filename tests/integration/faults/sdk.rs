//! The same promises on the demo's S3, through the real SDK with its own retries.

use super::operation::{OperationAnswer, VfsOperation};
use crate::support::{scope, tree::tree};
use fake_aws::{AwsSettings, Failure, FakeAws, StorageKind};
use std::sync::Arc;
use wharfinger::{
    account::Permissions,
    journal::MemoryJournal,
    memory::Budget,
    name::VirtualPath,
    vfs::{Error, Vfs},
};

const MIB: usize = 1 << 20;
/// More than the SDK's attempts.
const ALWAYS: u64 = 100;

async fn start() -> (FakeAws, Vfs) {
    let storage = StorageKind::Memory { max_bytes: 64 << 20 };
    let s3 = FakeAws::start(AwsSettings::one_user("AKDEMO", "a-secret", &["vendor"], storage)).await.unwrap();
    let storage = scope::storage("vendor", &format!("http://{}", s3.address), "AKDEMO", "a-secret");
    let bucket = scope::bucket(storage, "acme/").await;
    let (budget, journal) = (Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
    let vfs = tree("alice", Permissions::ALL, bucket, &budget, &journal);
    (s3, vfs)
}

async fn names(vfs: &Vfs) -> Vec<String> {
    let OperationAnswer::Names(names) = VfsOperation::List.run(vfs).await.unwrap() else { panic!() };
    names.into_iter().filter(|name| !name.starts_with('.')).collect()
}

#[tokio::test]
async fn what_fails_once_is_tried_again_and_nobody_notices() {
    let (s3, vfs) = start().await;
    let operations = ["PutObject", "HeadObject", "GetObject", "ListObjectsV2", "CopyObject", "DeleteObject"];
    for (index, operation) in operations.into_iter().enumerate() {
        s3.fail(operation, if index % 2 == 0 { Failure::SlowDown } else { Failure::InternalError }, 1);
    }
    for parts in ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] {
        s3.fail(parts, Failure::InternalError, 1);
    }
    VfsOperation::Overwrite { size: 3 }.run(&vfs).await.unwrap();
    VfsOperation::Upload { size: 9 * MIB, exclusive: true }.run(&vfs).await.unwrap();
    let OperationAnswer::Bytes(bytes) = VfsOperation::Download("/new").run(&vfs).await.unwrap() else { panic!() };
    assert!(bytes.len() == 9 * MIB && bytes.iter().all(|byte| *byte == b'n'));
    VfsOperation::Rename.run(&vfs).await.unwrap();
    assert_eq!(names(&vfs).await, ["moved", "new"]);
    s3.stop().await;
}

#[tokio::test]
async fn what_fails_for_good_is_told_and_leaves_nothing_half_done() {
    let (s3, vfs) = start().await;
    for (operation, size) in [("PutObject", 3), ("CreateMultipartUpload", 9 * MIB), ("UploadPart", 9 * MIB)] {
        s3.fail(operation, Failure::AccessDenied, ALWAYS);
        let error = VfsOperation::Upload { size, exclusive: false }.run(&vfs).await.unwrap_err();
        assert!(matches!(error, Error::Forbidden(_) | Error::Poisoned(_)), "{operation}: {error:?}");
        s3.fail(operation, Failure::AccessDenied, 0);
        assert_eq!(names(&vfs).await, [] as [&str; 0], "{operation}");
    }
    s3.fail("CompleteMultipartUpload", Failure::SlowDown, ALWAYS);
    let error = VfsOperation::Upload { size: 9 * MIB, exclusive: false }.run(&vfs).await.unwrap_err();
    assert_eq!(error.to_string(), "the storage is overloaded, try again later");
    s3.fail("CompleteMultipartUpload", Failure::SlowDown, 0);
    assert_eq!(names(&vfs).await, [] as [&str; 0]);
    let requests = s3.requests();
    assert_eq!(requests.get("AbortMultipartUpload"), Some(&1), "the one that lost its first part: {requests:?}");
    assert_eq!(
        vfs.stat(&VirtualPath::parse(b"/new").unwrap()).await.unwrap().size,
        8 * MIB as u64,
        "the other can go on"
    );
    let refused = VfsOperation::Upload { size: 3, exclusive: false }.run(&vfs).await.unwrap_err();
    assert!(matches!(refused, Error::StorageFails(_)), "{refused:?}");
    // A stored marker shows that the storage works again.
    VfsOperation::Mkdir.run(&vfs).await.unwrap();
    VfsOperation::Upload { size: 9 * MIB, exclusive: true }.run(&vfs).await.unwrap();
    assert_eq!(names(&vfs).await, ["made", "new"]);
    s3.stop().await;
}
