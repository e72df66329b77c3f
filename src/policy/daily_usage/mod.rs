//! The limits of tenants per UTC day: [`DailyUsage`] counts what each tenant uses, and refuses more than its limits
//! allow.
//!
//! A charge checks and counts in one step under the lock of its tenant, before the server acts. So a node never exceeds
//! a limit, however many sessions charge at once. An amount that isn't used is given back.
//!
//! A node knows its own amounts exactly. It learns those of other nodes, and of its own earlier processes, from the
//! ledger (`app/usage_keeper.rs`), and adds the last ones that it learned.
//!
//! Invariant: a day never turns back. An amount that was charged on one day is given back on that day only.

mod request_scope;
#[cfg(test)]
mod tests;

pub(crate) use request_scope::{RequestScope, must_end};

use crate::{
    account::{DailyAmounts, DailyFigures, DailyLimits, DailyResource},
    clock::{Clock, SystemClock},
    name::TenantName,
};
use parking_lot::{Mutex, MutexGuard, RwLock};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

const SECONDS_PER_DAY: i64 = 86_400;

/// A UTC day, in days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcDay(pub i64);

impl UtcDay {
    /// Returns the current day.
    #[must_use]
    pub fn today(clock: &dyn Clock) -> Self {
        Self(clock.unix_seconds().div_euclid(SECONDS_PER_DAY))
    }
}

/// The refusal of a charge. `Display` is a sentence for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daily limit on {} is reached; it ends at 00:00 UTC", name(*.0))]
pub struct DailyLimitReached(pub DailyResource);

const fn name(resource: DailyResource) -> &'static str {
    match resource {
        DailyResource::BytesWritten => "bytes written",
        DailyResource::ZeroBytes => "zeros in holes of files",
        DailyResource::BytesCopied => "bytes copied by the server",
        DailyResource::S3Requests => "requests to the storage",
    }
}

/// The amounts that one node has counted for a tenant on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTotals {
    /// The tenant.
    pub tenant: TenantName,
    /// The day.
    pub day: UtcDay,
    /// The amounts since the node's process began, or since the day began.
    pub amounts: DailyAmounts,
}

/// The usage of all tenants on this node.
#[derive(Debug)]
pub struct DailyUsage {
    clock: Arc<dyn Clock>,
    /// A tenant stays when it leaves the config, because its amounts count if it comes back.
    tenants: RwLock<HashMap<TenantName, Arc<TenantUsage>>>,
}

impl Default for DailyUsage {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl DailyUsage {
    /// Creates usage of nothing, without limits.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tenants: RwLock::default() }
    }

    /// Returns the usage of a tenant.
    #[must_use]
    pub fn of(&self, tenant: &TenantName) -> Arc<TenantUsage> {
        if let Some(known) = self.tenants.read().get(tenant) {
            return Arc::clone(known);
        }
        let new = || Arc::new(TenantUsage::new(Arc::clone(&self.clock)));
        Arc::clone(self.tenants.write().entry(tenant.clone()).or_insert_with(new))
    }

    /// Replaces the limits of all tenants. They hold from the next charge on. A tenant that isn't named has none.
    pub fn set_limits<'a>(&self, limits: impl IntoIterator<Item = (&'a TenantName, DailyLimits)>) {
        let mut limits: HashMap<&TenantName, DailyLimits> = limits.into_iter().collect();
        for (tenant, usage) in &*self.tenants.read() {
            usage.set_limits(limits.remove(tenant).unwrap_or_default());
        }
        for (tenant, limits) in limits {
            self.of(tenant).set_limits(limits);
        }
    }

    /// Returns today.
    #[must_use]
    pub fn today(&self) -> UtcDay {
        UtcDay::today(&*self.clock)
    }

    /// True if a tenant has a limit.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.tenants.read().values().any(|usage| usage.is_limited.load(Ordering::Relaxed))
    }

    /// Returns the totals that differ from the saved ones, of tenants with a limit: those of today, and the last ones of
    /// a day that has ended since.
    #[must_use]
    pub fn unsaved(&self) -> Vec<DayTotals> {
        let mut unsaved = Vec::new();
        for (tenant, usage) in &*self.tenants.read() {
            let state = usage.day();
            let totals = |day, amounts| DayTotals { tenant: tenant.clone(), day, amounts };
            if !state.limits.is_any_set() {
                continue;
            }
            unsaved.extend(state.ended.map(|(day, amounts)| totals(day, amounts)));
            if state.own != state.saved {
                unsaved.push(totals(state.day, state.own));
            }
        }
        unsaved
    }

    /// Records that the ledger has these totals.
    pub fn note_saved(&self, saved: &[DayTotals]) {
        for DayTotals { tenant, day, amounts } in saved {
            let usage = self.of(tenant);
            let mut state = usage.day();
            if state.day == *day {
                state.saved = *amounts;
            }
            state.ended.take_if(|(ended, _)| ended == day);
        }
    }

    /// Records the amounts of `day` that the ledger has from others. A tenant that isn't among them has none.
    pub fn note_others(&self, day: UtcDay, others: &HashMap<TenantName, DailyAmounts>) {
        for (tenant, usage) in &*self.tenants.read() {
            let mut state = usage.day();
            if state.day == day {
                state.others = others.get(tenant).copied().unwrap_or_default();
            }
        }
    }
}

/// The usage of one tenant on this node.
#[derive(Debug)]
pub struct TenantUsage {
    clock: Arc<dyn Clock>,
    /// False while the tenant has no limit. Then the engines charge no bytes, so that a WRITE takes no lock.
    pub(crate) is_limited: AtomicBool,
    state: Mutex<DayState>,
}

#[derive(Debug, Default)]
struct DayState {
    limits: DailyLimits,
    day: UtcDay,
    /// The amounts of this process.
    own: DailyAmounts,
    /// The amounts of this process that the ledger has.
    saved: DailyAmounts,
    /// The amounts of other nodes and of earlier processes, as the ledger had them last.
    others: DailyAmounts,
    /// The last day that ended, and its amounts, until they are saved.
    ended: Option<(UtcDay, DailyAmounts)>,
}

/// An amount that was charged, and the day on which it was.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DayCharge {
    day: UtcDay,
    amount: u64,
}

impl TenantUsage {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, is_limited: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Creates usage without limits, for a bucket that belongs to no tenant of the config.
    #[must_use]
    pub fn unlimited() -> Arc<Self> {
        Arc::new(Self::new(Arc::new(SystemClock)))
    }

    fn set_limits(&self, limits: DailyLimits) {
        self.day().limits = limits;
        self.is_limited.store(limits.is_any_set(), Ordering::Relaxed);
    }

    /// Charges `amount` of `resource`.
    ///
    /// # Errors
    /// [`DailyLimitReached`], which charges nothing.
    pub(crate) fn charge(&self, resource: DailyResource, amount: u64) -> Result<DayCharge, DailyLimitReached> {
        self.day().charge(resource, amount)
    }

    /// Charges the bytes of a WRITE. Fails without requests to S3 too: a WRITE may need them, and no later request of
    /// the upload is refused.
    ///
    /// # Errors
    /// [`DailyLimitReached`], which charges nothing.
    pub(crate) fn charge_write(&self, bytes: u64) -> Result<(), DailyLimitReached> {
        let mut state = self.day();
        state.demand_requests()?;
        state.charge(DailyResource::BytesWritten, bytes).map(drop)
    }

    /// Fails if no request to S3 is left.
    ///
    /// # Errors
    /// [`DailyLimitReached`].
    pub(crate) fn demand_requests(&self) -> Result<(), DailyLimitReached> {
        self.day().demand_requests()
    }

    /// Gives back `amount` of a charge, or all of it if it is less.
    pub(crate) fn give_back(&self, resource: DailyResource, charge: &mut DayCharge, amount: u64) {
        let mut state = self.day();
        let amount = amount.min(charge.amount);
        charge.amount -= amount;
        if state.day == charge.day {
            let own = state.own.of_mut(resource);
            *own = own.saturating_sub(amount);
        }
    }

    /// Charges one HTTP request to S3 just before it is sent. Requests in a [`RequestScope`] are never refused, nor are
    /// others with `must_end`.
    ///
    /// # Errors
    /// [`DailyLimitReached`], which charges nothing.
    pub(crate) fn charge_request(&self, must_end: bool) -> Result<(), DailyLimitReached> {
        match RequestScope::take_reserved() {
            Some(true) => Ok(()),
            None if !must_end => self.charge(DailyResource::S3Requests, 1).map(drop),
            Some(false) | None => {
                self.day().add(DailyResource::S3Requests, 1);
                Ok(())
            }
        }
    }

    /// Returns today's amounts, of this node and, as far as it knows them, of others.
    #[must_use]
    pub fn amounts(&self) -> DailyAmounts {
        let state = self.day();
        let sum = |resource| state.used(resource);
        DailyFigures {
            bytes_written: sum(DailyResource::BytesWritten),
            zero_bytes: sum(DailyResource::ZeroBytes),
            bytes_copied: sum(DailyResource::BytesCopied),
            s3_requests: sum(DailyResource::S3Requests),
        }
    }

    /// Locks the amounts of today.
    fn day(&self) -> MutexGuard<'_, DayState> {
        let (today, mut state) = (UtcDay::today(&*self.clock), self.state.lock());
        // A clock that was set back doesn't begin an earlier day, which would have its whole limits again.
        if state.day < today {
            let former = std::mem::replace(&mut *state, DayState { day: today, ..DayState::default() });
            state.limits = former.limits;
            state.ended = (former.own != former.saved).then_some((former.day, former.own)).or(former.ended);
        }
        state
    }
}

impl DayCharge {
    /// Takes off an amount that was used, which is not given back.
    pub(crate) const fn spend(&mut self, amount: u64) {
        self.amount = self.amount.saturating_sub(amount);
    }

    /// Adds a later charge of the same resource. Of charges on different days the later one stays.
    pub(crate) fn add(&mut self, later: Self) {
        if self.day == later.day {
            self.amount = self.amount.saturating_add(later.amount);
        } else {
            *self = later;
        }
    }
}

impl DayState {
    fn used(&self, resource: DailyResource) -> u64 {
        self.own.of(resource).saturating_add(*self.others.of(resource))
    }

    fn charge(&mut self, resource: DailyResource, amount: u64) -> Result<DayCharge, DailyLimitReached> {
        let used = self.used(resource).checked_add(amount);
        // An amount of 0 passes, also when others have exceeded the limit.
        let is_too_much = |limit: &u64| amount > 0 && used.is_none_or(|used| used > *limit);
        if self.limits.of(resource).as_ref().is_some_and(is_too_much) {
            return Err(DailyLimitReached(resource));
        }
        self.add(resource, amount);
        Ok(DayCharge { day: self.day, amount })
    }

    fn add(&mut self, resource: DailyResource, amount: u64) {
        let own = self.own.of_mut(resource);
        *own = own.saturating_add(amount);
    }

    fn demand_requests(&self) -> Result<(), DailyLimitReached> {
        let used = self.used(DailyResource::S3Requests);
        match self.limits.s3_requests {
            Some(limit) if used >= limit => Err(DailyLimitReached(DailyResource::S3Requests)),
            _ => Ok(()),
        }
    }
}
