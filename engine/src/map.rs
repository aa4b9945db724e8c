//! A persistent sorted map: the memtable's shape.
//!
//! A B+tree whose nodes are shared between clones and copied when one of them changes. A clone
//! costs one reference count, so a batch can keep the state it produced, readers can hold a state
//! for as long as they like, and a simulator can fork the engine at every step.
//!
//! Invariants: keys are strictly increasing; every leaf hangs at the same depth; no node is empty
//! but a root that is a leaf; no node holds more entries than the map's fan-out. A leaf that becomes empty
//! is removed and others are not merged ("free at empty", Johnson and Shasha 1993).

use std::sync::Arc;

/// A node that is split leaves at least two entries on one side.
const FANOUT_MIN: usize = 3;

/// Keys lie apart from what they lead to, so that a search touches few cache lines.
#[derive(Debug)]
enum Node<K, V> {
    Leaf(Entries<K, V>),
    /// Children with a lower bound of their keys; the first bound is never compared.
    Inner(Entries<K, Arc<Node<K, V>>>),
}

/// Keys in ascending order, and as many values.
#[derive(Debug)]
struct Entries<K, T> {
    keys: Vec<K>,
    values: Vec<T>,
}

impl<K: Copy + Ord, T> Entries<K, T> {
    fn new() -> Entries<K, T> {
        Entries { keys: Vec::new(), values: Vec::new() }
    }

    fn insert(&mut self, at: usize, key: K, value: T) {
        self.keys.insert(at, key);
        self.values.insert(at, value);
    }

    fn remove(&mut self, at: usize) -> T {
        self.keys.remove(at);
        self.values.remove(at)
    }

    /// As a node's child entries: the one whose range holds `key`.
    fn child_of(&self, key: &K) -> usize {
        self.keys[1..].partition_point(|bound| bound <= key)
    }

    /// Splits what has grown too long: in the middle, or before the last entry when entries arrive in
    /// ascending order, so that nodes filled in order stay full.
    fn split_off(&mut self, inserted_at: usize, fanout: usize) -> Option<(K, Entries<K, T>)> {
        let len = self.keys.len();
        if len <= fanout {
            return None;
        }
        let at = if inserted_at + 1 == len { len - 1 } else { len / 2 };
        let mut right = Entries::new();
        right.keys.extend(self.keys.drain(at..));
        right.values.extend(self.values.drain(at..));
        Some((right.keys[0], right))
    }
}

impl<K: Copy, T: Clone> Clone for Entries<K, T> {
    /// Leaves room for the entry that is usually added next.
    fn clone(&self) -> Entries<K, T> {
        fn roomy<T: Clone>(values: &[T]) -> Vec<T> {
            let mut copy = Vec::with_capacity(values.len() + 1);
            copy.extend_from_slice(values);
            copy
        }
        Entries { keys: roomy(&self.keys), values: roomy(&self.values) }
    }
}

impl<K: Copy, V: Clone> Clone for Node<K, V> {
    fn clone(&self) -> Node<K, V> {
        match self {
            Node::Leaf(entries) => Node::Leaf(entries.clone()),
            Node::Inner(children) => Node::Inner(children.clone()),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
    /// Entries of one node at most. Copying a path copies a few nodes of this size.
    fanout: usize,
}

impl<K: Copy + Ord, V: Clone> Map<K, V> {
    /// `fanout` is the number of entries of one node at most; it is at least [`FANOUT_MIN`].
    pub(crate) fn new(fanout: usize) -> Map<K, V> {
        Map { root: Arc::new(Node::Leaf(Entries::new())), len: 0, fanout: fanout.max(FANOUT_MIN) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children.values[children.child_of(key)],
                Node::Leaf(entries) => {
                    let at = entries.keys.binary_search(key).ok()?;
                    return Some(&entries.values[at]);
                }
            }
        }
    }

    /// Puts a value and returns the one it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (replaced, split) = insert(&mut self.root, key, value, self.fanout);
        if let Some((bound, right)) = split {
            let left = Arc::clone(&self.root);
            self.root = Arc::new(Node::Inner(Entries { keys: vec![bound, bound], values: vec![left, right] }));
        }
        if replaced.is_none() {
            self.len += 1;
        }
        replaced
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        // Looked up first, so that removing what is not there copies nothing.
        self.get(key)?;
        let removed = remove(&mut self.root, key);
        self.len -= 1;
        loop {
            let only = match &*self.root {
                Node::Inner(children) if children.keys.len() == 1 => Arc::clone(&children.values[0]),
                Node::Inner(children) if children.keys.is_empty() => Arc::new(Node::Leaf(Entries::new())),
                Node::Inner(_) | Node::Leaf(_) => break,
            };
            self.root = only;
        }
        removed
    }

    /// The entries from `from` on, in order.
    pub(crate) fn range(&self, from: K) -> Range<'_, K, V> {
        let mut path = Vec::new();
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = children.child_of(&from);
                    path.push((children, at));
                    node = &children.values[at];
                }
                Node::Leaf(entries) => {
                    let at = entries.keys.partition_point(|key| *key < from);
                    return Range { path, leaf: entries, at };
                }
            }
        }
    }
}

type Split<K, V> = Option<(K, Arc<Node<K, V>>)>;

fn insert<K: Copy + Ord, V: Clone>(
    node: &mut Arc<Node<K, V>>,
    key: K,
    value: V,
    fanout: usize,
) -> (Option<V>, Split<K, V>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => match entries.keys.binary_search(&key) {
            Ok(at) => (Some(std::mem::replace(&mut entries.values[at], value)), None),
            Err(at) => {
                entries.insert(at, key, value);
                (None, entries.split_off(at, fanout).map(|(bound, right)| (bound, Arc::new(Node::Leaf(right)))))
            }
        },
        Node::Inner(children) => {
            let at = children.child_of(&key);
            let (replaced, split) = insert(&mut children.values[at], key, value, fanout);
            let Some((bound, right)) = split else { return (replaced, None) };
            children.insert(at + 1, bound, right);
            (replaced, children.split_off(at + 1, fanout).map(|(bound, right)| (bound, Arc::new(Node::Inner(right)))))
        }
    }
}

/// Removes a key known to be there; a child left empty is removed with it.
fn remove<K: Copy + Ord, V: Clone>(node: &mut Arc<Node<K, V>>, key: &K) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = entries.keys.binary_search(key).ok()?;
            Some(entries.remove(at))
        }
        Node::Inner(children) => {
            let at = children.child_of(key);
            let removed = remove(&mut children.values[at], key);
            let empty = match &*children.values[at] {
                Node::Leaf(entries) => entries.keys.is_empty(),
                Node::Inner(children) => children.keys.is_empty(),
            };
            if empty {
                children.remove(at);
            }
            removed
        }
    }
}

type Children<K, V> = Entries<K, Arc<Node<K, V>>>;

/// Entries in order; see [`Map::range`].
pub(crate) struct Range<'map, K, V> {
    path: Vec<(&'map Children<K, V>, usize)>,
    leaf: &'map Entries<K, V>,
    at: usize,
}

impl<'map, K, V> Iterator for Range<'map, K, V> {
    type Item = (&'map K, &'map V);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at >= self.leaf.keys.len() {
            // Up to the nearest node with a further child, then down to its first leaf.
            let (children, at) = self.path.last_mut()?;
            *at += 1;
            let Some(child) = children.values.get(*at) else {
                self.path.pop();
                continue;
            };
            let mut node = &**child;
            loop {
                match node {
                    Node::Inner(children) => {
                        self.path.push((children, 0));
                        node = &children.values[0];
                    }
                    Node::Leaf(entries) => {
                        (self.leaf, self.at) = (entries, 0);
                        break;
                    }
                }
            }
        }
        let at = self.at;
        self.at += 1;
        Some((&self.leaf.keys[at], &self.leaf.values[at]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_standard_map_and_leaves_clones_alone(
            steps in prop::collection::vec((0_u32..300, any::<bool>()), 0..2000),
            from in 0_u32..300,
            fanout in 0_usize..70,
        ) {
            let (mut ours, mut theirs) = (Map::new(fanout), BTreeMap::new());
            let half = steps.len() / 2;
            let mut kept = (ours.clone(), theirs.clone());
            for (index, (key, is_insert)) in steps.into_iter().enumerate() {
                if index == half {
                    kept = (ours.clone(), theirs.clone());
                }
                if is_insert {
                    prop_assert_eq!(ours.insert(key, index), theirs.insert(key, index));
                } else {
                    prop_assert_eq!(ours.remove(&key), theirs.remove(&key));
                }
                prop_assert_eq!(ours.len(), theirs.len());
                prop_assert_eq!(ours.get(&key), theirs.get(&key));
            }
            for (ours, theirs) in [(&ours, &theirs), (&kept.0, &kept.1)] {
                prop_assert!(ours.range(0).eq(theirs.iter()));
                prop_assert!(ours.range(from).eq(theirs.range(from..)));
            }
        }
    }

    #[test]
    fn holds_many_entries_in_order() {
        let mut map = Map::new(64);
        for key in 0..100_000_u64 {
            map.insert(key, key);
        }
        assert!(map.range(0).map(|(key, _)| *key).eq(0..100_000));
        assert_eq!(map.get(&99_999), Some(&99_999));
    }
}
