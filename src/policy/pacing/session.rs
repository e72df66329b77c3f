//! The rates that a session keeps to: its own, those of its user, and those of its tenant.

use super::{Pacer, Pacers, TenantPacers, UserPacers, pacer::TakerKind};
use std::sync::{Arc, atomic::AtomicBool};
use tokio::time::Instant;

/// One of the rates.
type PacedRate = fn(&Pacers) -> &Pacer;

/// The pacers of one session.
#[derive(Debug)]
pub(crate) struct SessionPacers {
    /// False while there is no rate of any kind. Requests look here first.
    pub(crate) has_rates: Arc<AtomicBool>,
    session: Arc<Pacers>,
    pub(super) user: Arc<UserPacers>,
    tenant: Arc<TenantPacers>,
}

impl SessionPacers {
    pub(super) fn new(session: Arc<Pacers>, user: Arc<UserPacers>, tenant: Arc<TenantPacers>) -> Self {
        Self { has_rates: Arc::clone(&tenant.has_rates), session, user, tenant }
    }

    /// The pacers of one rate, in the order in which a request takes from them.
    fn of(&self, rate: PacedRate) -> [&Pacer; 3] {
        [rate(&self.session), rate(&self.user.pacers), rate(&self.tenant.together)]
    }

    /// True if the session, its user or its tenant has this rate.
    pub(crate) fn are_limited(&self, rate: PacedRate) -> bool {
        self.of(rate).into_iter().any(Pacer::is_limited)
    }

    /// Takes `amount` from all, if none of them lets it wait.
    pub(crate) fn take_at_once(&self, rate: PacedRate, amount: u64) -> bool {
        take_all_at_once(self.of(rate), amount)
    }

    /// Waits for the turns to take `amount`, and takes it. Dropping the future takes nothing.
    pub(crate) async fn take(&self, rate: PacedRate, amount: u64) {
        take_all(self.of(rate), amount).await;
    }

    /// Like [`take`](Self::take), until `deadline`. Then it takes the amount without a turn, and later takers wait so
    /// much longer.
    pub(crate) async fn take_or_owe(&self, rate: PacedRate, amount: u64, deadline: Instant) {
        let mut used = GrantedAmounts::none(amount);
        for pacer in self.of(rate).into_iter().filter(|pacer| pacer.is_limited()) {
            pacer.take_or_owe(amount, deadline - Instant::now()).await;
            used.note(pacer);
        }
        used.keep();
    }

    /// The rates of the session's requests to S3.
    pub(crate) fn s3_requests(&self) -> S3Pacers<'_> {
        S3Pacers(self.of(|rates| &rates.s3_requests).map(Some))
    }

    /// Takes `amount` without a turn. Later takers wait so much longer.
    pub(crate) fn owe(&self, rate: PacedRate, amount: u64) {
        for pacer in self.of(rate).into_iter().filter(|pacer| pacer.is_limited()) {
            pacer.owe(amount);
        }
    }
}

/// The rates of requests to S3, in the order in which a request takes from them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct S3Pacers<'a>([Option<&'a Pacer>; 3]);

impl<'a> S3Pacers<'a> {
    pub(super) fn of_tenant(pacer: &'a Pacer) -> Self {
        Self([None, None, Some(pacer)])
    }

    fn limited(self) -> impl Iterator<Item = &'a Pacer> {
        self.0.into_iter().flatten().filter(|pacer| pacer.is_limited())
    }

    /// True if any of them is limited.
    pub(crate) fn are_limited(self) -> bool {
        self.limited().next().is_some()
    }

    /// Waits for the turns of one request. Dropping the future takes nothing.
    pub(crate) async fn take(self, kind: TakerKind) {
        let mut used = GrantedAmounts::none(1);
        for pacer in self.limited() {
            pacer.take_as(kind, 1).await;
            used.note(pacer);
        }
        used.keep();
    }

    /// Counts one request without a turn. Later ones wait so much longer.
    pub(crate) fn owe(self) {
        self.limited().for_each(|pacer| pacer.owe(1));
    }
}

/// Takes `amount` from all pacers that have a rate, if none of them lets it wait.
pub(super) fn take_all_at_once<const N: usize>(pacers: [&Pacer; N], amount: u64) -> bool {
    let mut used = GrantedAmounts::none(amount);
    for pacer in pacers.into_iter().filter(|pacer| pacer.is_limited()) {
        if !pacer.take_at_once(amount) {
            return false;
        }
        used.note(pacer);
    }
    used.keep();
    true
}

/// Waits for the turns to take `amount` from the pacers that have a rate, one after the other. Dropping the future takes
/// nothing.
pub(super) async fn take_all<const N: usize>(pacers: [&Pacer; N], amount: u64) {
    let mut used = GrantedAmounts::none(amount);
    for pacer in pacers.into_iter().filter(|pacer| pacer.is_limited()) {
        pacer.take(amount).await;
        used.note(pacer);
    }
    used.keep();
}

/// An amount that some pacers granted. It goes back to them on drop, unless all have.
struct GrantedAmounts<'a> {
    amount: u64,
    pacers: [Option<&'a Pacer>; 3],
}

impl<'a> GrantedAmounts<'a> {
    fn none(amount: u64) -> Self {
        Self { amount, pacers: [None; 3] }
    }

    fn note(&mut self, pacer: &'a Pacer) {
        if let Some(free) = self.pacers.iter_mut().find(|noted| noted.is_none()) {
            *free = Some(pacer);
        }
    }

    fn keep(mut self) {
        self.pacers = [None; 3];
    }
}

impl Drop for GrantedAmounts<'_> {
    fn drop(&mut self) {
        for pacer in self.pacers.into_iter().flatten() {
            pacer.give_back(self.amount);
        }
    }
}
