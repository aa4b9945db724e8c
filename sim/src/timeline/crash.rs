//! What a crash left: file by file, and of names.

use std::collections::BTreeMap;

use super::gather::{Decisions, Gathered, changes_names};
use super::model::{Crash, Death, Fate, LaneId, Survival};
use super::words;
use crate::chronicle::Sides;
use crate::disk::{CrashKind, Unit};

/// What a crash left of a sector.
#[derive(Clone, Copy)]
enum Sector {
    Kept,
    Older,
    Lost,
    Torn,
    Garbage,
}

impl Gathered<'_> {
    /// The crash that ended a life; `None` when the run ended with it.
    pub(super) fn crash(&self, life: usize) -> Option<Crash> {
        let decisions = self.crashes.get(life)?;
        let mut files: BTreeMap<LaneId, Survival> = BTreeMap::new();
        self.count_units(decisions, &mut files);
        if let Some(sides) = self.chronicle.crashed().get(life) {
            self.compare(sides, &mut files);
        }
        let death = match (decisions.is_after_stop, decisions.kind) {
            (true, _) => Death::Stopped,
            (false, CrashKind::Process) => Death::Process,
            (false, CrashKind::Power) => Death::Power,
        };
        let is_power_cut = decisions.kind == CrashKind::Power;
        Some(Crash { moment: decisions.moment, death, is_power_cut, files, names: self.names_at_crash(life) })
    }

    fn count_units(&self, decisions: &Decisions, files: &mut BTreeMap<LaneId, Survival>) {
        // A sector may be asked about twice: what it goes back to, and how it is torn or what it shows instead.
        let mut sectors: BTreeMap<(LaneId, usize), Sector> = BTreeMap::new();
        for (unit, answer, bound) in &decisions.units {
            let is_whole = answer + 1 == *bound;
            let (number, sector, state) = match unit {
                Unit::InFlight(sequence) => {
                    self.count_in_flight(*sequence, *answer, *bound, files);
                    continue;
                }
                // Names and lengths are compared as a whole.
                Unit::Name(_) | Unit::Journal | Unit::Size(_) => continue,
                Unit::Sector(number, sector) if is_whole => (number, sector, Sector::Kept),
                Unit::Sector(number, sector) if *answer == 0 => (number, sector, Sector::Lost),
                Unit::Sector(number, sector) => (number, sector, Sector::Older),
                Unit::Shorn(number, sector) if is_whole => (number, sector, Sector::Kept),
                Unit::Shorn(number, sector) => (number, sector, Sector::Torn),
                Unit::Garbage(number, sector) if is_whole => (number, sector, Sector::Lost),
                Unit::Garbage(number, sector) => (number, sector, Sector::Garbage),
            };
            if let Some(lane) = self.lane_of(*number) {
                sectors.insert((lane, *sector), state);
            }
        }
        for ((lane, _), state) in sectors {
            let survival = files.entry(lane).or_default();
            survival.sectors += 1;
            match state {
                Sector::Kept => survival.kept += 1,
                Sector::Older => survival.older += 1,
                Sector::Lost => survival.lost += 1,
                Sector::Torn => survival.torn += 1,
                Sector::Garbage => survival.garbage += 1,
            }
        }
    }

    fn count_in_flight(&self, sequence: u64, answer: u64, bound: u64, files: &mut BTreeMap<LaneId, Survival>) {
        let index = usize::try_from(sequence).expect("a run has few operations").checked_sub(1);
        let Some(operation) = index.and_then(|index| self.operations.get(index)) else { return };
        let Some(lane) = operation.lane else { return };
        let done = match answer {
            0 => "not done".to_owned(),
            _ if answer + 1 == bound => "done".to_owned(),
            _ => format!("done up to sector {answer} of {}", bound - 1),
        };
        files.entry(lane).or_default().in_flight.push(format!("{}: {done}", words::under_way(operation.op)));
    }

    /// Lengths and names of files on both sides of a crash.
    fn compare(&self, sides: &Sides, files: &mut BTreeMap<LaneId, Survival>) {
        let [before, after] = [&sides.before, &sides.after].map(|disk| {
            let lengths = disk.listing();
            let mut found: BTreeMap<u64, (String, u64)> = BTreeMap::new();
            for (name, number) in disk.file_numbers() {
                let length = lengths.get(&name).copied().unwrap_or_default();
                found.entry(number).or_insert((name, length));
            }
            found
        });
        for (lane, number) in self.lanes.iter().enumerate().map(|(lane, it)| (lane, it.number)) {
            let (was, is) = (before.get(&number), after.get(&number));
            if let (Some((_, was)), Some((_, is))) = (was, is)
                && was != is
            {
                files.entry(lane).or_default().length = Some((*was, *is));
            }
            let names = (was.map(|(name, _)| name.clone()), is.map(|(name, _)| name.clone()));
            if names.0 != names.1 {
                files.entry(lane).or_default().name = Some(names);
            }
        }
    }

    fn names_at_crash(&self, life: usize) -> Vec<(String, bool)> {
        let mut names = Vec::new();
        for (index, operation) in self.of_life(life).filter(|(_, operation)| changes_names(operation.op)) {
            match self.fate(index) {
                Fate::Kept => names.push((words::operation_on(operation.op, ""), true)),
                Fate::Lost => names.push((words::operation_on(operation.op, ""), false)),
                Fate::Synced
                | Fate::AtRisk
                | Fate::Partly { .. }
                | Fate::Broken
                | Fate::Replaced
                | Fate::Removed
                | Fate::Untold => {}
            }
        }
        names
    }
}
