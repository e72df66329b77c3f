//! The counts of [`Connections`](super::Connections), behind its lock.

use super::{
    super::{
        source::{Network, Source},
        unfinished::UnfinishedLogins,
    },
    ConnectionLimits, ConnectionRefusal, Parties,
    logged_in::{ConnectionHolder, LoggedInPlaces},
};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct OpenConnections {
    pub(super) limits: ConnectionLimits,
    pub(super) logged_in: LoggedInPlaces,
    /// The connections before their login, by ascending number.
    pub(super) places: HashMap<u64, PendingConnection>,
    next_number: u64,
    pub(super) by_party: HashMap<Party, OfParty>,
    pub(super) by_network: HashMap<Network, OfNetwork>,
    unfinished: UnfinishedLogins,
}

/// A source and the number of parties behind it.
type Party = (Source, Parties);

/// One connection before its login.
#[derive(Debug)]
pub(super) struct PendingConnection {
    party: Option<Party>,
    /// True if the connection counts among the places of its networks.
    pub(super) is_admitted: bool,
    has_token: bool,
    /// Cancelled when the connection is dropped for another one.
    pub(super) dropped: CancellationToken,
}

/// The connections of one party that are trying no credential.
#[derive(Debug, Default)]
pub(super) struct OfParty {
    /// Connections with an unfinished key exchange, the oldest first.
    exchanging: BTreeSet<u64>,
    /// All others, the oldest first.
    silent: BTreeSet<u64>,
}

/// The connections from one network before their login. Connections from addresses of many parties don't count.
#[derive(Debug, Default)]
pub(super) struct OfNetwork {
    /// The number of admitted and waiting connections.
    connections: usize,
    /// The number of admitted connections.
    places: usize,
    /// The number of admitted and waiting connections that are trying no credential.
    untried: usize,
}

/// The reason why a connection can't begin its login yet.
#[derive(Debug)]
pub(super) struct Wait {
    /// The refusal, if the reason persists.
    pub(super) refusal: ConnectionRefusal,
    /// The end of the wait, if it is known.
    pub(super) until: Option<Instant>,
}

impl OpenConnections {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            logged_in: LoggedInPlaces::default(),
            places: HashMap::new(),
            next_number: 0,
            by_party: HashMap::new(),
            by_network: HashMap::new(),
            unfinished: UnfinishedLogins::new(limits.unfinished_logins),
        }
    }

    /// Replaces the limits. All buckets are full at a new rate: a wait at the former one could be hours at the new one.
    pub(super) fn set_limits(&mut self, limits: ConnectionLimits) {
        if limits.unfinished_logins != self.limits.unfinished_logins {
            self.unfinished = UnfinishedLogins::new(limits.unfinished_logins);
        }
        self.limits = limits;
    }

    /// Takes a place for a connection with an unknown source. Returns its number.
    pub(super) fn arrive(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let dropped = CancellationToken::new();
        self.places.insert(number, PendingConnection { party: None, is_admitted: false, has_token: false, dropped });
        number
    }

    /// Counts the connection `number` as one of `source` that waits to begin its login. Returns a token that is
    /// cancelled when the connection is dropped.
    pub(super) fn identify(
        &mut self,
        number: u64,
        source: &Source,
        parties: Parties,
    ) -> Result<CancellationToken, ConnectionRefusal> {
        let party = (source.clone(), parties);
        // At most as many connections may wait as may have a place: one source must not fill the total with waiting
        // connections.
        if self.is_full(&party, 2, |of_network| of_network.connections) {
            return Err(ConnectionRefusal::UnauthenticatedFromSource);
        }
        let place = self.places.get_mut(&number).ok_or(ConnectionRefusal::MadeRoom)?;
        recount(&mut self.by_network, &party, |of_network| {
            of_network.connections += 1;
            of_network.untried += 1;
        });
        self.by_party.entry(party.clone()).or_default().exchanging.insert(number);
        place.party = Some(party);
        Ok(place.dropped.clone())
    }

    /// Takes a place among the logged-in connections.
    pub(super) fn log_in(&mut self, holder: &ConnectionHolder) -> Result<(), ConnectionRefusal> {
        self.logged_in.take(holder, &self.limits.logged_in)
    }

    /// The networks in which the connection `number` counts, each with its multiple of one source's limit. None for an
    /// address of many parties.
    pub(super) fn networks_of(&self, number: u64) -> Vec<(Network, usize)> {
        let party = self.places.get(&number).and_then(|place| place.party.as_ref());
        let source = party.filter(|(_, parties)| *parties == Parties::One).map(|(source, _)| source.networks());
        source.into_iter().flatten().map(|(network, factor)| (network, usize::try_from(factor).unwrap_or(1))).collect()
    }

    /// Takes a place in each network of the connection `number` and a token for its login, or takes nothing.
    pub(super) fn admit(&mut self, number: u64) -> Result<(), Wait> {
        let party = self.places.get(&number).and_then(|place| place.party.clone());
        let party = party.ok_or(Wait { refusal: ConnectionRefusal::MadeRoom, until: None })?;
        if self.is_full(&party, 1, |of_network| of_network.places) {
            return Err(Wait { refusal: ConnectionRefusal::UnauthenticatedFromSource, until: None });
        }
        let needs_token = party.1 == Parties::One;
        if needs_token {
            let no_token = |until| Wait { refusal: ConnectionRefusal::UnfinishedLogins, until: Some(until) };
            self.unfinished.take(&party.0).map_err(no_token)?;
        }
        recount(&mut self.by_network, &party, |of_network| of_network.places += 1);
        if let Some(place) = self.places.get_mut(&number) {
            place.is_admitted = true;
            place.has_token = needs_token;
        }
        Ok(())
    }

    /// Frees a place. The party with the most connections without a tried credential loses its oldest unfinished key
    /// exchange, or else its oldest connection. Returns `None` if every connection has tried a credential.
    ///
    /// The party is chosen first. A party with few connections must not lose its key exchange to one that finishes many
    /// and then stays silent. The largest network around an IPv6 source determines the source's number of connections.
    pub(super) fn drop_oldest(&mut self) -> Option<PendingConnection> {
        let rank = |(party, of_party): (&Party, &OfParty)| {
            let oldest = of_party.exchanging.first().or_else(|| of_party.silent.first())?;
            let own = of_party.exchanging.len() + of_party.silent.len();
            let widest = match party.1 {
                Parties::One => networks(party).map(|network| self.untried(&network)).max().unwrap_or(own),
                // Counts at most as many as another party may have: a shared address must not lose on behalf of all
                // parties behind it.
                Parties::Many => own.min(self.limits.unauthenticated_per_source),
            };
            Some((widest, own.min(widest), !of_party.exchanging.is_empty(), Reverse(*oldest)))
        };
        let (.., Reverse(number)) = self.by_party.iter().filter_map(rank).max()?;
        self.leave(number)
    }

    /// True if a network of `party` has `times` its allowed connections, as `count` counts them.
    fn is_full(&self, party: &Party, times: usize, count: impl Fn(&OfNetwork) -> usize) -> bool {
        let (source, parties) = party;
        *parties == Parties::One
            && source.networks().any(|(network, factor)| {
                let most = self
                    .limits
                    .unauthenticated_per_source
                    .saturating_mul(times)
                    .saturating_mul(usize::try_from(factor).unwrap_or(1));
                self.by_network.get(&network).map_or(0, &count) >= most
            })
    }

    fn untried(&self, network: &Network) -> usize {
        self.by_network.get(network).map_or(0, |of_network| of_network.untried)
    }

    pub(super) fn end_key_exchange(&mut self, number: u64) {
        let party = self.places.get(&number).and_then(|place| place.party.as_ref());
        if let Some(of_party) = party.and_then(|party| self.by_party.get_mut(party))
            && of_party.exchanging.remove(&number)
        {
            of_party.silent.insert(number);
        }
    }

    /// Records that the connection `number` tries a credential. It can't be dropped until the credential is refused.
    pub(super) fn try_credential(&mut self, number: u64) {
        let Some(party) = self.places.get(&number).and_then(|place| place.party.as_ref()) else { return };
        let Some(of_party) = self.by_party.get_mut(party) else { return };
        if of_party.exchanging.remove(&number) || of_party.silent.remove(&number) {
            if of_party.exchanging.is_empty() && of_party.silent.is_empty() {
                self.by_party.remove(party);
            }
            recount(&mut self.by_network, party, |of_network| {
                of_network.untried = of_network.untried.saturating_sub(1);
            });
        }
    }

    /// Records that the credential of the connection `number` was refused. The connection can be dropped again.
    pub(super) fn refuse_credential(&mut self, number: u64) {
        let Some(party) = self.places.get(&number).and_then(|place| place.party.clone()) else { return };
        if self.by_party.entry(party.clone()).or_default().silent.insert(number) {
            recount(&mut self.by_network, &party, |of_network| of_network.untried += 1);
        }
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<PendingConnection> {
        self.try_credential(number);
        let place = self.places.remove(&number)?;
        if let Some(party) = &place.party {
            let places = usize::from(place.is_admitted);
            recount(&mut self.by_network, party, |of_network| {
                of_network.connections = of_network.connections.saturating_sub(1);
                of_network.places = of_network.places.saturating_sub(places);
            });
        }
        Some(place)
    }

    pub(super) fn give_token_back(&mut self, number: u64) -> bool {
        let Some(place) = self.places.get_mut(&number) else { return false };
        let had_token = std::mem::take(&mut place.has_token);
        if had_token && let Some((source, _)) = &place.party {
            self.unfinished.give_back(source);
        }
        had_token
    }
}

/// Returns the networks in which the connections of `party` count.
fn networks((source, parties): &Party) -> impl Iterator<Item = Network> {
    let networks = (*parties == Parties::One).then(|| source.networks());
    networks.into_iter().flatten().map(|(network, _)| network)
}

/// Changes the counts of each network of `party`, and deletes networks without connections.
fn recount(by_network: &mut HashMap<Network, OfNetwork>, party: &Party, change: impl Fn(&mut OfNetwork)) {
    for network in networks(party) {
        let of_network = by_network.entry(network.clone()).or_default();
        change(of_network);
        if of_network.connections == 0 {
            by_network.remove(&network);
        }
    }
}
