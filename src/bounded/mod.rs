//! Maps that hold a limited number of entries. A new entry replaces the one that was written longest ago.

mod object_map;

pub(crate) use object_map::{ObjectMap, ObjectName};

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// A map with a limit. Reading an entry doesn't keep it longer.
#[derive(Debug)]
pub(crate) struct BoundedMap<K, V> {
    limit: usize,
    entries: HashMap<K, (u64, V)>,
    /// The keys by the turn in which they were written.
    turns: BTreeMap<u64, K>,
    next_turn: u64,
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    /// An empty map that takes `limit` entries.
    #[must_use]
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, entries: HashMap::new(), turns: BTreeMap::new(), next_turn: 0 }
    }

    /// Writes an entry.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.turns.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.turns.insert(self.next_turn, key.clone());
        self.entries.insert(key, (self.next_turn, value));
        self.next_turn += 1;
    }

    /// The value of `key`.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// The keys, in the order in which they were written.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.turns.values()
    }

    /// Takes out all entries whose keys are `meant`, in the order in which they were written.
    pub(crate) fn take_where(&mut self, mut meant: impl FnMut(&K) -> bool) -> Vec<(K, V)> {
        let keys: Vec<K> = self.turns.values().filter(|key| meant(key)).cloned().collect();
        keys.into_iter().filter_map(|key| self.remove(&key).map(|value| (key, value))).collect()
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (turn, value) = self.entries.remove(key)?;
        self.turns.remove(&turn);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_written_longest_ago_makes_room() {
        let mut map = BoundedMap::new(2);
        map.insert("a", 1);
        map.insert("b", 2);
        map.insert("a", 3);
        map.insert("c", 4);
        assert_eq!((map.find("a"), map.find("b"), map.find("c")), (Some(&3), None, Some(&4)));
        assert_eq!((map.entries.len(), map.turns.len()), (2, 2));
        map.insert("b", 5);
        assert_eq!(map.take_where(|key| *key != "b"), [("c", 4)]);
        assert_eq!((map.remove(&"b"), map.remove(&"b")), (Some(5), None));
        assert_eq!((map.entries.len(), map.turns.len()), (0, 0));
    }
}
