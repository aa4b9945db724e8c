//! Mistakes in the core that the stories have to notice.

/// One mistake. At most one is active in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// No lane is called when work is queued.
    LaneNotCalled,
    /// A lane that was called counts as called for ever.
    CalledLaneStaysCalled,
    /// The timer is not woken for an earlier time.
    WishNotPassedOn,
    /// The messenger is not woken for a message.
    MessengerNotCalled,
    /// The thread that closes is not woken at the end.
    CloserNotCalled,
    /// A thread sleeps with its errands undone, and they are lost.
    RestWithErrandsUndone,
    /// A thread that releases the lock does not look for requests whose callers found it taken.
    InboxForgotten,
    /// Nor does a thread that releases it to carry an operation out.
    InboxLeftForWork,
    /// A caller sleeps without saying so.
    ParksUnannounced,
    /// A thread that goes away counts as coming back for an operation.
    LeavesForGood,
    /// Foreign code is called by a thread that holds an operation of the disk.
    TaskHeldDuringCallbacks,
}

impl Mistake {
    /// All of them.
    pub(crate) const ALL: [Mistake; 11] = [
        Mistake::LaneNotCalled,
        Mistake::CalledLaneStaysCalled,
        Mistake::WishNotPassedOn,
        Mistake::MessengerNotCalled,
        Mistake::CloserNotCalled,
        Mistake::RestWithErrandsUndone,
        Mistake::InboxForgotten,
        Mistake::InboxLeftForWork,
        Mistake::ParksUnannounced,
        Mistake::LeavesForGood,
        Mistake::TaskHeldDuringCallbacks,
    ];
}

/// Whether this run makes a mistake.
macro_rules! planted {
    ($mistake:ident) => {
        $crate::world::world().mistake == Some($crate::planted::Mistake::$mistake)
    };
}

pub(crate) use planted;
