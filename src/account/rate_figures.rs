//! The rates at which a tenant, its users and their sessions may use the server, and a figure for each of them.

/// A figure for each rate, per second.
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

impl<T> RateFigures<T> {
    /// Combines each figure with the one of `other`.
    pub(crate) fn zip_with<U, V>(self, other: RateFigures<U>, combine: impl Fn(T, U) -> V) -> RateFigures<V> {
        RateFigures {
            upload_bytes: combine(self.upload_bytes, other.upload_bytes),
            download_bytes: combine(self.download_bytes, other.download_bytes),
            requests: combine(self.requests, other.requests),
            s3_requests: combine(self.s3_requests, other.s3_requests),
            logins: combine(self.logins, other.logins),
            listing_entries: combine(self.listing_entries, other.listing_entries),
        }
    }

    /// The figures by reference.
    pub(crate) fn each(&self) -> RateFigures<&T> {
        let Self { upload_bytes, download_bytes, requests, s3_requests, logins, listing_entries } = self;
        RateFigures { upload_bytes, download_bytes, requests, s3_requests, logins, listing_entries }
    }
}

/// Rates per second. `None` is no limit.
pub type RateLimits = RateFigures<Option<u64>>;

/// The rates of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantRates {
    /// The rates of all users of the tenant together.
    pub together: RateLimits,
    /// The rates of each user, with all of its sessions.
    pub each_user: RateLimits,
    /// The rates of each session. Logins have none.
    pub each_session: RateLimits,
}
