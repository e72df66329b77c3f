//! The rates at which a tenant may use the server, and a figure for each of them.

/// A figure for each rate of a tenant, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateFigures<T> {
    /// The bytes of WRITEs.
    pub upload_bytes: T,
    /// The bytes of files that READs ask for.
    pub download_bytes: T,
    /// The requests of clients, READs and WRITEs aside.
    pub requests: T,
    /// The requests to S3, without retries.
    pub s3_requests: T,
    /// The new sessions.
    pub logins: T,
    /// The entries of listings.
    pub listing_entries: T,
}

/// A tenant's rates per second. `None` is no limit.
pub type RateLimits = RateFigures<Option<u64>>;
