//! The parts of a running server that an operator's commands ask.

use super::Reload;
use crate::{
    clock::{Clock as _, SystemClock},
    events::NameList,
    identity::StaticProvider,
    ledger::{Spool, SpoolStatus},
    memory::{Budget, BudgetUse},
    session::Sessions,
    tenants::Tenants,
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::time::Instant;

/// The end of a server that finishes its last transfers, once the stop has begun.
#[derive(Debug, Default)]
pub(crate) struct Drain(Mutex<Option<OffsetDateTime>>);

impl Drain {
    /// Notes that open transfers may finish for `limit` from now on.
    pub(super) fn begin(&self, limit: Duration) {
        *self.0.lock() = Some(OffsetDateTime::from(SystemClock.now()) + limit);
    }

    /// Returns the time at which the server interrupts its last transfers, or `None` while it doesn't stop.
    pub(crate) fn until(&self) -> Option<OffsetDateTime> {
        *self.0.lock()
    }
}

/// The sessions, the memory and the config of one running server.
pub(crate) struct Operator {
    pub(crate) sessions: Arc<Sessions>,
    /// `None` for a server without config files.
    pub(crate) reload: Option<Arc<Reload>>,
    /// The name of the node.
    pub(crate) node: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) started: Instant,
    pub(crate) drain: Arc<Drain>,
    budget: Arc<Budget>,
    passwords: Arc<StaticProvider>,
    tenants: Arc<Tenants>,
    /// `None` for a ledger that ends with the process.
    spool: Option<Arc<Spool>>,
}

impl Operator {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        (budget, passwords): (Arc<Budget>, Arc<StaticProvider>),
        (tenants, spool): (Arc<Tenants>, Option<Arc<Spool>>),
        drain: Arc<Drain>,
        node: String,
        reload: Option<Arc<Reload>>,
    ) -> Self {
        let (started_at, started) = (SystemClock.now().into(), Instant::now());
        Self { sessions, reload, node, started_at, started, drain, budget, passwords, tenants, spool }
    }

    /// Returns the memory for transfers and password checks that is in use.
    #[must_use]
    pub(crate) fn memory(&self) -> BudgetUse {
        self.budget.usage(self.passwords.check_bytes())
    }

    /// Returns the state of the ledger's spool. `None` for a ledger that ends with the process.
    #[must_use]
    pub(crate) fn spool(&self) -> Option<SpoolStatus> {
        self.spool.as_ref().map(|spool| spool.status())
    }

    /// Returns the tenants with an open role: those whose files accept it, or the others.
    #[must_use]
    pub(crate) fn open_roles(&self, is_accepted: bool) -> NameList {
        let open = self.tenants.open_roles().into_iter().filter(|open| open.is_accepted == is_accepted);
        NameList::new(open.map(|open| open.tenant).collect())
    }
}
