//! Who may use the daemon, by the credentials of the connected process.
//!
//! Owns the decision alone. The credentials are the kernel's word (SO_PEERCRED): the user and the effective group at the
//! time of connecting; further groups of the user are not in them.

/// The users and groups that are served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Users that are served.
    pub uids: Vec<u32>,
    /// Groups whose processes are served.
    pub gids: Vec<u32>,
}

impl Allowed {
    /// Whether a process of this user and group is served: everybody is whom the socket lets in, where nobody is named.
    pub(crate) fn lets_in(&self, uid: u32, gid: u32) -> bool {
        let all = self.uids.is_empty() && self.gids.is_empty();
        all || self.uids.contains(&uid) || self.gids.contains(&gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_or_a_group_is_enough_and_nobody_named_is_everybody() {
        assert!(Allowed::default().lets_in(7, 8));
        let allowed = Allowed { uids: vec![7], gids: vec![8] };
        assert!(allowed.lets_in(7, 0) && allowed.lets_in(0, 8));
        assert!(!Allowed { uids: vec![7], gids: vec![] }.lets_in(8, 7));
        assert!(!Allowed { uids: vec![], gids: vec![8] }.lets_in(8, 7));
        // Not even root, who is not named.
        assert!(!allowed.lets_in(0, 0) && !allowed.lets_in(8, 7));
    }
}
