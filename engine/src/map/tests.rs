//! The map against the standard one, and its shape.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

impl Shared for usize {
    fn load_count(&self) -> usize {
        0
    }
}

impl Shared for u64 {
    fn load_count(&self) -> usize {
        0
    }
}

/// What the module promises of the shape.
fn assert_shape<K: Clone + Ord + std::fmt::Debug, V: Shared>(map: &Map<K, V>) {
    fn depth<K: Clone + Ord + std::fmt::Debug, V: Shared>(node: &Node<K, V>, is_root: bool, fanout: usize) -> usize {
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
            prop_assert!(ours.descending(Some(&from)).eq(theirs.range(..from).rev()));
            prop_assert!(ours.descending(None::<&u32>).eq(theirs.iter().rev()));
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
