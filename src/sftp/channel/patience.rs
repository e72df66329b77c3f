//! Limits the time that a READ waits for its reply's permit while WRITEs may wait behind it.
//!
//! A permit becomes free when the client reads earlier replies, which it may never do. Meanwhile the WRITEs behind the
//! READ hold memory, and once the channel's limit is reached the connection waits behind them. A READ that gets no
//! permit by then is refused.

use super::{context::ChannelContext, ended::Ended, replies::DataPermit, write_brake::WaitingWrites};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::sleep;

/// The patience of one handle's READs. They take their permits one after the other.
#[derive(Debug)]
pub(crate) struct Patience {
    writes: WaitingWrites,
    /// True if the last READ got no permit in time. Later READs then take only free permits, without waiting. The
    /// server thus waits once for a client that doesn't read, not once per READ.
    is_over: AtomicBool,
}

impl Patience {
    /// Creates the patience of a handle. `writes` wait behind its READs.
    pub(crate) fn new(writes: WaitingWrites) -> Self {
        Self { writes, is_over: AtomicBool::new(false) }
    }

    /// Waits for a permit of `bytes` on a handle that is an upload. Waits as long as a WRITE waits for upload memory,
    /// and stops when the handle's WRITEs hold up the connection. Returns `None` if it got no permit.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) async fn permit(&self, context: &ChannelContext, bytes: u32) -> Result<Option<DataPermit>, Ended> {
        self.permit_before(context, bytes, self.end(context)).await
    }

    /// Like [`permit`](Self::permit), on a handle that only reads so far. The time limit starts when a WRITE waits;
    /// until then it waits without one.
    ///
    /// # Errors
    /// The channel has ended.
    pub(crate) async fn permit_of_reader(
        &self,
        context: &ChannelContext,
        bytes: u32,
    ) -> Result<Option<DataPermit>, Ended> {
        let end = async {
            self.writes.arrival().await;
            self.end(context).await;
        };
        self.permit_before(context, bytes, end).await
    }

    async fn end(&self, context: &ChannelContext) {
        tokio::select! {
            () = sleep(context.settings.upload_wait) => {}
            () = context.write_brake.hold_up_of(&self.writes) => {}
        }
    }

    async fn permit_before(
        &self,
        context: &ChannelContext,
        bytes: u32,
        end: impl Future<Output = ()>,
    ) -> Result<Option<DataPermit>, Ended> {
        let in_vain = async {
            if !self.is_over.load(Ordering::Relaxed) {
                end.await;
            }
        };
        let permit = tokio::select! {
            biased;
            permit = context.replies.reserve(bytes) => Some(permit?),
            () = in_vain => None,
        };
        self.is_over.store(permit.is_none(), Ordering::Relaxed);
        Ok(permit)
    }
}
