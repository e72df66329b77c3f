//! The shares of all tenants: how one is found, and what they add up to.

use super::{Share, SharedBytes};
use crate::name::TenantName;
use parking_lot::Mutex;
use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};
use tokio::sync::{Notify, Semaphore};

impl SharedBytes {
    pub(in crate::memory) fn new(total_bytes: u64) -> Arc<Self> {
        Arc::new(Self { total_bytes, state: Mutex::default(), opening: AtomicUsize::new(0), changed: Notify::new() })
    }

    /// The share of `tenant`.
    pub(in crate::memory) fn of(self: &Arc<Self>, tenant: &TenantName) -> Arc<Share> {
        let mut state = self.state.lock();
        if let Some(share) = state.shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Share {
            bytes: Arc::clone(self),
            tenant: tenant.clone(),
            used_bytes: AtomicU64::new(0),
            expected_bytes: AtomicU64::new(0),
            opening: AtomicUsize::new(0),
            opening_turn: Semaphore::new(1),
        });
        state.shares.insert(tenant.clone(), Arc::downgrade(&share));
        share
    }

    pub(in crate::memory) fn total(&self) -> u64 {
        self.total_bytes
    }

    /// The sum of all charges.
    pub(in crate::memory) fn used(&self) -> u64 {
        self.state.lock().used_bytes
    }

    /// True if a request waits for bytes, or a file waits to open.
    pub(in crate::memory) fn is_waited_for(&self) -> bool {
        let state = self.state.lock();
        !state.closing.is_empty() || !state.waiting.is_empty() || self.opening.load(Ordering::SeqCst) > 0
    }

    /// The tenants that have bytes, with their numbers.
    pub(in crate::memory) fn by_tenant(&self) -> Vec<(TenantName, u64)> {
        // Dropped outside the lock, because the last reference to a share takes it.
        let shares: Vec<_> = self.state.lock().shares.values().filter_map(Weak::upgrade).collect();
        let used = shares.iter().map(|share| (share.tenant.clone(), share.used()));
        used.filter(|(_, bytes)| *bytes > 0).collect()
    }
}
