//! The merge patch of RFC 7396: members that are null are removed, objects are merged, all else is replaced.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::tree::{Kind, Value, members};

/// Merges a patch, a text without blanks around it, into a value.
pub(super) fn merge<'a>(target: &mut Value<'a>, patch: &'a [u8]) {
    let Some(changes) = members(patch) else {
        *target = Value::Text(patch.into());
        return;
    };
    if !target.open().is_some_and(|container| container.kind == Kind::Object) {
        *target = Value::Text(Cow::Borrowed(b"{}"));
    }
    let container = target.open().expect("it is an object");
    // Of a name that the patch has twice the last one counts, at the place of the first.
    let mut wanted: BTreeMap<&str, (&'a [u8], bool)> = BTreeMap::new();
    for (name, value) in &changes {
        wanted.insert(name, (value, false));
    }
    for index in (0..container.len()).rev() {
        let name = container.name(index);
        let Some((change, is_done)) = wanted.get_mut(&*name) else { continue };
        if *change == b"null" {
            container.remove(index);
        } else if !std::mem::replace(is_done, true) {
            merge(container.value(index), change);
        }
    }
    for (name, _) in &changes {
        let Some((change, is_done)) = wanted.get_mut(&**name) else { continue };
        if *change != b"null" && !std::mem::replace(is_done, true) {
            let mut value = Value::Text((*change).into());
            remove_nulls(&mut value, change);
            container.push_member(name, value);
        }
    }
}

/// What is merged into nothing has no members that are null; those of arrays stay as they are.
fn remove_nulls<'a>(value: &mut Value<'a>, text: &'a [u8]) {
    let Some(inner) = members(text) else { return };
    for (index, (_, member)) in inner.iter().enumerate().rev() {
        if *member == b"null" {
            value.open().expect("it is an object").remove(index);
        } else if member.starts_with(b"{") {
            let mut changed = Value::Text((*member).into());
            remove_nulls(&mut changed, member);
            // What has none stays closed, and keeps its text.
            if let Value::Open(_) = changed {
                *value.open().expect("it is an object").value(index) = changed;
            }
        }
    }
}
