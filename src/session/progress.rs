//! The bytes of channels and of open files so far, which the registry shows to operators.

use crate::{
    clock::{Clock as _, SystemClock},
    events::{Transfer, TransferredObject},
    name::{TransferId, VirtualPath},
    vfs::UploadPath,
};
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use time::OffsetDateTime;

/// Counts bytes of a channel, and adds them to the counts of its whole session.
#[derive(Debug, Default)]
pub struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    whole: Option<Arc<Self>>,
}

impl Traffic {
    /// Creates counters that also add to `whole`.
    pub(super) fn part_of(whole: Arc<Self>) -> Self {
        Self { whole: Some(whole), ..Self::default() }
    }

    /// Counts bytes from the client.
    pub fn count_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_received(bytes);
        }
    }

    /// Counts bytes that the server passed to the client's connection.
    pub fn count_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.count_sent(bytes);
        }
    }

    /// Returns the number of bytes from the client.
    #[must_use]
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that the server passed to the client's connection.
    #[must_use]
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// An open file, as shown to an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenTransferInfo {
    /// The client's path: for an upload, the path under which the file will appear. Not escaped: the client chose it.
    pub path: String,
    /// The direction of the transfer.
    pub transfer: Transfer,
    /// The time of the OPEN.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) since: OffsetDateTime,
    /// The bytes of content that this session has transferred so far. For an upload they include the bytes of
    /// COPY-DATA, which the record of the end leaves out.
    pub bytes: u64,
    /// The bytes that an earlier session uploaded, if the client resumes its upload. They are not in `bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_bytes: Option<u64>,
    /// The size of a file that the client reads, in bytes. The size of an upload is unknown before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// A file that the client reads.
#[derive(Debug)]
pub(super) struct DownloadPath {
    pub(super) transfer_id: TransferId,
    pub(super) path: VirtualPath,
    /// The size of the file, in bytes.
    pub(super) size: u64,
    pub(super) object: TransferredObject,
}

/// The path of a transfer, and its direction.
#[derive(Debug)]
pub(super) enum TransferPath {
    /// A file that the client reads.
    Download(Box<DownloadPath>),
    /// A file that the client writes. RENAME may change the path before the CLOSE.
    Upload(UploadPath),
}

impl TransferPath {
    pub(super) fn current(&self) -> VirtualPath {
        match self {
            Self::Download(download) => download.path.clone(),
            Self::Upload(path) => path.current(),
        }
    }

    fn transfer_id(&self) -> TransferId {
        match self {
            Self::Download(download) => download.transfer_id,
            Self::Upload(path) => path.transfer_id(),
        }
    }

    fn direction(&self) -> Transfer {
        match self {
            Self::Download(_) => Transfer::Download,
            Self::Upload(_) => Transfer::Upload,
        }
    }

    /// Returns the size of a file that the client reads. The size of an upload is unknown before its end.
    fn size(&self) -> Option<u64> {
        match self {
            Self::Download(download) => Some(download.size),
            Self::Upload(_) => None,
        }
    }
}

/// The progress of an open file, which the registry shows.
#[derive(Debug)]
pub(super) struct TransferProgress {
    path: TransferPath,
    since: OffsetDateTime,
    /// The bytes sent to the client or received from it.
    bytes: AtomicU64,
    /// The bytes copied into the file.
    copied_bytes: AtomicU64,
    resumed_bytes: AtomicU64,
}

impl TransferProgress {
    pub(super) fn new(path: TransferPath) -> Self {
        let (bytes, copied_bytes, resumed_bytes) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { path, since: OffsetDateTime::from(SystemClock.now()), bytes, copied_bytes, resumed_bytes }
    }

    /// Counts bytes that the client sent or received.
    pub(super) fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that were copied into the file.
    pub(super) fn count_copied(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Sets the number of bytes that an earlier session uploaded.
    pub(super) fn set_resumed(&self, bytes: u64) {
        self.resumed_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Returns the client's path, as records have it.
    pub(super) fn path(&self) -> String {
        self.path.current().as_str().to_owned()
    }

    pub(super) fn direction(&self) -> Transfer {
        self.path.direction()
    }

    pub(super) fn transfer_id(&self) -> TransferId {
        self.path.transfer_id()
    }

    /// Returns the object that the client reads. `None` for an upload.
    pub(super) fn read_object(&self) -> Option<&TransferredObject> {
        match &self.path {
            TransferPath::Download(download) => Some(&download.object),
            TransferPath::Upload(_) => None,
        }
    }

    /// Returns the number of bytes that the client sent or received.
    pub(super) fn client_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn info(&self) -> OpenTransferInfo {
        OpenTransferInfo {
            path: self.path(),
            transfer: self.direction(),
            since: self.since,
            bytes: self.client_bytes().saturating_add(self.copied_bytes.load(Ordering::Relaxed)),
            resumed_bytes: Some(self.resumed_bytes.load(Ordering::Relaxed)).filter(|bytes| *bytes > 0),
            size: self.path.size(),
        }
    }
}
