//! The spare of one database: a segment prepared ahead of need, and removed when nobody needs it any more.
//!
//! Its jobs have a slot beside the log's, and a database is not closed before its spare is gone. A spare that fails is
//! reported, and tried again behind the next rotation; nothing else depends on it.

use crate::jobs::spare::Spare;

/// See the module. While one is made or removed, there is none.
#[derive(Clone, Copy, Debug)]
pub(super) enum SpareState {
    None,
    Ready(Spare),
    /// Not tried again before the next segment.
    Failed,
}

impl SpareState {
    /// Hands a spare over that is ready.
    pub(super) fn take(&mut self) -> Option<Spare> {
        match self {
            SpareState::Ready(spare) => {
                let spare = *spare;
                *self = SpareState::None;
                Some(spare)
            }
            SpareState::None | SpareState::Failed => None,
        }
    }

    /// A new segment is in use, so the next one may be prepared.
    pub(super) fn segment_switched(&mut self) {
        if matches!(self, SpareState::Failed) {
            *self = SpareState::None;
        }
    }
}
