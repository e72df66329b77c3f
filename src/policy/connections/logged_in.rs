//! The places of logged-in connections, counted by user, tenant and source.
//!
//! Invariant: a tenant without a connection gets a place while one is free, unless its address has too many. When three
//! quarters of the places are in use, a tenant gets another one only if it has fewer than are free.

use super::{super::source::Network, ConnectionRefusal};
use crate::name::{TenantName, UserName};
use std::collections::HashMap;

/// The limits on logged-in connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedInLimits {
    /// The number in all.
    pub total: usize,
    /// The number of one tenant.
    pub per_tenant: usize,
    /// The number of one user.
    pub per_user: usize,
    /// The number from one [`Source`](super::Source). A /56 may have twice as many, a /48 four times.
    pub per_source: usize,
}

impl LoggedInLimits {
    /// The default limits for a total: three quarters for a tenant or a source, half for a user.
    #[must_use]
    pub const fn of(total: usize) -> Self {
        let most = total - total / 4;
        Self { total, per_tenant: most, per_user: total.div_ceil(2), per_source: most }
    }
}

/// The holder of a place.
#[derive(Clone, Debug)]
pub(super) struct ConnectionHolder {
    pub(super) tenant: TenantName,
    pub(super) user: UserName,
    /// The networks in which the connection counts, each with its multiple of one source's limit.
    pub(super) networks: Vec<(Network, usize)>,
}

/// The places in use.
#[derive(Debug, Default)]
pub(super) struct LoggedInPlaces {
    in_use: usize,
    by_tenant: HashMap<TenantName, OfTenant>,
    by_network: HashMap<Network, usize>,
}

/// The places of one tenant.
#[derive(Debug, Default)]
struct OfTenant {
    in_use: usize,
    by_user: HashMap<UserName, usize>,
}

impl LoggedInPlaces {
    /// Takes a place, or takes nothing.
    pub(super) fn take(&mut self, holder: &ConnectionHolder, limits: &LoggedInLimits) -> Result<(), ConnectionRefusal> {
        self.check(holder, limits)?;
        self.in_use += 1;
        let of_tenant = self.by_tenant.entry(holder.tenant.clone()).or_default();
        of_tenant.in_use += 1;
        *of_tenant.by_user.entry(holder.user.clone()).or_default() += 1;
        for (network, _) in &holder.networks {
            *self.by_network.entry(network.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn check(&self, holder: &ConnectionHolder, limits: &LoggedInLimits) -> Result<(), ConnectionRefusal> {
        let free = limits.total.saturating_sub(self.in_use);
        if free == 0 {
            return Err(ConnectionRefusal::LoggedIn);
        }
        let of_tenant = self.by_tenant.get(&holder.tenant);
        let of_user = of_tenant.and_then(|of_tenant| of_tenant.by_user.get(&holder.user)).copied().unwrap_or_default();
        if of_user >= limits.per_user {
            return Err(ConnectionRefusal::LoggedInOfUser);
        }
        let of_tenant = of_tenant.map_or(0, |of_tenant| of_tenant.in_use);
        if of_tenant >= limits.per_tenant {
            return Err(ConnectionRefusal::LoggedInOfTenant);
        }
        if free <= limits.total / 4 && of_tenant >= free {
            return Err(ConnectionRefusal::LoggedInReserve);
        }
        let is_full = |(network, factor): &(Network, usize)| {
            self.by_network.get(network).is_some_and(|in_use| *in_use >= limits.per_source.saturating_mul(*factor))
        };
        if holder.networks.iter().any(is_full) {
            return Err(ConnectionRefusal::LoggedInFromSource);
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, holder: &ConnectionHolder) {
        self.in_use = self.in_use.saturating_sub(1);
        if let Some(of_tenant) = self.by_tenant.get_mut(&holder.tenant) {
            of_tenant.in_use = of_tenant.in_use.saturating_sub(1);
            lower(&mut of_tenant.by_user, &holder.user);
            if of_tenant.in_use == 0 {
                self.by_tenant.remove(&holder.tenant);
            }
        }
        for (network, _) in &holder.networks {
            lower(&mut self.by_network, network);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.in_use == 0 && self.by_tenant.is_empty() && self.by_network.is_empty()
    }
}

/// Lowers a count by one, and removes it at zero.
fn lower<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Source;
    use proptest::prelude::*;

    fn holder(tenant: &str, user: &str, address: &str) -> ConnectionHolder {
        let source = Source::new(address.parse().unwrap(), None);
        let networks = source.networks().map(|(network, factor)| (network, usize::try_from(factor).unwrap()));
        ConnectionHolder { tenant: tenant.parse().unwrap(), user: user.parse().unwrap(), networks: networks.collect() }
    }

    /// Takes places until one is refused. Returns their number and the refusal.
    fn fill(
        places: &mut LoggedInPlaces,
        holder: &ConnectionHolder,
        limits: &LoggedInLimits,
    ) -> (usize, ConnectionRefusal) {
        (0..=limits.total)
            .find_map(|taken| places.take(holder, limits).err().map(|refusal| (taken, refusal)))
            .expect("more places than the total")
    }

    #[test]
    fn a_user_has_half_of_the_places_and_a_tenant_or_a_source_three_quarters() {
        let limits = LoggedInLimits::of(1_000);
        let mut places = LoggedInPlaces::default();
        let [first, second, other] = ["a", "b", "c"].map(|user| holder("acme", user, "192.0.2.1"));
        assert_eq!(fill(&mut places, &first, &limits), (500, ConnectionRefusal::LoggedInOfUser));
        assert_eq!(fill(&mut places, &second, &limits), (250, ConnectionRefusal::LoggedInOfTenant));
        assert_eq!(fill(&mut places, &other, &limits), (0, ConnectionRefusal::LoggedInOfTenant));
        let same_source = holder("globex", "bob", "192.0.2.1");
        assert_eq!(fill(&mut places, &same_source, &limits), (0, ConnectionRefusal::LoggedInFromSource));
        assert!(places.take(&holder("globex", "bob", "192.0.2.2"), &limits).is_ok());
    }

    #[test]
    fn the_last_quarter_is_for_tenants_with_few_connections() {
        let limits = LoggedInLimits::of(1_000);
        let mut places = LoggedInPlaces::default();
        let mut taken = Vec::new();
        for number in 0..12 {
            for user in ["a", "b"] {
                let address = format!("192.0.2.{number}");
                let (count, _) = fill(&mut places, &holder(&format!("tenant{number}"), user, &address), &limits);
                taken.push(count);
            }
        }
        // Half of what is left for each tenant, once the first has three quarters.
        assert_eq!(taken.iter().sum::<usize>(), 1_000);
        assert_eq!(taken[..10], [500, 250, 125, 0, 63, 0, 31, 0, 16, 0]);
    }

    #[test]
    fn tenants_that_want_the_same_get_the_same() {
        let limits = LoggedInLimits::of(1_000);
        let mut places = LoggedInPlaces::default();
        let holders: Vec<_> =
            (0..40).map(|number| holder(&format!("tenant{number}"), "a", &format!("192.0.2.{number}"))).collect();
        let mut taken = vec![0; 40];
        while holders.iter().zip(&mut taken).any(|(holder, taken)| {
            let is_in = places.take(holder, &limits).is_ok();
            *taken += usize::from(is_in);
            is_in
        }) {
            for (holder, taken) in holders.iter().zip(&mut taken).skip(1) {
                *taken += usize::from(places.take(holder, &limits).is_ok());
            }
        }
        let (fewest, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
        assert!(most - fewest <= 1 && taken.iter().sum::<usize>() >= 960, "{taken:?}");
    }

    #[test]
    fn a_site_has_more_than_one_of_its_hosts() {
        let limits = LoggedInLimits { per_source: 2, ..LoggedInLimits::of(1_000) };
        let mut places = LoggedInPlaces::default();
        let mut of_host = |host: &str| fill(&mut places, &holder("acme", "a", host), &limits).0;
        let same_56 = ["2001:db8:1:100::1", "2001:db8:1:101::1", "2001:db8:1:102::1"].map(&mut of_host);
        assert_eq!(same_56, [2, 2, 0]);
        let same_48 = ["2001:db8:1:200::1", "2001:db8:1:300::1", "2001:db8:1:400::1"].map(of_host);
        assert_eq!(same_48, [2, 2, 0]);
    }

    proptest! {
        #[test]
        fn no_place_is_lost_and_no_limit_exceeded(
            steps in prop::collection::vec((0..4u8, 0..3u8, any::<bool>()), 0..200),
        ) {
            let limits = LoggedInLimits { per_source: 9, ..LoggedInLimits::of(12) };
            let (mut places, mut taken) = (LoggedInPlaces::default(), Vec::new());
            for (tenant, user, takes) in steps {
                let one = holder(&format!("t{tenant}"), &format!("u{user}"), &format!("192.0.2.{user}"));
                if !takes && !taken.is_empty() {
                    places.give_back(&taken.swap_remove(usize::from(user) % taken.len()));
                    continue;
                }
                let of_tenant = taken.iter().filter(|other: &&ConnectionHolder| other.tenant == one.tenant).count();
                let of_user = taken.iter().filter(|other| other.tenant == one.tenant && other.user == one.user).count();
                let from_source = taken.iter().filter(|other| other.networks == one.networks).count();
                let free = limits.total - taken.len();
                let fits = free > 0
                    && of_user < limits.per_user
                    && of_tenant < limits.per_tenant
                    && from_source < limits.per_source
                    && (free > 3 || of_tenant < free);
                prop_assert_eq!(places.take(&one, &limits).is_ok(), fits);
                if fits {
                    taken.push(one);
                }
            }
            for one in taken {
                places.give_back(&one);
            }
            prop_assert!(places.is_empty());
        }
    }
}
