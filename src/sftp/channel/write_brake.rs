//! The memory of WRITEs that have arrived and wait for their upload.
//!
//! The first brake on an upload is late answers to its WRITEs: clients keep a bounded number of WRITEs in flight
//! (OpenSSH 64 of 255 KiB). If a client doesn't stop, or the process has no memory left, [`WriteBrake::admit`] waits,
//! and the whole connection waits with it. It waits only for uploads to take their bytes, which depends on storage
//! alone. It never waits for the client to read a reply, nor for a queue that this channel drains. A READ before WRITEs
//! learns from [`WriteBrake::hold_up_of`] that the connection would wait for it.

use super::ended::Ended;
use crate::{
    memory::{Charge, ConnectionMemory, RequestCharge, TenantMemory},
    session::Activity,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

/// The bytes of WRITEs that may wait on a channel while the process has memory: more than OpenSSH's 64 times 255 KiB.
const MAX_WAITING_BYTES: u32 = 24 << 20;
/// The bytes that may wait on a channel when the process has no memory: at least one WRITE of the maximum size.
const CHANNEL_BYTES: u32 = 512 << 10;
/// The memory of a waiting WRITE beside its data, so that WRITEs of one byte are bounded too.
const OVERHEAD_BYTES: u32 = 128;
/// The time without progress of any upload after which the server ends the channel. Well below any idle time-out.
const STALL: Duration = Duration::from_mins(1);

/// The brake on one channel's WRITEs.
#[derive(Debug)]
pub(crate) struct WriteBrake {
    memory: TenantMemory,
    of_connection: Arc<ConnectionMemory>,
    activity: Arc<Activity>,
    waiting: Arc<Semaphore>,
    channel_bytes: Arc<Semaphore>,
    /// True while the connection waits for upload memory.
    holds_up: watch::Sender<bool>,
}

impl WriteBrake {
    /// Creates the brake of a channel. It charges `memory`, or that of the connection, and reports progress to the
    /// connection's `activity`.
    pub(crate) fn new(memory: TenantMemory, of_connection: Arc<ConnectionMemory>, activity: Arc<Activity>) -> Self {
        Self {
            memory,
            of_connection,
            activity,
            waiting: Arc::new(Semaphore::new(MAX_WAITING_BYTES as usize)),
            channel_bytes: Arc::new(Semaphore::new(CHANNEL_BYTES as usize)),
            holds_up: watch::Sender::default(),
        }
    }

    /// Waits until a WRITE of `bytes` may queue behind the other WRITEs of its handle. Its frame may have a `charge`, of
    /// the tenant or of the connection.
    ///
    /// # Errors
    /// Uploads took no bytes for a minute.
    pub(crate) async fn admit(
        &self,
        bytes: usize,
        (charge, of_connection): (Option<Charge>, Option<RequestCharge>),
        handle: &WaitingWrites,
    ) -> Result<Load, Ended> {
        let load = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(OVERHEAD_BYTES).min(CHANNEL_BYTES);
        if let Ok(permit) = Arc::clone(&self.waiting).try_acquire_many_owned(load)
            && let Some(charge) = charge.or_else(|| self.memory.charge(u64::from(load)))
        {
            return Ok(Load::new(permit, Some(charge), handle));
        }
        if let Ok(permit) = Arc::clone(&self.channel_bytes).try_acquire_many_owned(load) {
            return self.load_of_connection(permit, load, of_connection, handle);
        }
        let _hold = (self.activity.hold(), HoldUp::begin(&self.holds_up));
        let permit = timeout(STALL, Arc::clone(&self.channel_bytes).acquire_many_owned(load))
            .await
            .map_err(|_| Ended::UploadStalled)?
            .map_err(|_| Ended::ClientGone)?;
        self.load_of_connection(permit, load, of_connection, handle)
    }

    /// The load of a WRITE whose tenant has no memory.
    fn load_of_connection(
        &self,
        permit: OwnedSemaphorePermit,
        bytes: u32,
        of_connection: Option<RequestCharge>,
        handle: &WaitingWrites,
    ) -> Result<Load, Ended> {
        let mut charge = of_connection.unwrap_or_else(|| self.of_connection.take(0));
        charge.set(u64::from(bytes));
        if self.of_connection.must_end() {
            return Err(Ended::OutOfMemory);
        }
        let mut load = Load::new(permit, None, handle);
        load.of_connection = Some(charge);
        Ok(load)
    }

    /// Waits until the connection is held up while WRITEs of this handle wait. No WRITE can arrive during a hold-up, so
    /// a look at its beginning is enough.
    pub(crate) async fn hold_up_of(&self, handle: &WaitingWrites) {
        let mut holds_up = self.holds_up.subscribe();
        while !(*holds_up.borrow_and_update() && handle.any()) {
            if holds_up.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Marks the connection as held up until it is dropped.
struct HoldUp<'a>(&'a watch::Sender<bool>);

impl<'a> HoldUp<'a> {
    fn begin(holds_up: &'a watch::Sender<bool>) -> Self {
        holds_up.send_replace(true);
        Self(holds_up)
    }
}

impl Drop for HoldUp<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

/// Counts the WRITEs of one handle that wait for their upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingWrites(watch::Sender<usize>);

impl WaitingWrites {
    /// Waits until at least one WRITE waits.
    pub(crate) async fn arrival(&self) {
        // The wait fails only if no sender is left, and then no handle can send a WRITE.
        let _ = self.0.subscribe().wait_for(|writes| *writes > 0).await;
    }

    fn any(&self) -> bool {
        *self.0.borrow() > 0
    }
}

/// The memory of one waiting WRITE. Dropped once its upload has taken the bytes.
#[derive(Debug)]
pub(crate) struct Load {
    _permit: OwnedSemaphorePermit,
    _charge: Option<Charge>,
    /// It has this if there is no memory.
    of_connection: Option<RequestCharge>,
    waiting: WaitingWrites,
}

impl Load {
    fn new(permit: OwnedSemaphorePermit, charge: Option<Charge>, waiting: &WaitingWrites) -> Self {
        waiting.0.send_modify(|writes| *writes += 1);
        Self { _permit: permit, _charge: charge, of_connection: None, waiting: waiting.clone() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.waiting.0.send_modify(|writes| *writes = writes.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;

    fn brake(budget: &Arc<Budget>) -> WriteBrake {
        let tenant = "acme".parse().unwrap();
        WriteBrake::new(budget.of(&tenant), budget.connection(&tenant), Activity::new())
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_a_channel_has_its_own_bytes_and_then_waits() {
        let budget = Budget::new(1 << 20);
        let (write_brake, writes) = (brake(&budget), WaitingWrites::default());
        let all = write_brake.memory.charge(15 << 16).unwrap();
        let requests = || budget.usage(0).requests;
        let first = write_brake.admit(261_120, (None, None), &writes).await.unwrap();
        let _second = write_brake.admit(261_120, (None, None), &writes).await.unwrap();
        // Two WRITEs with their overhead are not quite eight steps.
        assert_eq!(requests(), 7 << 16);
        assert!(matches!(write_brake.admit(261_120, (None, None), &writes).await, Err(Ended::UploadStalled)));
        assert_eq!(requests(), 7 << 16);
        drop(first);
        let _third = write_brake.admit(261_120, (None, None), &writes).await.unwrap();
        drop(all);
        let _fourth = write_brake.admit(261_120, (None, None), &writes).await.unwrap();
        assert_eq!(requests(), 7 << 16, "the fourth has memory of its tenant");
    }

    #[tokio::test(start_paused = true)]
    async fn writes_of_one_byte_are_bounded_too() {
        let (write_brake, writes) = (brake(&Budget::new(1 << 30)), WaitingWrites::default());
        let mut loads = Vec::new();
        while let Ok(Ok(load)) = timeout(Duration::from_secs(1), write_brake.admit(1, (None, None), &writes)).await {
            loads.push(load);
        }
        assert!(loads.len() <= ((MAX_WAITING_BYTES + CHANNEL_BYTES) / OVERHEAD_BYTES) as usize);
    }
}
