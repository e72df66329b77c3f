//! The reason why an upload failed, in the engine's words.

use crate::{journal::JournalDown, memory::BudgetExhausted, policy::DailyLimitReached, store};

/// The reason why an upload, or one step of it, failed. Messages are for the operator's log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UploadError {
    /// A write to bytes that were already sent to S3.
    #[error("bytes before offset {shipped} are already stored and can't be written again")]
    AlreadyShipped {
        /// The first offset that can still be written.
        shipped: u64,
    },
    /// A write so far behind the end that the hole would exceed the limit.
    #[error("a hole of more than {limit} bytes")]
    HoleTooLarge {
        /// The largest hole, in bytes.
        limit: u64,
    },
    /// The file is larger than the tenant allows.
    #[error("larger than the limit of {limit} bytes")]
    TooLarge {
        /// `max_object_bytes`.
        limit: u64,
    },
    /// Bytes are missing behind those that were stored before the upload was interrupted.
    #[error("bytes are missing behind those that were stored before the upload was cut off")]
    Gap,
    /// An earlier write failed, so nothing of this upload will be published.
    #[error("an earlier write of this upload failed: {0}")]
    Poisoned(String),
    /// Another session has the lease on the upload, or had it a moment ago.
    #[error("the upload that was cut off is held by another session")]
    Leased,
    /// No other upload returned the memory that writes out of order need.
    #[error(transparent)]
    Busy(#[from] BudgetExhausted),
    /// An upload can be resumed only with the journal, and the journal is down.
    #[error(transparent)]
    Journal(#[from] JournalDown),
    /// The tenant has used up what it may use today.
    #[error(transparent)]
    DailyLimit(#[from] DailyLimitReached),
    /// A request to S3 failed.
    #[error(transparent)]
    Storage(#[from] store::Error),
}

/// The result of a step of an upload.
pub(super) type Result<T, E = UploadError> = std::result::Result<T, E>;
