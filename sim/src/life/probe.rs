//! What a life finds out of the disk that a power loss left: a copy of the machine, in which one bit turns, starts as the
//! machine does, and what it says of the damage is judged. Then the machine goes on as if nothing had been.
//!
//! Or a catalog of an earlier time takes the place of today's, which hides what was made since: nothing of it is given to
//! somebody else, and nothing of it is removed.
//!
//! So each kind of life meets damage, and one place of it alone, where it is known exactly what may be missing.
//!
//! The copy makes its choices in the machine's place, so that a recorded run has them too. When a promise is broken, the copy
//! stays: it is what there is to be seen.

use super::Life;
use crate::choice::Choices;
use crate::disk::{CrashKind, FaultKind};
use crate::marks::Mark;
use crate::oracle::Violation;
use crate::world::Schedule;

/// Of so many in a thousand power losses, what is left is looked at.
const PROBES_PER_MILLE: u64 = 250;

/// Of so many in a thousand looks, an earlier catalog is put back instead.
const EARLIER_CATALOGS_PER_MILLE: u64 = 250;

impl Life {
    /// See the module.
    pub(super) fn probe(&mut self) -> Result<(), Violation> {
        let without = self.world.disk().profile().without;
        if without.contains(FaultKind::BitFlip) || !self.world.choices.chance("probe/at_all", PROBES_PER_MILLE) {
            return Ok(());
        }
        let choices = std::mem::replace(&mut self.world.choices, Choices::odometer());
        let mut kept = self.world.clone();
        self.world.choices = choices;
        let calm = self.world.disk().profile().calmed();
        self.world.disk_mut().set_profile(calm);
        self.world.disk_mut().repair();
        self.world.disk_mut().set_quota(None);
        self.world.schedule = Schedule::ANY;
        if let Some(earlier) = self.earlier_catalog() {
            if self.world.bring_catalog_back(&earlier) {
                // A client that is answered that there is no such database makes one.
                for _ in 0..2 {
                    self.ask_to_open_all()?;
                    self.drain("with an earlier catalog")?;
                }
            }
        } else if self.world.turn_a_bit() {
            self.ask_to_open_all()?;
            self.drain("with one bit turned")?;
            if self.world.choices.choice("probe/again", 2) == 1 {
                self.world.crash(CrashKind::Power)?;
                self.ask_to_open_all()?;
                self.drain("with one bit turned, once more")?;
            }
            kept.mark(Mark::Probed);
        }
        kept.choices = std::mem::replace(&mut self.world.choices, Choices::odometer());
        self.world = kept;
        Ok(())
    }

    /// A catalog of before some database was made, now and then.
    fn earlier_catalog(&mut self) -> Option<Vec<u8>> {
        let choices = &mut self.world.choices;
        if self.catalogs.is_empty() || !choices.chance("probe/earlier", EARLIER_CATALOGS_PER_MILLE) {
            return None;
        }
        let which = choices.choice("probe/which", self.catalogs.len() as u64);
        self.catalogs.get(usize::try_from(which).expect("below the number of catalogs")).cloned()
    }
}
