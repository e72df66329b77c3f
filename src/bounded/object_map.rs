//! Facts about objects, by bucket and key. Each tenant has room for a fixed number of entries. A new entry replaces the
//! one that the tenant wrote longest ago.
//!
//! An object has one entry for each scope `S` in which a session learned something. A change of the object reaches the
//! entries of all scopes and all tenants.

use crate::name::{BucketId, TenantName};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

/// The name of an object, or of a directory: then it ends in `/`.
pub(crate) type ObjectName<'a> = (&'a BucketId, &'a str);

/// A map with a limit for each tenant. Reading an entry doesn't make it younger.
#[derive(Debug)]
pub(crate) struct ObjectMap<S, V> {
    /// The most entries of a tenant.
    limit: usize,
    buckets: HashMap<Arc<BucketId>, Names<S, V>>,
    /// The names of each tenant's entries, in the order of writing.
    turns: HashMap<Arc<TenantName>, Turns>,
    /// The tenants of all entries, in the same order.
    ages: BTreeMap<u64, Arc<TenantName>>,
    next_turn: u64,
}

type Names<S, V> = BTreeMap<Arc<str>, Vec<ObjectEntry<S, V>>>;
type Turns = BTreeMap<u64, (Arc<BucketId>, Arc<str>)>;

#[derive(Debug)]
struct ObjectEntry<S, V> {
    scope: S,
    tenant: Arc<TenantName>,
    turn: u64,
    value: V,
}

impl<S: Eq, V> ObjectMap<S, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, buckets: HashMap::new(), turns: HashMap::new(), ages: BTreeMap::new(), next_turn: 0 }
    }

    /// Inserts an entry, and replaces the former one of the scope.
    pub(crate) fn insert(&mut self, tenant: &TenantName, name: ObjectName<'_>, scope: S, value: V) {
        self.remove(name, &scope);
        let turn = self.next_turn;
        self.next_turn += 1;
        // Each name is in memory only once.
        let tenant =
            self.turns.get_key_value(tenant).map_or_else(|| Arc::new(tenant.clone()), |(known, _)| known.clone());
        let bucket =
            self.buckets.get_key_value(name.0).map_or_else(|| Arc::new(name.0.clone()), |(known, _)| known.clone());
        let names = self.buckets.entry(Arc::clone(&bucket)).or_default();
        let key = names.get_key_value(name.1).map_or_else(|| Arc::from(name.1), |(known, _)| Arc::clone(known));
        let entry = ObjectEntry { scope, tenant: Arc::clone(&tenant), turn, value };
        names.entry(Arc::clone(&key)).or_insert_with(|| Vec::with_capacity(1)).push(entry);
        self.ages.insert(turn, Arc::clone(&tenant));
        let turns = self.turns.entry(Arc::clone(&tenant)).or_default();
        turns.insert(turn, (bucket, key));
        let oldest = turns.first_key_value().filter(|_| turns.len() > self.limit).map(|(turn, _)| *turn);
        if let Some(turn) = oldest {
            self.take_turn(&tenant, turn);
        }
    }

    /// Removes the oldest entries of all tenants, up to the first that is not `stale`.
    pub(crate) fn drop_oldest(&mut self, stale: impl Fn(&V) -> bool) {
        while let Some((turn, tenant)) = self.ages.first_key_value().map(|(turn, tenant)| (*turn, tenant.clone())) {
            let name = self.turns.get(&tenant).and_then(|turns| turns.get(&turn));
            let entries = name.and_then(|(bucket, key)| self.buckets.get(bucket)?.get(key));
            let entry = entries.and_then(|entries| entries.iter().find(|entry| entry.turn == turn));
            if entry.is_some_and(|entry| !stale(&entry.value)) {
                return;
            }
            self.take_turn(&tenant, turn);
        }
    }

    /// Removes the oldest entries of all tenants until at most `limit` are left.
    pub(crate) fn truncate(&mut self, limit: usize) {
        while self.ages.len() > limit
            && let Some((turn, tenant)) = self.ages.first_key_value().map(|(turn, tenant)| (*turn, tenant.clone()))
        {
            self.take_turn(&tenant, turn);
        }
    }

    /// Returns the scope's entry for the name.
    pub(crate) fn find(&self, name: ObjectName<'_>, scope: &S) -> Option<&V> {
        let entries = self.buckets.get(name.0)?.get(name.1)?;
        entries.iter().find(|entry| entry.scope == *scope).map(|entry| &entry.value)
    }

    /// Returns the scope's entry for the name, to change it. This doesn't make it younger.
    pub(crate) fn find_mut(&mut self, name: ObjectName<'_>, scope: &S) -> Option<&mut V> {
        let entries = self.buckets.get_mut(name.0)?.get_mut(name.1)?;
        entries.iter_mut().find(|entry| entry.scope == *scope).map(|entry| &mut entry.value)
    }

    /// Changes the entries of all scopes for the name. This doesn't make them younger.
    pub(crate) fn change(&mut self, name: ObjectName<'_>, change: impl FnMut(&mut V)) {
        let entries = self.buckets.get_mut(name.0).and_then(|names| names.get_mut(name.1));
        entries.into_iter().flatten().map(|entry| &mut entry.value).for_each(change);
    }

    /// Removes and returns the scope's entry for the name.
    pub(crate) fn remove(&mut self, name: ObjectName<'_>, scope: &S) -> Option<V> {
        self.take(name, |entry| entry.scope == *scope).pop()
    }

    /// Removes the entries of all scopes for the name.
    pub(crate) fn remove_all(&mut self, name: ObjectName<'_>) {
        self.take(name, |_| true);
    }

    /// Removes and returns the entries of all scopes for names that begin with `prefix`, each with its name.
    pub(crate) fn take_below(&mut self, bucket: &BucketId, prefix: &str) -> Vec<(Arc<str>, S, V)> {
        self.take_below_where(bucket, prefix, |_| true)
    }

    /// [`take_below`](Self::take_below), restricted to the values for which `meant` is true.
    pub(crate) fn take_below_where(
        &mut self,
        bucket: &BucketId,
        prefix: &str,
        meant: impl Fn(&V) -> bool,
    ) -> Vec<(Arc<str>, S, V)> {
        let Some(names) = self.buckets.get(bucket) else { return Vec::new() };
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let below = names.range::<str, _>(from).map(|(name, _)| name).take_while(|name| name.starts_with(prefix));
        let below: Vec<Arc<str>> = below.cloned().collect();
        let take = |name: Arc<str>| {
            let entries = self.take_entries((bucket, &name), |entry| meant(&entry.value));
            entries.into_iter().map(move |entry| (Arc::clone(&name), entry.scope, entry.value))
        };
        below.into_iter().flat_map(take).collect()
    }

    fn take_turn(&mut self, tenant: &TenantName, turn: u64) {
        let name = self.turns.get(tenant).and_then(|turns| turns.get(&turn)).cloned();
        if let Some((bucket, key)) = name {
            self.take((&bucket, &key), |entry| entry.turn == turn);
        }
        self.ages.remove(&turn);
    }

    fn take(&mut self, name: ObjectName<'_>, meant: impl Fn(&ObjectEntry<S, V>) -> bool) -> Vec<V> {
        self.take_entries(name, meant).into_iter().map(|entry| entry.value).collect()
    }

    fn take_entries(
        &mut self,
        name: ObjectName<'_>,
        meant: impl Fn(&ObjectEntry<S, V>) -> bool,
    ) -> Vec<ObjectEntry<S, V>> {
        let Some(names) = self.buckets.get_mut(name.0) else { return Vec::new() };
        let Some(entries) = names.get_mut(name.1) else { return Vec::new() };
        let taken: Vec<_> = entries.extract_if(.., |entry| meant(entry)).collect();
        if entries.is_empty() {
            names.remove(name.1);
        }
        if names.is_empty() {
            self.buckets.remove(name.0);
        }
        for entry in &taken {
            self.ages.remove(&entry.turn);
            let Some(turns) = self.turns.get_mut(&entry.tenant) else { continue };
            turns.remove(&entry.turn);
            if turns.is_empty() {
                self.turns.remove(&entry.tenant);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    fn bucket() -> BucketId {
        BucketId::recorded("files")
    }

    #[test]
    fn a_tenant_pushes_out_its_own_oldest_entries_and_no_others() {
        let (mut map, bucket) = (ObjectMap::new(2), bucket());
        map.insert(&tenant("acme"), (&bucket, "a"), 1, "kept");
        for name in ["a", "b", "c"] {
            map.insert(&tenant("globex"), (&bucket, name), 2, name);
        }
        assert_eq!((map.find((&bucket, "a"), &1), map.find((&bucket, "a"), &2)), (Some(&"kept"), None));
        assert_eq!((map.find((&bucket, "b"), &2), map.find((&bucket, "c"), &2)), (Some(&"b"), Some(&"c")));
        map.insert(&tenant("globex"), (&bucket, "b"), 2, "younger");
        map.insert(&tenant("globex"), (&bucket, "d"), 2, "d");
        assert_eq!((map.find((&bucket, "b"), &2), map.find((&bucket, "c"), &2)), (Some(&"younger"), None));
    }

    #[test]
    fn a_change_reaches_the_object_in_every_scope() {
        let (mut map, bucket, other) = (ObjectMap::new(99), bucket(), BucketId::recorded("other"));
        for (scope, of) in [(1, "acme"), (2, "acme"), (3, "globex")] {
            for name in ["d", "d/", "d/x", "d-1", "e"] {
                map.insert(&tenant(of), (&bucket, name), scope, scope);
                map.insert(&tenant(of), (&other, name), scope, scope);
            }
        }
        map.change((&bucket, "e"), |value| *value += 10);
        assert_eq!([1, 2, 3].map(|scope| map.find((&bucket, "e"), &scope).copied()), [Some(11), Some(12), Some(13)]);
        map.remove_all((&bucket, "e"));
        assert_eq!(map.take_below(&bucket, "d/").len(), 6);
        for (name, there) in [("d", true), ("d/", false), ("d/x", false), ("d-1", true), ("e", false)] {
            assert_eq!(map.find((&bucket, name), &3).is_some(), there, "{name}");
            assert!(map.find((&other, name), &3).is_some());
        }
        assert_eq!(map.take_below(&bucket, "").len() + map.take_below(&other, "").len(), 6 + 15);
        assert!(map.buckets.is_empty() && map.turns.is_empty() && map.ages.is_empty(), "nothing is left behind");
    }

    #[test]
    fn of_the_names_below_one_those_that_are_meant_are_removed() {
        let (mut map, bucket) = (ObjectMap::new(99), bucket());
        for (name, value) in [("d", 1), ("d/", 1), ("d/x", 2), ("d/y", 1), ("e", 1)] {
            map.insert(&tenant("acme"), (&bucket, name), (), value);
        }
        let taken = map.take_below_where(&bucket, "d/", |value| *value == 1);
        assert_eq!(taken.iter().map(|(name, ..)| &**name).collect::<Vec<_>>(), ["d/", "d/y"]);
        assert_eq!(map.take_below(&bucket, "").len(), 3);
    }

    #[test]
    fn stale_entries_make_room_whatever_tenant_they_are_of() {
        let (mut map, bucket) = (ObjectMap::new(9), bucket());
        for (number, of) in [(1, "acme"), (2, "globex"), (7, "acme"), (3, "acme")] {
            map.insert(&tenant(of), (&bucket, &number.to_string()), (), number);
        }
        map.remove((&bucket, "2"), &());
        map.truncate(3);
        assert_eq!(map.ages.len(), 3);
        map.drop_oldest(|number| *number < 5);
        assert_eq!(map.take_below(&bucket, "").into_iter().map(|(.., number)| number).collect::<Vec<_>>(), [3, 7]);
        assert!(map.ages.is_empty());
    }
}
