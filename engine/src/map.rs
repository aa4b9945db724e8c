//! A persistent sorted map: the memtable's shape.
//!
//! A B+tree whose nodes are shared between clones and copied when one of them changes. A clone
//! costs one reference count, so a batch can keep the state it produced, readers can hold a state
//! for as long as they like, and a simulator can fork the engine at every step.
//!
//! A change copies the nodes above it, and copying a node raises a count of each thing in it: of each value in a leaf, on a
//! cache line of its own, and of each child above. So nodes are small ([`crate::Options::map_fanout`])
//! and each is one allocation, which holds its entries side by side and is found without a header between.
//!
//! Invariants: keys are strictly increasing; every leaf hangs at the same depth; no node is empty
//! but a root that is a leaf; no node holds more entries than the map's fan-out. An empty node is removed; one that is
//! left with a quarter of the fan-out or less is merged with a neighbour that has room, so that the nodes of a map in
//! which much was deleted are few.

mod slots;

use std::borrow::Borrow;
use std::sync::Arc;

pub(crate) use slots::Shared;
use slots::{ROOM, Slots};

/// A half and a quarter of a node hold at least one entry.
const FANOUT_MIN: usize = 4;

impl<K, V> Shared for Node<K, V>
where
    K: Clone,
    V: Clone,
{
    fn load_count(&self) -> usize {
        match self {
            Node::Leaf(Slots(slots)) => Arc::strong_count(slots),
            Node::Inner(Slots(slots)) => Arc::strong_count(slots),
        }
    }
}

#[derive(Clone, Debug)]
enum Node<K, V> {
    Leaf(Slots<K, V>),
    /// Children with a lower bound of their keys; the first bound is never compared.
    Inner(Slots<K, Node<K, V>>),
}

impl<K: Clone + Ord, V: Shared> Node<K, V> {
    fn len(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.len(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Map<K, V> {
    root: Node<K, V>,
    len: usize,
    /// Entries of one node at most. Copying a path copies a few nodes of this size.
    fanout: usize,
}

impl<K: Clone + Ord, V: Shared> Map<K, V> {
    /// `fanout` is the number of entries of one node at most; at least [`FANOUT_MIN`] are taken.
    pub(crate) fn new(fanout: usize) -> Map<K, V> {
        let root = Node::Leaf(Slots::new(std::iter::empty(), 0));
        Map { root, len: 0, fanout: fanout.max(FANOUT_MIN) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// The value, with the key as it is held.
    pub(crate) fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => node = children.child(children.child_of(key)),
                Node::Leaf(entries) => {
                    let (found, value) = entries.get(entries.below(key))?;
                    return (found.borrow() == key).then_some((found, value));
                }
            }
        }
    }

    /// Puts a value and returns the one it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (replaced, split) = insert(&mut self.root, key, value, self.fanout);
        if let Some((bound, right)) = split {
            let children = [(bound.clone(), self.root.clone()), (bound, right)];
            self.root = Node::Inner(Slots::new(children.into_iter(), ROOM));
        }
        if replaced.is_none() {
            self.len += 1;
        }
        replaced
    }

    /// Takes a value out.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        // Looked up first, so that removing what is not there copies nothing.
        self.get(key)?;
        let removed = remove(&mut self.root, key, self.fanout);
        self.len -= 1;
        loop {
            let only = match &self.root {
                Node::Inner(children) if children.len() == 1 => children.child(0).clone(),
                Node::Inner(_) | Node::Leaf(_) => break,
            };
            self.root = only;
        }
        removed
    }

    /// The entries in order.
    pub(crate) fn iter(&self) -> Range<'_, K, V> {
        self.walk(|_| 0, |_| 0)
    }

    /// The entries from `from` on, in order.
    pub(crate) fn range<Q: Ord + ?Sized>(&self, from: &Q) -> Range<'_, K, V>
    where
        K: Borrow<Q>,
    {
        self.walk(|children| children.child_of(from), |entries| entries.below(from))
    }

    /// The entries below `end` in descending order; all of them where there is no end.
    pub(crate) fn descending<Q: Ord + ?Sized>(&self, end: Option<&Q>) -> Descending<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let mut path = Vec::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = end.map_or_else(|| children.len() - 1, |end| children.child_of(end));
                    path.push((children, at));
                    node = children.child(at);
                }
                Node::Leaf(leaf) => {
                    return Descending { path, leaf, end: end.map_or_else(|| leaf.len(), |end| leaf.below(end)) };
                }
            }
        }
    }

    fn walk(
        &self,
        child_of: impl Fn(&Children<K, V>) -> usize,
        first: impl Fn(&Slots<K, V>) -> usize,
    ) -> Range<'_, K, V> {
        let mut path = Vec::new();
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(children) => {
                    let at = child_of(children);
                    path.push((children, at));
                    node = children.child(at);
                }
                Node::Leaf(leaf) => return Range { path, leaf, at: first(leaf) },
            }
        }
    }
}

type Children<K, V> = Slots<K, Node<K, V>>;

type Split<K, V> = Option<(K, Node<K, V>)>;

fn insert<K: Clone + Ord, V: Shared>(
    node: &mut Node<K, V>,
    key: K,
    value: V,
    fanout: usize,
) -> (Option<V>, Split<K, V>) {
    match node {
        Node::Leaf(entries) => {
            let at = entries.below(&key);
            if entries.get(at).is_some_and(|(found, _)| *found == key) {
                let replaced = entries.own()[at].replace((key, value));
                return (replaced.map(|(_, value)| value), None);
            }
            let split = entries.insert(at, key, value, fanout);
            (None, split.map(|(bound, right)| (bound, Node::Leaf(right))))
        }
        Node::Inner(children) => {
            let at = children.child_of(&key);
            let (_, child) = children.own()[at].as_mut().expect("an inner node has a child for every key");
            let (replaced, split) = insert(child, key, value, fanout);
            let Some((bound, right)) = split else { return (replaced, None) };
            let split = children.insert(at + 1, bound, right, fanout);
            (replaced, split.map(|(bound, right)| (bound, Node::Inner(right))))
        }
    }
}

/// Removes a key known to be there.
fn remove<K: Clone + Ord + Borrow<Q>, V: Shared, Q: Ord + ?Sized>(
    node: &mut Node<K, V>,
    key: &Q,
    fanout: usize,
) -> Option<V> {
    match node {
        Node::Leaf(entries) => entries.remove(entries.below(key), fanout).map(|(_, value)| value),
        Node::Inner(children) => {
            let at = children.child_of(key);
            let (_, child) = children.own()[at].as_mut().expect("an inner node has a child for every key");
            let removed = remove(child, key, fanout);
            let len = child.len();
            if len == 0 {
                children.remove(at, fanout);
            } else if len <= fanout / 4 {
                merge(children, at, fanout);
            }
            removed
        }
    }
}

/// Joins a child with a neighbour, where both together leave some room in one node.
fn merge<K: Clone + Ord, V: Shared>(children: &mut Children<K, V>, at: usize, fanout: usize) {
    if !merge_with_next(children, at, fanout) && at > 0 {
        merge_with_next(children, at - 1, fanout);
    }
}

fn merge_with_next<K: Clone + Ord, V: Shared>(children: &mut Children<K, V>, at: usize, fanout: usize) -> bool {
    let (Some((bound, left)), Some((right_bound, right))) = (children.get(at), children.get(at + 1)) else {
        return false;
    };
    let len = left.len() + right.len();
    if len > fanout - fanout / 4 {
        return false;
    }
    let joined = match (left, right) {
        (Node::Leaf(left), Node::Leaf(right)) => Node::Leaf(left.joined(right.entries().cloned(), len, fanout)),
        (Node::Inner(left), Node::Inner(right)) => {
            // The first bound of the right one was never compared; from now on it is.
            let bounds = std::iter::once(right_bound).chain(right.entries().skip(1).map(|(bound, _)| bound));
            let right = bounds.zip(right.entries()).map(|(bound, (_, child))| (bound.clone(), child.clone()));
            Node::Inner(left.joined(right, len, fanout))
        }
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {
            unreachable!("every leaf hangs at the same depth")
        }
    };
    let bound = bound.clone();
    children.own()[at] = Some((bound, joined));
    children.remove(at + 1, fanout);
    true
}

/// Entries in order; see [`Map::range`].
pub(crate) struct Range<'map, K, V> {
    path: Vec<(&'map Children<K, V>, usize)>,
    leaf: &'map Slots<K, V>,
    at: usize,
}

impl<'map, K: Clone + Ord, V: Shared> Iterator for Range<'map, K, V> {
    type Item = (&'map K, &'map V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.leaf.get(self.at) {
                self.at += 1;
                return Some((key, value));
            }
            // Up to the nearest node with a further child, then down to its first leaf.
            let (children, at) = self.path.last_mut()?;
            *at += 1;
            let Some((_, mut node)) = children.get(*at).map(|(bound, child)| (bound, child)) else {
                self.path.pop();
                continue;
            };
            while let Node::Inner(children) = node {
                self.path.push((children, 0));
                node = children.child(0);
            }
            if let Node::Leaf(entries) = node {
                (self.leaf, self.at) = (entries, 0);
            }
        }
    }
}

/// Entries in descending order; see [`Map::descending`].
pub(crate) struct Descending<'map, K, V> {
    path: Vec<(&'map Children<K, V>, usize)>,
    leaf: &'map Slots<K, V>,
    /// The entry in front of it is the next.
    end: usize,
}

impl<'map, K: Clone + Ord, V: Shared> Iterator for Descending<'map, K, V> {
    type Item = (&'map K, &'map V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(at) = self.end.checked_sub(1) {
                self.end = at;
                return self.leaf.get(at).map(|(key, value)| (key, value));
            }
            // Up to the nearest node with an earlier child, then down to its last leaf.
            let (children, at) = self.path.last_mut()?;
            let Some(before) = at.checked_sub(1) else {
                self.path.pop();
                continue;
            };
            *at = before;
            let mut node = children.child(before);
            while let Node::Inner(children) = node {
                self.path.push((children, children.len() - 1));
                node = children.child(children.len() - 1);
            }
            if let Node::Leaf(entries) = node {
                (self.leaf, self.end) = (entries, entries.len());
            }
        }
    }
}

#[cfg(test)]
mod tests;
