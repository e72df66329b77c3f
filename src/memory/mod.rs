//! The memory of the process that clients can make grow. Each charge names its tenant, and the tenants share it fairly:
//! see `shares/mod.rs`.
//!
//! A sixteenth is set aside for small files and small ranges: the first block of an upload, and ranges of at most a
//! block. So a tenant whose large transfers use all their memory can still exchange small files.

mod block;
mod shares;
mod upload_memory;

pub(crate) use block::{BLOCK_BYTES, Block, Pool, zeros};
pub(crate) use shares::ExpectedBytes;
pub use shares::{BudgetExhausted, Charge, TenantMemory};
pub use upload_memory::MemoryUsage;
pub(crate) use upload_memory::{PartMemory, UploadMemory};

use crate::name::TenantName;
use shares::SharedBytes;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;

/// The part of the total that is set aside for small files.
const SMALL_FILES: u64 = 16;

/// The process's memory for transfers.
#[derive(Debug)]
pub struct Budget {
    transfers: Arc<SharedBytes>,
    small_files: Arc<SharedBytes>,
    overflow: Arc<Semaphore>,
    pool: Arc<Pool>,
}

/// The memory in use at a moment, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BudgetUse {
    /// All charges may be this much.
    pub(crate) total: u64,
    pub(crate) used: u64,
    /// True if a request waits for memory.
    pub(crate) is_waited_for: bool,
    /// The tenants that have memory, the largest first.
    pub(crate) by_tenant: Vec<(TenantName, u64)>,
}

impl Budget {
    /// A budget of `total_bytes`.
    #[must_use]
    pub fn new(total_bytes: u64) -> Arc<Self> {
        let small_bytes = total_bytes / SMALL_FILES;
        Arc::new(Self {
            transfers: SharedBytes::new(total_bytes - small_bytes),
            small_files: SharedBytes::new(small_bytes),
            overflow: Arc::new(Semaphore::new(1)),
            pool: Arc::default(),
        })
    }

    /// The memory that is charged to `tenant`.
    #[must_use]
    pub fn of(self: &Arc<Self>, tenant: &TenantName) -> TenantMemory {
        let shared = (Arc::clone(&self.pool), Arc::clone(&self.overflow));
        TenantMemory::new(shared, self.transfers.of(tenant), self.small_files.of(tenant))
    }

    /// The sum of all charges, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.transfers.used() + self.small_files.used()
    }

    /// Returns buffers that stay idle to the system. Never ends.
    pub(crate) async fn release_idle(&self) {
        self.pool.release_idle().await;
    }

    /// The memory in use now, by tenant.
    pub(crate) fn usage(&self) -> BudgetUse {
        let mut by_tenant: HashMap<TenantName, u64> = HashMap::new();
        for (tenant, bytes) in self.transfers.by_tenant().into_iter().chain(self.small_files.by_tenant()) {
            *by_tenant.entry(tenant).or_default() += bytes;
        }
        let mut by_tenant: Vec<_> = by_tenant.into_iter().collect();
        by_tenant.sort_by(|(one, bytes), (other, others)| others.cmp(bytes).then_with(|| one.cmp(other)));
        BudgetUse {
            total: self.transfers.total() + self.small_files.total(),
            used: self.used(),
            is_waited_for: self.transfers.is_waited_for(),
            by_tenant,
        }
    }
}
