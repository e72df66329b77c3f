//! COPY-DATA between mounts, and the permissions that it needs. The rest is in `tests/integration/session/copies.rs`.

use super::*;
use crate::testing::bucket::Moment;
use Verb::{CompleteUpload, Copy, CopyPart, CreateUpload, List, Read, UploadPart};
use futures_util::future::join_all;

const ALL_BYTES: CopyRange = CopyRange { source_offset: 0, length: None, target_offset: 0 };
const READ_AND_WRITE: [Permission; 2] = [Permission::Read, Permission::Write];

async fn copy(session: &UserTree, from: &str, to: &str) -> Result<u64> {
    let source = session.open_read(&path(from)).await?;
    let mut target = session.create(to).await;
    session.requested();
    target.copy(&source, ALL_BYTES).await?;
    target.close().await.map(|closed| closed.size)
}

// S110: COPY-DATA copies from a file that is open for reading alone to one that is open for writing, which appears at …
#[tokio::test]
async fn a_copy_needs_read_and_write() {
    let session = UserTree::with_permissions(READ_AND_WRITE.into_iter().collect());
    for (key, size) in [("acme/small", 3), ("acme/large", 9 * MIB)] {
        session.bucket.insert(key, vec![7; size]);
        assert_eq!(copy(&session, &key[4..], "/copy").await.unwrap(), size as u64);
        assert!(session.bucket.delete("acme/copy"));
    }
}

// S112: Within a mount S3 itself copies more than a part (8 MiB at first), if it goes to the end of an upload of …
#[tokio::test]
async fn from_one_mount_to_another_bytes_come_through_the_server() {
    let permissions = || READ_AND_WRITE.into_iter().collect();
    let session = UserTree::with_mounts(&[("/in", "acme/in/", permissions()), ("/out", "acme/out/", permissions())]);
    let content: Vec<u8> = (0..20 * MIB).map(|n| u8::try_from(n % 251).unwrap()).collect();
    session.bucket.insert("acme/in/a", content.clone());
    copy(&session, "/in/a", "/in/b").await.unwrap();
    let requests = session.requested();
    assert_eq!(requests.iter().filter(|verb| **verb == List).count(), 1, "of the directory");
    let requests: Vec<_> = requests.into_iter().filter(|verb| *verb != List).collect();
    assert_eq!(requests, [CreateUpload, CopyPart, CompleteUpload]);
    copy(&session, "/in/a", "/out/b").await.unwrap();
    assert_eq!((session.bucket.count(CopyPart), session.bucket.count(UploadPart)), (0, 3));
    assert!(session.bucket.count(Read) > 0);
    for key in ["acme/in/b", "acme/out/b"] {
        assert!(session.bucket.bytes(key).unwrap() == content, "{key}");
    }
}

/// A size that is set by path during a copy is set behind the whole copy. Between two pieces it would leave a hole.
#[tokio::test]
async fn a_size_that_is_set_during_a_copy_comes_after_it() {
    let permissions = || READ_AND_WRITE.into_iter().collect();
    let session = UserTree::with_mounts(&[("/in", "acme/in/", permissions()), ("/out", "acme/out/", permissions())]);
    session.bucket.insert("acme/in/a", vec![7; 20 * MIB]);
    let source = session.open_read(&path("/in/a")).await.unwrap();
    source.read(0, 1).await.unwrap();
    let mut target = session.create("/out/b").await;
    session.requested();
    let reads = session.bucket.hold(Read, Moment::Request);
    let setting = async {
        session.bucket.arrived(Read, 1).await;
        let copied = session.stat(&path("/out/b")).await.unwrap().size;
        assert!(copied > 0, "pieces were copied");
        let size = SetAttributes { size: Some(0), ..SetAttributes::default() };
        session.set_attributes(&path("/out/b"), size).await.unwrap();
        drop(reads);
    };
    let (copied, ()) = tokio::join!(target.copy(&source, ALL_BYTES), setting);
    assert_eq!(copied.unwrap(), 20 * MIB as u64);
    // A part was sent meanwhile, so the size can't be set any more, but its request was answered with OK.
    assert!(matches!(target.close().await, Err(Error::Poisoned(_))));
}

// S111: A copy is of the version of the source that was opened. If that was replaced or removed the copy fails, but …
#[tokio::test]
async fn in_a_versioned_bucket_a_copy_through_the_server_is_of_the_opened_version() {
    let bucket = Arc::new(MemoryBucket::versioned());
    let session = UserTree::on(bucket, BUDGET_BYTES);
    session.bucket.insert("acme/a", vec![1; 20 * MIB]);
    let source = session.open_read(&path("/a")).await.unwrap();
    session.bucket.insert("acme/a", vec![2; 20 * MIB]);
    let mut target = session.create("/b").await;
    target.write(0, Bytes::from_static(&[1])).await.unwrap();
    let range = CopyRange { target_offset: 1, ..ALL_BYTES };
    assert_eq!(target.copy(&source, range).await.unwrap(), 20 * MIB as u64);
    target.close().await.unwrap();
    assert!(session.bucket.bytes("acme/b").unwrap() == vec![1; 20 * MIB + 1]);
    let mut target = session.create("/c").await;
    assert!(matches!(target.copy(&source, ALL_BYTES).await, Err(Error::SourceChanged(_))));
    assert!(matches!(target.close().await, Err(Error::Poisoned(_))));
}

#[tokio::test(start_paused = true)]
async fn s3_makes_192_copies_of_a_tenant_at_once_for_uploads_and_renames_together() {
    let session = UserTree::on(Arc::default(), 300 * 5 * MIB as u64);
    session.bucket.insert("acme/a", vec![7; 9 * MIB]);
    for n in 0..40 {
        session.bucket.insert(&format!("acme/d/{n}"), "a file");
    }
    let source = session.open_read(&path("/a")).await.unwrap();
    // The copies fail, because 300 of them would take gigabytes.
    session.bucket.delete("acme/a");
    let (whole, part) = [Copy, CopyPart].map(|verb| session.bucket.hold(verb, Moment::Request)).into();
    let copying = join_all((0..300).map(async |n| {
        session.bucket.arrived(Copy, 40).await;
        let mut target = session.create(&format!("/copy {n}")).await;
        assert!(matches!(target.copy(&source, ALL_BYTES).await, Err(Error::SourceChanged(_))));
        target.discard().await;
    }));
    let counting = async {
        let mut arrived = 152;
        for more in [0, 10, 138] {
            part.release(more);
            arrived += more;
            session.bucket.arrived(CopyPart, arrived).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!((session.bucket.count(Copy), session.bucket.count(CopyPart)), (40, arrived));
        }
        drop((whole, part));
    };
    let (from, to) = (path("/d"), path("/e"));
    let renaming = session.rename(&from, &to, Replace::No);
    let (renamed, _, ()) = tokio::join!(renaming, copying, counting);
    renamed.unwrap();
    assert_eq!((session.bucket.count(CopyPart), session.bucket.open_uploads()), (300, 0));
}
