//! How hostile the simulated device is: one profile a seed.
//!
//! Rates are in thousandths of the operations concerned; zero makes no choice at all.

use super::fault::{FaultKind, FaultSet, KINDS};
use crate::choice::Choices;

/// Which pending changes of names a power loss may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOrder {
    /// Any, as long as a change is only kept with all earlier ones of the same name.
    Posix,
    /// A prefix of them, across directories.
    Journal,
    /// Any at all, a later change of a name without an earlier one too. No file system that journals does so, and POSIX
    /// does not exclude it.
    Apart,
}

/// One device.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// What a power loss does to names.
    pub name_order: NameOrder,
    /// Kinds that do not exist, whatever their rates.
    pub without: FaultSet,
    rates: [u16; KINDS],
}

impl Profile {
    /// A device that only loses what was not synced.
    pub const CALM: Profile = Profile { name_order: NameOrder::Posix, without: FaultSet::EMPTY, rates: [0; KINDS] };

    /// The same device, on which `kind` strikes in `per_mille` of a thousand cases.
    #[must_use]
    pub const fn with(mut self, kind: FaultKind, per_mille: u16) -> Profile {
        self.rates[kind as usize] = per_mille;
        self
    }

    /// The same device, which loses names like this.
    #[must_use]
    pub const fn ordering(mut self, order: NameOrder) -> Profile {
        self.name_order = order;
        self
    }

    /// The same device once its faults have stopped.
    #[must_use]
    pub const fn calmed(self) -> Profile {
        Profile { rates: Profile::CALM.rates, ..self }
    }

    /// In how many of a thousand cases `kind` strikes.
    #[must_use]
    pub fn rate(&self, kind: FaultKind) -> u64 {
        if self.without.contains(kind) { 0 } else { u64::from(self.rates[kind as usize]) }
    }

    /// Draws how often `kind` strikes.
    pub(crate) fn draw<const N: usize>(&mut self, choices: &mut Choices, kind: FaultKind, rates: [u16; N]) {
        let drawn = choices.choice(kind.often(), N as u64);
        self.rates[kind as usize] = rates[usize::try_from(drawn).expect("below the number of rates")];
    }
}
