//! The merge patch of RFC 7396: members that are null are removed, objects are merged, all else is replaced.

use std::collections::BTreeMap;

use super::tree::{Kind, Value, members};

/// Merges a patch, a text without blanks around it, into a value.
pub(super) fn merge<'a>(target: &mut Value<'a>, patch: &'a [u8]) {
    let Some(changes) = members(patch) else {
        *target = patch.into();
        return;
    };
    if !target.open().is_some_and(|container| container.kind == Kind::Object) {
        *target = Value::empty_object();
    }
    let container = target.open().expect("it is an object");
    // Of a name that the patch has twice the last one counts, at the place of the first.
    let mut wanted: BTreeMap<&str, (&'a [u8], bool)> = BTreeMap::new();
    for (name, value) in &changes {
        wanted.insert(name, (value, false));
    }
    let mut is_removed = vec![false; container.len()];
    for index in (0..container.len()).rev() {
        let name = container.name(index);
        let Some((change, is_done)) = wanted.get_mut(&*name) else { continue };
        if *change == b"null" {
            is_removed[index] = true;
        } else if !std::mem::replace(is_done, true) {
            merge(container.value(index), change);
        }
    }
    container.remove_all(&is_removed);
    for (name, _) in &changes {
        let Some((change, is_done)) = wanted.get_mut(&**name) else { continue };
        if *change != b"null" && !std::mem::replace(is_done, true) {
            let mut value = Value::from(*change);
            remove_nulls(&mut value, change);
            container.push_member(name, value);
        }
    }
}

/// What is merged into nothing has no members that are null; those of arrays stay as they are. Of a name that is there twice the
/// last one counts, at the place of the first, as it does where there is something to merge with.
fn remove_nulls<'a>(value: &mut Value<'a>, text: &'a [u8]) {
    let Some(inner) = members(text) else { return };
    let mut last_places: BTreeMap<&str, usize> =
        inner.iter().enumerate().map(|(index, (name, _))| (&**name, index)).collect();
    let mut is_removed = vec![false; inner.len()];
    for (index, (name, _)) in inner.iter().enumerate() {
        // The first of its name takes the entry, so that the others find none.
        let counts = last_places.remove(&**name).map(|last| (last, inner[last].1));
        let Some((last, member)) = counts.filter(|(_, member)| *member != b"null") else {
            is_removed[index] = true;
            continue;
        };
        let mut changed = Value::from(member);
        remove_nulls(&mut changed, member);
        // What needs no change stays closed, and keeps its text.
        if last != index || matches!(changed, Value::Open(_)) {
            *value.open().expect("it is an object").value(index) = changed;
        }
    }
    if is_removed.contains(&true) {
        value.open().expect("it is an object").remove_all(&is_removed);
    }
}
