//! The databases that are to be created, in the order in which clients asked for them.
//!
//! Invariants: a name stands in the queue once, and a later request for it waits with the first one; the front is the one
//! that is under way. It begins no creation and answers nobody.

use std::collections::{BTreeMap, VecDeque};

use docdb_protocol::{DatabaseId, DatabaseName, Request};

use crate::message::RequestId;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct CreateQueue {
    order: VecDeque<DatabaseName>,
    wanted: BTreeMap<DatabaseName, Wanted>,
}

/// What stands in the queue under a name.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) id: DatabaseId,
    pub(super) waiting: Vec<(RequestId, Request)>,
}

impl CreateQueue {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Those that wait for this database, where it stands in the queue.
    pub(super) fn waiting_for(&mut self, name: &DatabaseName) -> Option<&mut Vec<(RequestId, Request)>> {
        self.wanted.get_mut(name).map(|wanted| &mut wanted.waiting)
    }

    /// Puts a database at the end, which is not in the queue yet.
    pub(super) fn push(&mut self, name: DatabaseName, id: DatabaseId, request: (RequestId, Request)) {
        self.order.push_back(name.clone());
        let before = self.wanted.insert(name, Wanted { id, waiting: vec![request] });
        assert!(before.is_none(), "a name stands in the queue once");
    }

    pub(super) fn front(&self) -> Option<(&DatabaseName, DatabaseId)> {
        let name = self.order.front()?;
        Some((name, self.wanted[name].id))
    }

    /// Takes the front out.
    pub(super) fn pop(&mut self) -> Option<(DatabaseName, Wanted)> {
        let name = self.order.pop_front()?;
        self.wanted.remove_entry(&name)
    }

    /// Takes out all that are not under way, and names the requests that waited for them.
    pub(super) fn refuse_behind_front(&mut self) -> Vec<RequestId> {
        let behind = self.order.split_off(self.order.len().min(1));
        let wanted = behind.iter().filter_map(|name| self.wanted.remove(name));
        wanted.flat_map(|wanted| wanted.waiting).map(|(request, _)| request).collect()
    }
}
