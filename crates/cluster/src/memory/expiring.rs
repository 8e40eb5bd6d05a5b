//! A bounded map whose entries can run out.
//!
//! Owns: [`Expiring`]. Invariants: it has at most `most` entries; an entry that may run out is in `due` exactly once, so
//! refreshing one adds nothing. Does not: read a clock.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// The map has as many entries as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AtBound;

/// When an entry runs out; the number tells entries of the same instant apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    number: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    due: Option<Due>,
}

/// Values by key, each until its time, if it has one. An entry whose time has come is as good as gone at once; its
/// memory goes when it is next asked for, or with [`Expiring::sweep`].
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: HashMap<K, Entry<V>>,
    due: BTreeMap<Due, K>,
    numbers: u64,
    most: usize,
    expired: u64,
}

impl<K: Clone + Eq + Hash, V> Expiring<K, V> {
    /// An empty map of at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            due: BTreeMap::new(),
            numbers: 0,
            most,
            expired: 0,
        }
    }

    /// Entries, those included whose time has come but which are not swept yet.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries that have run out since the beginning.
    pub(super) fn expired(&self) -> u64 {
        self.expired
    }

    /// The value of `key`, if its time has not come.
    pub(super) fn get<Q>(&mut self, key: &Q, now: Instant) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let due = self.entries.get(key)?.due;
        if due.is_some_and(|due| due.at <= now) {
            self.remove(key);
            self.expired += 1;
            return None;
        }
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Keeps `value` under `key` until `until`, for ever if that is `None`; replaces what was there.
    ///
    /// Fails when the key is new and there is no room even without what has run out.
    pub(super) fn insert(
        &mut self,
        key: K,
        value: V,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), AtBound> {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.most {
            // one place is enough: entries come one at a time
            self.sweep(now, 1);
            if self.entries.len() >= self.most {
                return Err(AtBound);
            }
        }
        self.remove(&key);
        self.entries.insert(key.clone(), Entry { value, due: None });
        self.set_until(&key, until);
        Ok(())
    }

    /// Changes the time of `key`, if it is there.
    pub(super) fn set_until(&mut self, key: &K, until: Option<Instant>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(due) = entry.due.take() {
            self.due.remove(&due);
        }
        if let Some(at) = until {
            self.numbers += 1;
            let number = self.numbers;
            let due = Due { at, number };
            entry.due = Some(due);
            self.due.insert(due, key.clone());
        }
    }

    /// Takes `key` away; gives its value even if its time has come.
    pub(super) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entry = self.entries.remove(key)?;
        if let Some(due) = entry.due {
            self.due.remove(&due);
        }
        Some(entry.value)
    }

    /// Takes away at most `most` entries whose time has come, those first that are longest due; gives how many.
    pub(super) fn sweep(&mut self, now: Instant, most: usize) -> usize {
        let mut swept = 0;
        while swept < most {
            match self.due.first_entry() {
                Some(first) if first.key().at <= now => {
                    let key = first.remove();
                    self.entries.remove(&key);
                    swept += 1;
                }
                _ => break,
            }
        }
        self.expired += swept as u64;
        swept
    }

    /// Entries whose time has not come, in no order.
    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.entries.iter();
        let live = entries.filter(move |(_, entry)| entry.due.is_none_or(|due| due.at > now));
        live.map(|(key, entry)| (key, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[allow(clippy::disallowed_methods, reason = "a test has no other beginning")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn refreshing_adds_nothing_and_the_end_takes_everything() {
        let now = start();
        let mut map = Expiring::new(2);
        for round in 1..100 {
            let until = now + Duration::from_secs(round);
            assert_eq!(map.insert("a", round, Some(until), now), Ok(()));
            map.set_until(&"a", Some(until));
        }
        assert_eq!((map.len(), map.due.len()), (1, 1));
        let last = now + Duration::from_secs(99);
        assert_eq!(map.get("a", last - Duration::from_nanos(1)), Some(&mut 99));
        assert_eq!(map.get("a", last), None);
        assert_eq!((map.len(), map.due.len(), map.expired()), (0, 0, 1));
    }

    #[test]
    fn a_full_map_takes_what_it_has_and_gives_the_place_of_what_ran_out() {
        let now = start();
        let later = now + Duration::from_secs(1);
        let mut map = Expiring::new(2);
        assert_eq!(map.insert("a", 1, Some(later), now), Ok(()));
        assert_eq!(map.insert("b", 2, None, now), Ok(()));
        assert_eq!(map.insert("c", 3, None, now), Err(AtBound));
        assert_eq!(map.insert("b", 4, None, now), Ok(()));
        assert_eq!(map.insert("c", 3, None, later), Ok(()));
        assert_eq!((map.len(), map.expired()), (2, 1));
        assert_eq!(map.get("a", later), None);
    }

    #[test]
    fn a_sweep_is_bounded_and_takes_the_longest_due_first() {
        let now = start();
        let mut map = Expiring::new(10);
        for key in 0..10u32 {
            let until = now + Duration::from_secs(key.into());
            assert_eq!(map.insert(key, (), Some(until), now), Ok(()));
        }
        let middle = now + Duration::from_secs(4);
        assert_eq!(map.iter(middle).count(), 5);
        assert_eq!(map.sweep(middle, 3), 3);
        assert_eq!(map.sweep(middle, 3), 2);
        assert_eq!(map.sweep(middle, 3), 0);
        assert_eq!((map.len(), map.due.len(), map.expired()), (5, 5, 5));
    }
}
