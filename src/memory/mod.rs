//! The memory of the process that clients can make grow. Each charge names its tenant, and the tenants share it fairly:
//! see `shares/mod.rs`.
//!
//! A sixteenth is set aside for small files and small ranges: the first block of an upload, and ranges of at most a
//! block. So a tenant whose large transfers use all their memory can still exchange small files. What password checks
//! need is set aside too, up to a quarter: no login waits for the memory of transfers. Requests and replies that can't wait
//! for a share are counted apart: see `requests.rs`.

mod block;
mod requests;
mod shares;
mod upload_memory;

pub(crate) use block::{BLOCK_BYTES, Block, Pool, zeros};
pub(crate) use requests::{ConnectionMemory, RequestCharge};
pub(crate) use shares::ExpectedBytes;
pub use shares::{BudgetExhausted, Charge, TenantMemory};
pub use upload_memory::MemoryUsage;
pub(crate) use upload_memory::{PartMemory, UploadMemory};

use crate::name::TenantName;
use requests::RequestMemory;
use shares::SharedBytes;
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Semaphore;

/// The part of the total that is set aside for small files.
const SMALL_FILES: u64 = 16;

/// Of the total, the password checks have at most one part in so many.
const PASSWORD_CHECKS: u64 = 4;

/// The most bytes that a budget of `total_bytes` sets aside for password checks.
#[must_use]
pub(crate) fn max_check_bytes(total_bytes: u64) -> u64 {
    total_bytes / PASSWORD_CHECKS
}

/// The process's memory that clients can make grow.
#[derive(Debug)]
pub struct Budget {
    /// The part that is set aside for password checks.
    check_bytes: u64,
    transfers: Arc<SharedBytes>,
    small_files: Arc<SharedBytes>,
    requests: Arc<RequestMemory>,
    overflow: Arc<Semaphore>,
    pool: Arc<Pool>,
}

/// The memory in use at a moment, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BudgetUse {
    /// All charges may be this much.
    pub(crate) total: u64,
    pub(crate) used: u64,
    /// The part of `used` that password checks have.
    pub(crate) password_checks: u64,
    /// True if a request waits for memory.
    pub(crate) is_waited_for: bool,
    /// The bytes of requests and replies of connections, beside the total, and the most that they may be.
    pub(crate) requests: u64,
    pub(crate) max_requests: u64,
    /// The tenants that have memory for transfers, the largest first.
    pub(crate) by_tenant: Vec<(TenantName, u64)>,
}

impl Budget {
    /// A budget of `total_bytes` for transfers alone.
    #[must_use]
    pub fn new(total_bytes: u64) -> Arc<Self> {
        Self::beside_checks(total_bytes, 0)
    }

    /// A budget of `total_bytes`, of which `check_bytes` are set aside for password checks, but at most
    /// [`max_check_bytes`].
    #[must_use]
    pub(crate) fn beside_checks(total_bytes: u64, check_bytes: u64) -> Arc<Self> {
        let (small_bytes, check_bytes) = (total_bytes / SMALL_FILES, check_bytes.min(max_check_bytes(total_bytes)));
        Arc::new(Self {
            check_bytes,
            transfers: SharedBytes::new(total_bytes - small_bytes - check_bytes),
            small_files: SharedBytes::new(small_bytes),
            requests: RequestMemory::beside(total_bytes),
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

    /// The memory of the requests and replies of a new connection of `tenant`.
    pub(crate) fn connection(&self, tenant: &TenantName) -> Arc<ConnectionMemory> {
        self.requests.connection(tenant)
    }

    /// The sum of all charges, in bytes.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.transfers.used() + self.small_files.used()
    }

    /// The bytes of the requests and replies of all connections, beside the charges, in steps of 64 KiB of each.
    #[must_use]
    pub fn request_bytes(&self) -> u64 {
        self.requests.used()
    }

    /// Returns buffers that stay idle to the system. Never ends.
    pub(crate) async fn release_idle(&self) {
        self.pool.release_idle().await;
    }

    /// The bytes that are set aside for password checks.
    pub(crate) fn check_bytes(&self) -> u64 {
        self.check_bytes
    }

    /// The memory in use now, by tenant, while password checks have `check_bytes`. A check that needs more than is set
    /// aside runs alone, and what exceeds isn't of the budget.
    pub(crate) fn usage(&self, check_bytes: u64) -> BudgetUse {
        let password_checks = check_bytes.min(self.check_bytes);
        let mut by_tenant: HashMap<TenantName, u64> = HashMap::new();
        for (tenant, bytes) in self.transfers.by_tenant().into_iter().chain(self.small_files.by_tenant()) {
            *by_tenant.entry(tenant).or_default() += bytes;
        }
        let mut by_tenant: Vec<_> = by_tenant.into_iter().collect();
        by_tenant.sort_by(|(one, bytes), (other, others)| others.cmp(bytes).then_with(|| one.cmp(other)));
        BudgetUse {
            total: self.transfers.total() + self.small_files.total() + self.check_bytes,
            used: self.used() + password_checks,
            password_checks,
            is_waited_for: self.transfers.is_waited_for(),
            requests: self.request_bytes(),
            max_requests: self.requests.limit(),
            by_tenant,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn password_checks_have_a_part_of_their_own_and_the_whole_is_the_total() {
        let budget = Budget::beside_checks(256 * MIB, 19 * MIB);
        let acme = budget.of(&"acme".parse().unwrap());
        assert!(acme.charge(222 * MIB).is_none());
        let _transfers = acme.charge(221 * MIB).unwrap();
        let _small_file = acme.charge_small_file(16 * MIB).unwrap();
        let usage = budget.usage(19 * MIB);
        assert_eq!((usage.used, usage.total, usage.password_checks), (256 * MIB, 256 * MIB, 19 * MIB));
        assert_eq!(budget.usage(0).used, 237 * MIB);
        assert_eq!(budget.usage(64 * MIB).used, 256 * MIB, "what exceeds isn't of the budget");
        assert_eq!(Budget::beside_checks(64 * MIB, 19 * MIB).check_bytes(), 16 * MIB);
    }
}
