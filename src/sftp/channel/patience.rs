//! How long a READ waits for the permit of its reply, where WRITEs may wait behind it.
//!
//! A permit is free when the client has read earlier replies, which it may never do. The WRITEs behind the READ hold
//! memory meanwhile, and once they are as many as a channel may have waiting the connection waits behind them. A READ
//! that can't have its permit by then is refused.

use super::{
    Ended,
    context::Context,
    intake::WaitingWrites,
    replies::{DataPermit, Lane},
};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::sleep;

/// The patience of one handle's READs, which take their permits one after the other.
#[derive(Debug)]
pub struct Patience {
    lane: Lane,
    writes: WaitingWrites,
    /// True if the last READ waited in vain: the next ones get what is free at once. A client that doesn't read is waited
    /// for once, however many READs it has sent.
    is_over: AtomicBool,
}

impl Patience {
    /// That of a handle behind whose READs these WRITEs wait.
    pub fn new(writes: WaitingWrites) -> Self {
        Self { lane: Lane::new(), writes, is_over: AtomicBool::new(false) }
    }

    /// The right of the handle to have a reply under way.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Waits for a permit of `bytes` on a handle that is an upload: as long as an OPEN waits for upload memory, and not
    /// once its WRITEs hold up the connection. `None` in vain.
    ///
    /// # Errors
    /// When the channel has ended.
    pub async fn permit(&self, context: &Context, bytes: u32) -> Result<Option<DataPermit>, Ended> {
        self.permit_before(context, bytes, self.end(context)).await
    }

    /// The same on a handle that is only read so far: while no WRITE waits it waits as long as it takes.
    ///
    /// # Errors
    /// When the channel has ended.
    pub async fn permit_of_reader(&self, context: &Context, bytes: u32) -> Result<Option<DataPermit>, Ended> {
        let end = async {
            self.writes.arrival().await;
            self.end(context).await;
        };
        self.permit_before(context, bytes, end).await
    }

    async fn end(&self, context: &Context) {
        tokio::select! {
            () = sleep(context.settings.upload_wait) => {}
            () = context.intake.held_up_by(&self.writes) => {}
        }
    }

    async fn permit_before(
        &self,
        context: &Context,
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
            permit = context.replies.reserve(bytes, &self.lane) => Some(permit?),
            () = in_vain => None,
        };
        self.is_over.store(permit.is_none(), Ordering::Relaxed);
        Ok(permit)
    }
}
