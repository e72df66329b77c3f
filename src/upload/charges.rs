//! The bytes that an upload charges to its tenant's day before it takes them in: those that the client writes, the zeros
//! of holes, and the bytes of older objects that are copied into the file.
//!
//! Holes and copies are charged when a WRITE or a size makes them possible, so that no CLOSE is refused. The upload
//! gives back holes that are filled, and copies that weren't needed.

use super::error::Result;
use crate::{
    account::DailyResource,
    policy::{DayCharge, RequestScope, TenantUsage},
};
use std::sync::Arc;

/// The charges of one upload. Dropping it gives back copies that weren't made, and holes that were never sent.
#[derive(Debug)]
pub(super) struct UploadCharges {
    pub(super) usage: Arc<TenantUsage>,
    holes: DayCharge,
    /// True once bytes were sent to S3, and holes with them.
    pub(super) is_sent: bool,
    /// The older object that a change may copy, as long as nothing tells how much of it.
    copies: DayCharge,
    is_change_charged: bool,
}

impl UploadCharges {
    pub(super) fn new(usage: &Arc<TenantUsage>) -> Self {
        let (holes, copies) = Default::default();
        Self { usage: Arc::clone(usage), holes, is_sent: false, copies, is_change_charged: false }
    }

    /// Charges the bytes of a WRITE.
    pub(super) fn written(&self, bytes: u64) -> Result<()> {
        Ok(self.usage.charge_write(bytes)?)
    }

    /// Charges bytes that COPY-DATA copies.
    pub(super) fn copied(&self, bytes: u64) -> Result<()> {
        self.usage.demand_requests()?;
        self.usage.charge(DailyResource::BytesCopied, bytes)?;
        Ok(())
    }

    /// Charges requests for copies, which the scope then doesn't refuse.
    pub(super) fn reserve_requests(&self, requests: u64) -> Result<RequestScope> {
        Ok(RequestScope::reserve(&self.usage, requests)?)
    }

    /// Charges all `bytes` of the older object, once, before its first change.
    pub(super) fn changes(&mut self, bytes: u64) -> Result<()> {
        if !self.is_change_charged {
            self.copies = self.usage.charge(DailyResource::BytesCopied, bytes)?;
            self.is_change_charged = true;
        }
        Ok(())
    }

    /// Notes that bytes of the older object were copied, or read back to be sent again.
    pub(super) fn note_copied(&mut self, bytes: u64) {
        self.copies.spend(bytes);
    }

    /// Charges the bytes of a hole.
    pub(super) fn hole(&mut self, bytes: u64) -> Result<()> {
        self.holes.add(self.usage.charge(DailyResource::ZeroBytes, bytes)?);
        Ok(())
    }

    /// Gives back bytes of holes that the client filled, or that a smaller size removed.
    pub(super) fn fill_hole(&mut self, bytes: u64) {
        self.usage.give_back(DailyResource::ZeroBytes, &mut self.holes, bytes);
    }
}

impl Drop for UploadCharges {
    fn drop(&mut self) {
        self.usage.give_back(DailyResource::BytesCopied, &mut self.copies, u64::MAX);
        if !self.is_sent {
            self.usage.give_back(DailyResource::ZeroBytes, &mut self.holes, u64::MAX);
        }
    }
}
