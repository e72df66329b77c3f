//! The counts of [`Connections`](super::Connections), behind its lock.

use super::{
    super::{Source, unfinished::UnfinishedLogins},
    ConnectionLimits, Parties, Refusal,
};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct Open {
    pub(super) logged_in: usize,
    /// The connections that aren't logged in, by number; numbers grow.
    pub(super) places: HashMap<u64, Place>,
    next_number: u64,
    pub(super) by_source: HashMap<Source, OfSource>,
    unfinished: UnfinishedLogins,
}

/// One connection that isn't logged in.
#[derive(Debug)]
pub(super) struct Place {
    source: Option<Source>,
    has_token: bool,
    pub(super) dropped: CancellationToken,
}

/// The connections of one source that aren't logged in.
#[derive(Debug, Default)]
pub(super) struct OfSource {
    places: usize,
    /// The ones in their key exchange, from the oldest on.
    exchanging: BTreeSet<u64>,
}

impl Open {
    pub(super) fn new(limits: &ConnectionLimits) -> Self {
        Self {
            logged_in: 0,
            places: HashMap::new(),
            next_number: 0,
            by_source: HashMap::new(),
            unfinished: UnfinishedLogins::new(limits.unfinished_logins),
        }
    }

    /// Takes a place for a connection whose source isn't known yet. The answer is its number.
    pub(super) fn arrive(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.places.insert(number, Place { source: None, has_token: false, dropped: CancellationToken::new() });
        number
    }

    /// Counts the connection `number` as one of `source`, in its key exchange.
    pub(super) fn identify(
        &mut self,
        number: u64,
        source: &Source,
        parties: Parties,
        limits: &ConnectionLimits,
    ) -> Result<CancellationToken, Refusal> {
        // Another connection may have taken the place meanwhile.
        let place = self.places.get_mut(&number).ok_or(Refusal::MadeRoom)?;
        let of_source = self.by_source.entry(source.clone()).or_default();
        if parties == Parties::One && of_source.places >= limits.unauthenticated_per_source {
            return Err(Refusal::UnauthenticatedFromSource);
        }
        place.source = Some(source.clone());
        of_source.places += 1;
        of_source.exchanging.insert(number);
        Ok(place.dropped.clone())
    }

    pub(super) fn take_token(&mut self, number: u64, source: &Source) -> Result<(), Instant> {
        self.unfinished.take(source)?;
        if let Some(place) = self.places.get_mut(&number) {
            place.has_token = true;
        }
        Ok(())
    }

    /// Gives the place free of the oldest unfinished key exchange of the source that has the most of them. One that stands
    /// for many parties has no more than others may have: it must not lose for all of them.
    pub(super) fn drop_key_exchange(&mut self, limits: &ConnectionLimits) -> Option<CancellationToken> {
        let most = limits.unauthenticated_per_source;
        let oldest = |of_source: &OfSource| {
            Some((of_source.exchanging.len().min(most), Reverse(*of_source.exchanging.first()?)))
        };
        let (_, Reverse(number)) = self.by_source.values().filter_map(oldest).max()?;
        self.leave(number).map(|place| place.dropped)
    }

    pub(super) fn end_key_exchange(&mut self, number: u64) {
        let source = self.places.get(&number).and_then(|place| place.source.as_ref());
        if let Some(of_source) = source.and_then(|source| self.by_source.get_mut(source)) {
            of_source.exchanging.remove(&number);
        }
    }

    pub(super) fn leave(&mut self, number: u64) -> Option<Place> {
        let place = self.places.remove(&number)?;
        if let Some(source) = &place.source
            && let Some(of_source) = self.by_source.get_mut(source)
        {
            of_source.exchanging.remove(&number);
            of_source.places = of_source.places.saturating_sub(1);
            if of_source.places == 0 {
                self.by_source.remove(source);
            }
        }
        Some(place)
    }

    pub(super) fn give_token_back(&mut self, number: u64) -> bool {
        let Some(place) = self.places.get_mut(&number) else { return false };
        let had_token = std::mem::take(&mut place.has_token);
        if had_token && let Some(source) = &place.source {
            self.unfinished.give_back(source);
        }
        had_token
    }
}
