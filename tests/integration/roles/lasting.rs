//! Transfers survive expired credentials and failures of STS.

use super::{CancellationToken, Demo, JoinHandle, KeyFile, Sftp, SocketAddr, demo::Watch};
use fake_aws::Failure;
use russh_sftp::{
    client::error::Error,
    protocol::{FileAttributes, OpenFlags},
};
use std::time::Duration;

/// Lifetime of sessions in these tests. The server renews credentials after three quarters of it.
const LIFETIME: Duration = Duration::from_secs(4);
/// Further AssumeRole requests after which the earlier credentials have expired.
const RENEWALS: u64 = 2;
const PART_BYTES: usize = 8 << 20;
const PIECE_BYTES: u32 = 128 << 10;

/// The demo, with alice logged in.
struct Tenancy {
    sftp: Sftp,
    watch: Watch,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Tenancy {
    async fn begin() -> Self {
        let key = KeyFile::new();
        let demo = Demo::start(0, None, &[key.public()]).await.unwrap();
        let (address, watch): (SocketAddr, _) = (demo.address(), Watch::of(&demo));
        watch.s3().set_session_lifetime(Some(LIFETIME));
        let stop = CancellationToken::new();
        let running = tokio::spawn(demo.run(stop.clone(), stop.clone()));
        Self { sftp: Sftp::connect(address, "alice", &key).await, watch, stop, running }
    }

    async fn open(&self, flags: OpenFlags) -> String {
        self.sftp.open("/file", flags, FileAttributes::empty()).await.unwrap().handle
    }

    async fn create(&self) -> String {
        self.open(OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE).await
    }

    async fn write(&self, handle: &str, part: usize) {
        for (index, piece) in content(part).chunks(PIECE_BYTES as usize).enumerate() {
            let offset = (part * PART_BYTES) as u64 + index as u64 * u64::from(PIECE_BYTES);
            self.sftp.write(handle, offset, piece.to_vec()).await.unwrap();
        }
    }

    async fn read(&self, handle: &str, part: usize) {
        for (index, piece) in content(part).chunks(PIECE_BYTES as usize).enumerate() {
            let offset = (part * PART_BYTES) as u64 + index as u64 * u64::from(PIECE_BYTES);
            let read = self.sftp.read(handle, offset, PIECE_BYTES).await.unwrap();
            assert!(read.data == piece, "at {offset}");
        }
    }

    /// Sends requests until the present credentials have expired.
    async fn expire(&self) {
        let wanted = self.watch.requests("AssumeRole") + RENEWALS;
        while self.watch.requests("AssumeRole") < wanted {
            assert!(matches!(self.sftp.stat("/missing").await, Err(Error::Status(_))));
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

/// Content of a part. It differs from the content of other parts.
fn content(part: usize) -> Vec<u8> {
    format!("part {part}, and no other; ").into_bytes().into_iter().cycle().take(PART_BYTES).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_in_mid_upload_and_mid_download_stop_neither() {
    let tenancy = Tenancy::begin().await;
    let upload = tenancy.create().await;
    for part in 0..3 {
        tenancy.write(&upload, part).await;
        tenancy.expire().await;
    }
    tenancy.sftp.close(upload).await.unwrap();
    // The file is larger than the prefetch of a reader that seeks, so each part is fetched only when it is read.
    let download = tenancy.open(OpenFlags::READ).await;
    for part in [2, 0, 1] {
        tenancy.read(&download, part).await;
        tenancy.expire().await;
    }
    tenancy.sftp.close(download).await.unwrap();
    tenancy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_s3_ends_are_replaced_in_mid_transfer() {
    let tenancy = Tenancy::begin().await;
    tenancy.watch.s3().set_session_lifetime(None);
    let upload = tenancy.create().await;
    for part in 0..3 {
        tenancy.write(&upload, part).await;
        tenancy.watch.s3().end_sessions();
        assert!(matches!(tenancy.sftp.stat("/missing").await, Err(Error::Status(_))));
    }
    tenancy.sftp.close(upload).await.unwrap();
    let download = tenancy.open(OpenFlags::READ).await;
    for part in [2, 0, 1] {
        tenancy.watch.s3().end_sessions();
        tenancy.read(&download, part).await;
    }
    tenancy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sts_that_asks_to_slow_down_is_survived() {
    let tenancy = Tenancy::begin().await;
    // The first request gets the error, and the SDK's retries outlast it.
    tenancy.watch.s3().fail("AssumeRole", Failure::SlowDown, 3);
    let upload = tenancy.create().await;
    tenancy.write(&upload, 0).await;
    assert_eq!(tenancy.watch.requests("AssumeRole"), 4);
    // A failed renewal has no effect while the credentials are valid.
    tenancy.watch.s3().fail("AssumeRole", Failure::AccessDenied, 1);
    tenancy.expire().await;
    tenancy.write(&upload, 1).await;
    tenancy.sftp.close(upload).await.unwrap();
    let download = tenancy.open(OpenFlags::READ).await;
    tenancy.read(&download, 1).await;
    tenancy.end().await;
}
