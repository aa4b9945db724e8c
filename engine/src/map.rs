//! A persistent sorted map: the memtable's shape.
//!
//! A B+tree whose nodes are shared between clones and copied when one of them changes. A clone
//! costs one reference count, so a batch can keep the state it produced, readers can hold a state
//! for as long as they like, and a simulator can fork the engine at every step.
//!
//! What a change costs is the copy of the nodes above it, and what that costs is the counts it raises: one a value of
//! the leaf, each on a cache line of its own, and one a child above. So nodes are small ([`crate::Options::map_fanout`])
//! and each is one allocation, which holds its entries side by side and is found without a header between.
//!
//! Invariants: keys are strictly increasing; every leaf hangs at the same depth; no node is empty
//! but a root that is a leaf; no node holds more entries than the map's fan-out. An empty node is removed; one that is
//! left with a quarter of the fan-out or less is merged with a neighbour that has room, so that the nodes of a map in
//! which much was deleted are few.

use std::borrow::Borrow;
use std::hint::black_box;
use std::iter::repeat_with;
use std::sync::Arc;

/// Halves and quarters of a node are to be something.
const FANOUT_MIN: usize = 4;

/// A node has room for up to so many entries more than it holds, or for as many again when it grows at its end.
const ROOM: usize = 4;

/// What a map holds: a clone of it raises a count, or none.
pub(crate) trait Shared: Clone {
    /// Reads the count that a clone raises, for the sake of having its cache line; nothing depends on what is read.
    fn load_count(&self) -> usize;
}

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

/// Entries in ascending order, and empty slots behind them.
#[derive(Debug)]
struct Slots<K, T>(Arc<[Option<(K, T)>]>);

impl<K, T> Clone for Slots<K, T> {
    fn clone(&self) -> Slots<K, T> {
        Slots(Arc::clone(&self.0))
    }
}

impl<K: Clone + Ord, T: Shared> Slots<K, T> {
    /// A node of `slots` slots, which are at least as many as there are entries.
    fn new(entries: impl Iterator<Item = (K, T)>, slots: usize) -> Slots<K, T> {
        Slots(entries.map(Some).chain(repeat_with(|| None)).take(slots).collect())
    }

    /// How many slots a node of `len` entries has.
    fn roomy(len: usize, fanout: usize) -> usize {
        (len + 1).next_multiple_of(ROOM).min(fanout)
    }

    fn len(&self) -> usize {
        self.0.partition_point(Option::is_some)
    }

    fn entries(&self) -> impl Iterator<Item = &(K, T)> + Clone {
        self.0.iter().flatten()
    }

    fn get(&self, at: usize) -> Option<&(K, T)> {
        self.0.get(at)?.as_ref()
    }

    /// The slots to be changed: copied first where another map shares them.
    ///
    /// Each raise of a count waits for its own cache line, since no processor overlaps them. Plain loads it does
    /// overlap: so all lines are asked for first.
    fn own(&mut self) -> &mut [Option<(K, T)>] {
        if Arc::get_mut(&mut self.0).is_none() {
            let counts = self.entries().map(|(_, value)| value.load_count());
            black_box(counts.fold(0, usize::wrapping_add));
        }
        Arc::make_mut(&mut self.0)
    }

    /// How many keys are below `key`.
    fn below<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0.partition_point(|slot| slot.as_ref().is_some_and(|(other, _)| other.borrow() < key))
    }

    /// As a node's children: the one whose range holds `key`.
    fn child_of<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        self.0[1..].partition_point(|slot| slot.as_ref().is_some_and(|(bound, _)| bound.borrow() <= key))
    }

    /// As a node's children.
    fn child(&self, at: usize) -> &T {
        &self.get(at).expect("an inner node has a child for every key").1
    }

    /// Puts an entry at its place. What is full already is split: in the middle, or behind the last entry when entries
    /// arrive in ascending order, so that nodes filled in order stay full.
    fn insert(&mut self, at: usize, key: K, value: T, fanout: usize) -> Option<(K, Slots<K, T>)> {
        let (len, entry) = (self.len(), (key, value));
        if len < self.0.len() {
            let slots = self.own();
            slots[len] = Some(entry);
            slots[at..=len].rotate_right(1);
            return None;
        }
        if len < fanout {
            let slots = if at == len { (2 * len).min(fanout) } else { 0 }.max(Self::roomy(len + 1, fanout));
            let (before, behind) = self.own().split_at_mut(at);
            let (before, behind) =
                (before.iter_mut().filter_map(Option::take), behind.iter_mut().filter_map(Option::take));
            *self = Slots::new(before.chain([entry]).chain(behind), slots);
            return None;
        }
        let middle = if at == len { len } else { len / 2 };
        let mut right = Slots::new(self.entries().skip(middle).cloned(), Self::roomy(len - middle, fanout));
        if middle < len {
            *self = Slots::new(self.entries().take(middle).cloned(), Self::roomy(middle, fanout));
        }
        let (key, value) = entry;
        let unsplit = if at < middle {
            self.insert(at.min(self.len()), key, value, fanout)
        } else {
            right.insert(at - middle, key, value, fanout)
        };
        assert!(unsplit.is_none(), "half of a node has room for an entry");
        let (bound, _) = right.get(0).expect("the new entry or those from the middle on are there");
        Some((bound.clone(), right))
    }

    /// Takes an entry out, and gives room back that is not needed any more.
    fn remove(&mut self, at: usize, fanout: usize) -> Option<(K, T)> {
        let slots = self.own();
        let removed = slots[at].take();
        slots[at..].rotate_left(1);
        let len = self.len();
        if self.0.len() > len + 2 * ROOM {
            *self = Slots::new(self.own().iter_mut().filter_map(Option::take), Self::roomy(len, fanout));
        }
        removed
    }

    /// One node of what was two.
    fn joined(&self, right: impl Iterator<Item = (K, T)>, len: usize, fanout: usize) -> Slots<K, T> {
        Slots::new(self.entries().cloned().chain(right), Self::roomy(len, fanout))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Shared for usize {
        fn load_count(&self) -> usize {
            0
        }
    }

    /// What the module promises of the shape.
    fn assert_shape<K: Clone + Ord + std::fmt::Debug, V: Shared>(map: &Map<K, V>) {
        fn depth<K: Clone + Ord + std::fmt::Debug, V: Shared>(
            node: &Node<K, V>,
            is_root: bool,
            fanout: usize,
        ) -> usize {
            assert!(node.len() <= fanout);
            match node {
                Node::Leaf(entries) => {
                    assert!(is_root || entries.len() > 0);
                    assert!(entries.entries().is_sorted_by(|one, next| one.0 < next.0));
                    let len = entries.len();
                    assert!(entries.0.len() <= (2 * len).max(len + 2 * ROOM), "room that nobody needs");
                    0
                }
                Node::Inner(children) => {
                    assert!(children.len() > usize::from(is_root));
                    assert!(children.entries().skip(1).is_sorted_by(|one, next| one.0 < next.0));
                    let depths: Vec<usize> = children.entries().map(|(_, child)| depth(child, false, fanout)).collect();
                    assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "{depths:?}");
                    depths[0] + 1
                }
            }
        }
        depth(&map.root, true, map.fanout);
    }

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
                prop_assert!(ours.iter().eq(theirs.iter()));
                prop_assert!(ours.range(&from).eq(theirs.range(from..)));
                assert_shape(ours);
            }
        }
    }

    #[test]
    fn holds_many_entries_in_order() {
        let mut map = Map::new(16);
        for key in 0..100_000_u64 {
            map.insert(key, key);
        }
        assert!(map.iter().map(|(key, _)| *key).eq(0..100_000));
        assert_eq!(map.get(&99_999), Some(&99_999));
        assert_shape(&map);
    }

    /// Deletions of nearly everything, at random places, once left a node for each entry that stayed.
    #[test]
    fn a_map_in_which_much_was_deleted_has_few_nodes() {
        fn leaves<K: Clone + Ord, V: Shared>(node: &Node<K, V>) -> usize {
            match node {
                Node::Leaf(_) => 1,
                Node::Inner(children) => children.entries().map(|(_, child)| leaves(child)).sum(),
            }
        }
        let mut map = Map::new(16);
        for key in 0..16_000_u64 {
            map.insert(key, key);
        }
        assert_eq!(leaves(&map.root), 1000, "what is filled in order is full");
        for key in (0..16_000).filter(|key| key % 16 != 7) {
            map.remove(&key);
        }
        assert_eq!(map.len(), 1000);
        assert!(leaves(&map.root) <= 250, "{} leaves", leaves(&map.root));
    }
}
