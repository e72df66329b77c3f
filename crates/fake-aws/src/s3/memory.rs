//! Bounded memory: every byte of an object, a part or a name is charged to one [`Quota`] until it is dropped.

use super::error::{Error, Result};
use bytes::Bytes;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Limit on memory, and the amount in use.
#[derive(Debug)]
pub(crate) struct Quota {
    limit: u64,
    used: AtomicU64,
}

impl Quota {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Reserves `bytes` until the charge is dropped. Fails if the limit would be exceeded.
    pub(crate) fn charge(self: &Arc<Self>, bytes: u64) -> Result<QuotaShare> {
        let mut charge = QuotaShare { quota: Arc::clone(self), bytes: 0 };
        charge.grow(bytes)?;
        Ok(charge)
    }
}

/// A share of a [`Quota`], released on drop.
pub(crate) struct QuotaShare {
    quota: Arc<Quota>,
    bytes: u64,
}

impl QuotaShare {
    /// Reserves `bytes` more.
    pub(crate) fn grow(&mut self, bytes: u64) -> Result<()> {
        let limit = self.quota.limit;
        self.quota
            .used
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|total| *total <= limit)
            })
            .map_err(|_| Error::MemoryFull { limit })?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for QuotaShare {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for QuotaShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.bytes, self.quota.limit)
    }
}

/// The bytes of one request, in the blocks in which they were received.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) blocks: Vec<Bytes>,
    pub(crate) charge: QuotaShare,
}

impl Blocks {
    pub(crate) fn empty(quota: &Arc<Quota>) -> Result<Self> {
        Ok(Self { blocks: Vec::new(), charge: quota.charge(0)? })
    }

    pub(crate) fn push(&mut self, block: Bytes) -> Result<()> {
        self.charge.grow(block.len() as u64)?;
        self.blocks.push(block);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let quota = Quota::new(10);
        let mut blocks = Blocks::empty(&quota).unwrap();
        blocks.push(Bytes::from_static(b"12345678")).unwrap();
        assert!(matches!(blocks.push(Bytes::from_static(b"123")), Err(Error::MemoryFull { limit: 10 })));
        assert!(quota.charge(3).is_err());
        drop(blocks);
        assert!(quota.charge(10).is_ok());
    }
}
