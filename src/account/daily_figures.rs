//! The resources that a tenant may use up in a day, and a figure for each of them.

/// A resource with a limit per day. A day begins at 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DailyResource {
    /// The bytes of WRITEs.
    BytesWritten,
    /// The zeros that the server stores for bytes that no client wrote: holes, and sizes that were set.
    ZeroBytes,
    /// The bytes that the server copies from object to object: for RENAME, COPY-DATA and changes of stored files.
    BytesCopied,
    /// The HTTP requests to S3, retries included.
    S3Requests,
}

/// A figure for each [`DailyResource`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DailyFigures<T> {
    /// For [`DailyResource::BytesWritten`].
    pub bytes_written: T,
    /// For [`DailyResource::ZeroBytes`].
    pub zero_bytes: T,
    /// For [`DailyResource::BytesCopied`].
    pub bytes_copied: T,
    /// For [`DailyResource::S3Requests`].
    pub s3_requests: T,
}

/// A tenant's limits per day. `None` is no limit.
pub type DailyLimits = DailyFigures<Option<u64>>;

/// The amounts that a tenant has used in a day.
pub type DailyAmounts = DailyFigures<u64>;

impl<T> DailyFigures<T> {
    /// Returns the figure for `resource`.
    pub(crate) const fn of(&self, resource: DailyResource) -> &T {
        match resource {
            DailyResource::BytesWritten => &self.bytes_written,
            DailyResource::ZeroBytes => &self.zero_bytes,
            DailyResource::BytesCopied => &self.bytes_copied,
            DailyResource::S3Requests => &self.s3_requests,
        }
    }

    /// Returns the figure for `resource`, to be changed.
    pub(crate) const fn of_mut(&mut self, resource: DailyResource) -> &mut T {
        match resource {
            DailyResource::BytesWritten => &mut self.bytes_written,
            DailyResource::ZeroBytes => &mut self.zero_bytes,
            DailyResource::BytesCopied => &mut self.bytes_copied,
            DailyResource::S3Requests => &mut self.s3_requests,
        }
    }
}

impl DailyAmounts {
    /// Adds other amounts.
    pub(crate) const fn add(&mut self, other: &Self) {
        self.bytes_written = self.bytes_written.saturating_add(other.bytes_written);
        self.zero_bytes = self.zero_bytes.saturating_add(other.zero_bytes);
        self.bytes_copied = self.bytes_copied.saturating_add(other.bytes_copied);
        self.s3_requests = self.s3_requests.saturating_add(other.s3_requests);
    }
}

impl DailyLimits {
    /// True if at least one resource has a limit.
    pub(crate) const fn is_any_set(&self) -> bool {
        self.bytes_written.is_some()
            || self.zero_bytes.is_some()
            || self.bytes_copied.is_some()
            || self.s3_requests.is_some()
    }
}
