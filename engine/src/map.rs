//! A persistent sorted map: the memtable's shape.
//!
//! A B+tree whose nodes are shared between clones and copied when one of them changes. A clone
//! costs one reference count, so a batch can keep the state it produced, readers can hold a state
//! for as long as they like, and a simulator can fork the engine at every step.
//!
//! Invariants: keys are strictly increasing; every leaf hangs at the same depth; no node is empty
//! but a root that is a leaf; no node holds more than [`FANOUT`] entries. A leaf that becomes empty
//! is removed and others are not merged ("free at empty", Johnson and Shasha 1993).

use std::sync::Arc;

/// Entries of one node at most. Copying a path copies a few nodes of this size.
const FANOUT: usize = 32;

#[derive(Debug)]
enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    /// Children with a lower bound of their keys; the first bound is never compared.
    Inner(Vec<(K, Arc<Node<K, V>>)>),
}

impl<K: Copy, V: Clone> Clone for Node<K, V> {
    /// Leaves room for the entry that is usually added next.
    fn clone(&self) -> Node<K, V> {
        fn roomy<T: Clone>(entries: &[T]) -> Vec<T> {
            let mut copy = Vec::with_capacity(FANOUT + 1);
            copy.extend_from_slice(entries);
            copy
        }
        match self {
            Node::Leaf(entries) => Node::Leaf(roomy(entries)),
            Node::Inner(children) => Node::Inner(roomy(children)),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    root: Arc<Node<K, V>>,
    len: usize,
}

impl<K: Copy + Ord, V: Clone> Map<K, V> {
    pub(crate) fn new() -> Map<K, V> {
        Map { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Inner(children) => node = &children[child_of(children, key)].1,
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
                    return Some(&entries[at].1);
                }
            }
        }
    }

    /// Puts a value and returns the one it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (replaced, split) = insert(&mut self.root, key, value);
        if let Some((bound, right)) = split {
            let left = Arc::clone(&self.root);
            self.root = Arc::new(Node::Inner(vec![(bound, left), (bound, right)]));
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
                Node::Inner(children) if children.len() == 1 => Arc::clone(&children[0].1),
                Node::Inner(children) if children.is_empty() => Arc::new(Node::Leaf(Vec::new())),
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
                    let at = child_of(children, &from);
                    path.push((children.as_slice(), at));
                    node = &children[at].1;
                }
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(key, _)| *key < from);
                    return Range { path, leaf: entries.as_slice(), at };
                }
            }
        }
    }
}

/// The child whose range holds `key`.
fn child_of<K: Ord, C>(children: &[(K, C)], key: &K) -> usize {
    children[1..].partition_point(|(bound, _)| bound <= key)
}

type Split<K, V> = Option<(K, Arc<Node<K, V>>)>;

fn insert<K: Copy + Ord, V: Clone>(node: &mut Arc<Node<K, V>>, key: K, value: V) -> (Option<V>, Split<K, V>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => (Some(std::mem::replace(&mut entries[at].1, value)), None),
            Err(at) => {
                entries.insert(at, (key, value));
                (None, split_off(entries, at).map(|(bound, right)| (bound, Arc::new(Node::Leaf(right)))))
            }
        },
        Node::Inner(children) => {
            let at = child_of(children, &key);
            let (replaced, split) = insert(&mut children[at].1, key, value);
            let Some((bound, right)) = split else { return (replaced, None) };
            children.insert(at + 1, (bound, right));
            (replaced, split_off(children, at + 1).map(|(bound, right)| (bound, Arc::new(Node::Inner(right)))))
        }
    }
}

/// Splits what has grown too long: in the middle, or before the last entry when entries arrive in
/// ascending order, so that nodes filled in order stay full.
fn split_off<K: Copy, T>(entries: &mut Vec<(K, T)>, inserted_at: usize) -> Option<(K, Vec<(K, T)>)> {
    if entries.len() <= FANOUT {
        return None;
    }
    let ascending = inserted_at + 1 == entries.len();
    let at = if ascending { entries.len() - 1 } else { entries.len() / 2 };
    let mut right = Vec::with_capacity(FANOUT + 1);
    right.extend(entries.drain(at..));
    Some((right[0].0, right))
}

/// Removes a key known to be there; a child left empty is removed with it.
fn remove<K: Copy + Ord, V: Clone>(node: &mut Arc<Node<K, V>>, key: &K) -> Option<V> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
            Some(entries.remove(at).1)
        }
        Node::Inner(children) => {
            let at = child_of(children, key);
            let removed = remove(&mut children[at].1, key);
            let empty = match &*children[at].1 {
                Node::Leaf(entries) => entries.is_empty(),
                Node::Inner(children) => children.is_empty(),
            };
            if empty {
                children.remove(at);
            }
            removed
        }
    }
}

type Children<'map, K, V> = &'map [(K, Arc<Node<K, V>>)];

/// Entries in order; see [`Map::range`].
pub(crate) struct Range<'map, K, V> {
    path: Vec<(Children<'map, K, V>, usize)>,
    leaf: &'map [(K, V)],
    at: usize,
}

impl<'map, K, V> Iterator for Range<'map, K, V> {
    type Item = (&'map K, &'map V);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at >= self.leaf.len() {
            // Up to the nearest node with a further child, then down to its first leaf.
            let (children, at) = self.path.last_mut()?;
            *at += 1;
            let Some((_, child)) = children.get(*at) else {
                self.path.pop();
                continue;
            };
            let mut node = &**child;
            loop {
                match node {
                    Node::Inner(children) => {
                        self.path.push((children.as_slice(), 0));
                        node = &children[0].1;
                    }
                    Node::Leaf(entries) => {
                        (self.leaf, self.at) = (entries.as_slice(), 0);
                        break;
                    }
                }
            }
        }
        let (key, value) = &self.leaf[self.at];
        self.at += 1;
        Some((key, value))
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
        ) {
            let (mut ours, mut theirs) = (Map::new(), BTreeMap::new());
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
        let mut map = Map::new();
        for key in 0..100_000_u64 {
            map.insert(key, key);
        }
        assert!(map.range(0).map(|(key, _)| *key).eq(0..100_000));
        assert_eq!(map.get(&99_999), Some(&99_999));
    }
}
