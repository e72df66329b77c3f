//! A tenant's part of the memory: bytes that are charged to it.

use super::{Budget, BudgetExhausted, Line};
use crate::name::TenantName;
use std::{mem, sync::Arc, time::Duration};

/// The memory for the transfers of one tenant.
#[derive(Clone, Debug)]
pub struct TenantMemory {
    budget: Arc<Budget>,
    tenant: TenantName,
}

impl TenantMemory {
    pub(super) fn new(budget: &Arc<Budget>, tenant: &TenantName) -> Self {
        Self { budget: Arc::clone(budget), tenant: tenant.clone() }
    }

    /// The memory of all tenants.
    #[must_use]
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Charges `bytes` to the tenant, if they are free and no request waits.
    #[must_use]
    pub fn charge(&self, bytes: u64) -> Option<Charge> {
        self.budget.take(bytes).then(|| self.taken(bytes))
    }

    /// Charges optional `bytes` for a holder of `held_bytes`, if memory is plentiful. A quarter of the total stays free,
    /// and at least as much as this holder has then. So all optional holders get about the same share.
    #[must_use]
    pub(crate) fn charge_spare(&self, bytes: u64, held_bytes: u64) -> Option<Charge> {
        self.budget.take_spare(bytes, held_bytes).then(|| self.taken(bytes))
    }

    /// Waits for `bytes`, at most for `deadline`. Tenants are served in turn, the requests of one tenant in their order.
    /// Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline, or at once if `bytes` exceeds the total.
    pub(crate) async fn charge_in_turn(&self, bytes: u64, deadline: Duration) -> Result<Charge, BudgetExhausted> {
        self.budget.wait(Line::Tenant(self.tenant.clone()), &self.tenant, bytes, deadline).await
    }

    /// Waits for `bytes` more for an upload. One whose CLOSE has come is served before all others.
    ///
    /// # Errors
    /// [`BudgetExhausted`] after the deadline.
    pub(super) async fn charge_more(
        &self,
        bytes: u64,
        deadline: Duration,
        is_closing: bool,
    ) -> Result<Charge, BudgetExhausted> {
        let line = if is_closing { Line::Closing } else { Line::Growing };
        self.budget.wait(line, &self.tenant, bytes, deadline).await
    }

    fn taken(&self, bytes: u64) -> Charge {
        Charge { memory: self.clone(), bytes }
    }
}

/// Bytes that are charged to a tenant, returned on drop.
#[derive(Debug)]
pub struct Charge {
    memory: TenantMemory,
    bytes: u64,
}

impl Charge {
    /// The charge for bytes that the budget has accounted for.
    pub(super) fn taken(budget: &Arc<Budget>, tenant: &TenantName, bytes: u64) -> Self {
        budget.of(tenant).taken(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory of its tenant.
    pub(super) fn memory(&self) -> &TenantMemory {
        &self.memory
    }

    /// Splits `bytes` off; `None` if it has fewer.
    #[must_use]
    pub(crate) fn split(&mut self, bytes: u64) -> Option<Self> {
        self.bytes = self.bytes.checked_sub(bytes)?;
        Some(self.memory.taken(bytes))
    }

    /// Takes in another charge of the same tenant and budget. Any other charge returns to its own.
    pub(crate) fn merge(&mut self, mut other: Self) {
        let (mine, others) = (&self.memory, &other.memory);
        if Arc::ptr_eq(&mine.budget, &others.budget) && mine.tenant == others.tenant {
            self.bytes += mem::take(&mut other.bytes);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        if bytes > 0 {
            self.memory.budget.give_back(bytes);
        }
    }
}
