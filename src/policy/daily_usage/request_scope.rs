//! Requests to S3 that are not refused when their tenant's day has none left, because something that has begun must end:
//! the CLOSE of a file whose WRITEs were answered, the second half of a RENAME, an abort, a repair.

use super::{DailyLimitReached, DayCharge, TenantUsage};
use crate::account::DailyResource;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

tokio::task_local! {
    static SCOPE: RequestScope;
}

/// A scope of a task in which no request is refused. It may have charged requests beforehand. Further ones count, even
/// beyond the limit. Tasks that it spawns are outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestScope(Option<Arc<ReservedRequests>>);

/// Requests that are charged and not sent yet. Dropping it gives them back.
#[derive(Debug)]
struct ReservedRequests {
    usage: Arc<TenantUsage>,
    charge: DayCharge,
    left: AtomicU64,
    /// The bytes that S3 was asked to copy.
    copied_bytes: AtomicU64,
}

impl RequestScope {
    /// Charges `requests` of a tenant.
    ///
    /// # Errors
    /// [`DailyLimitReached`], which charges nothing.
    pub(crate) fn reserve(usage: &Arc<TenantUsage>, requests: u64) -> Result<Self, DailyLimitReached> {
        let charge = usage.charge(DailyResource::S3Requests, requests)?;
        let (usage, left, copied_bytes) = (Arc::clone(usage), AtomicU64::new(requests), AtomicU64::new(0));
        Ok(Self(Some(Arc::new(ReservedRequests { usage, charge, left, copied_bytes }))))
    }

    /// Notes that S3 is asked to copy `bytes`. No effect outside of a scope that has charged requests.
    pub(crate) fn note_copy(bytes: u64) {
        let note = |scope: &Self| {
            if let Some(reserved) = &scope.0 {
                reserved.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        };
        // An error means that the task has no scope.
        let _ = SCOPE.try_with(note);
    }

    /// The bytes that S3 was asked to copy in the scope.
    pub(crate) fn copied_bytes(&self) -> u64 {
        self.0.as_ref().map_or(0, |reserved| reserved.copied_bytes.load(Ordering::Relaxed))
    }

    /// Runs `future` in the scope.
    pub(crate) async fn run<T>(self, future: impl Future<Output = T>) -> T {
        SCOPE.scope(self, future).await
    }

    /// True in [`must_end`], whose requests no rate may delay.
    pub(crate) fn is_of_must_end() -> bool {
        SCOPE.try_with(|scope| scope.0.is_none()).unwrap_or(false)
    }

    /// Takes one of the requests that the present task's scope has charged. `Some(false)` if it has none left, `None`
    /// outside of a scope.
    pub(super) fn take_reserved() -> Option<bool> {
        let take = |reserved: &Arc<ReservedRequests>| {
            let less = |left: u64| left.checked_sub(1);
            reserved.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        };
        SCOPE.try_with(|scope| scope.0.as_ref().is_some_and(take)).ok()
    }
}

/// Runs `future`, whose requests count and aren't refused. Nor does a rate of the tenant delay them: maintenance serves one
/// tenant after the other.
pub(crate) async fn must_end<T>(future: impl Future<Output = T>) -> T {
    RequestScope::default().run(future).await
}

impl Drop for ReservedRequests {
    fn drop(&mut self) {
        self.usage.give_back(DailyResource::S3Requests, &mut self.charge, *self.left.get_mut());
    }
}
