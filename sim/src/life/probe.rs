//! What a life finds out of the disk that a power loss left: a copy of the machine, in which one bit turns, starts as the
//! machine does, and what it says of the damage is judged. Then the machine goes on as if nothing had been.
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
        if self.world.turn_a_bit() {
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
}
