//! The end of a process or of the machine's power, and what comes up on what is left.
//!
//! A crash ends the engine; disk, clock and judge go on.

use std::hash::Hash as _;

use docdb_engine::{Clock as _, Driver, Engine};
use xxhash_rust::xxh3::Xxh3Default;

use super::{Collected, Schedule, World};
use crate::choice::Choices;
use crate::chronicle::Event;
use crate::disk::{CrashKind, FaultKind, Mood, NameOrder, SimDisk, Unit, decide_in};
use crate::marks::Mark;
use crate::oracle::Violation;

impl World {
    /// The process or the machine dies, in a way that is chosen, and starts again.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash(&mut self, kind: CrashKind) -> Result<(), Violation> {
        let mut choices = std::mem::replace(&mut self.choices, Choices::odometer());
        let mood = self.begin_crash(kind, &mut choices);
        self.driver.disk.lie_idle(&mut choices);
        self.driver.disk.lose_files(&mut choices);
        let mut decide = decide_in(mood, &mut choices);
        self.crash_disk(kind, &mut decide);
        drop(decide);
        self.choices = choices;
        self.note_faults();
        self.restart()
    }

    /// One bit of some log turns, if there is one. Nothing runs yet.
    pub(crate) fn turn_a_bit(&mut self) -> bool {
        let mut choices = std::mem::replace(&mut self.choices, Choices::odometer());
        let has_turned = self.driver.disk.turn_a_bit(&mut choices);
        self.choices = choices;
        self.note_faults();
        has_turned
    }

    /// A catalog of an earlier time takes the place of today's, if there is one. Nothing runs yet.
    pub(crate) fn bring_catalog_back(&mut self, earlier: &[u8]) -> bool {
        let is_back = self.driver.disk.bring_catalog_back(earlier);
        self.note_faults();
        is_back
    }

    /// Draws what a crash is like, and counts it.
    fn begin_crash(&mut self, kind: CrashKind, choices: &mut Choices) -> Mood {
        let disk = &mut self.driver.disk;
        let mood = match Mood::chosen(choices) {
            Mood::LosesAll if disk.profile().without.contains(FaultKind::TotalLoss) => Mood::Mixed,
            mood => mood,
        };
        let counted = match kind {
            CrashKind::Process => FaultKind::ProcessCrash,
            CrashKind::Power => FaultKind::PowerCrash,
        };
        disk.strike(counted, None, None, false);
        match kind {
            CrashKind::Process if disk.ready() > 0 => self.witness.marks.set(Mark::ProcessDied),
            CrashKind::Power if disk.has_unsynced() => {
                self.witness.marks.set(Mark::PowerLost);
                match mood {
                    Mood::LosesAll => {
                        disk.strike(FaultKind::TotalLoss, None, None, false);
                        self.witness.marks.set(Mark::EverythingLost);
                    }
                    Mood::KeepsAll => self.witness.marks.set(Mark::EverythingKept),
                    Mood::Mixed => {}
                }
            }
            CrashKind::Process | CrashKind::Power => {}
        }
        mood
    }

    /// The same, where `decide` says what survives.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn crash_as(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> Result<(), Violation> {
        self.crash_disk(kind, decide);
        self.restart()
    }

    fn crash_disk(&mut self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) {
        // A process that has stopped does not crash: it is started again.
        self.tally.crashes += u64::from(!self.stopped());
        self.chronicle.crash_begins(self.steps, &self.driver.disk);
        self.note(&Event::Crashed(kind));
        self.witness.crashed(*self.driver.disk.faults());
        let (chronicle, step) = (&mut self.chronicle, self.steps);
        let names = self.driver.disk.crash(kind, &mut |unit, bound| {
            let answer = decide(unit, bound);
            chronicle.note(step, &Event::Decided { unit, answer, bound });
            answer
        });
        if names.lost > 0 {
            match self.driver.disk.profile().name_order {
                NameOrder::Posix if names.kept > 0 => self.witness.marks.set(Mark::NamesPosix),
                NameOrder::Posix | NameOrder::Apart => {}
                NameOrder::Journal => self.witness.marks.set(Mark::NamesJournal),
            }
        }
        self.chronicle.crash_over(self.steps, &self.driver.disk);
    }

    fn restart(&mut self) -> Result<(), Violation> {
        self.checker.bound(&self.options);
        self.collected = Collected::default();
        self.schedule.crashed();
        self.driver.engine = Engine::new(self.options.clone());
        self.come_up()
    }

    fn come_up(&mut self) -> Result<(), Violation> {
        self.checker.crashed();
        self.checker.starts_on(&self.driver.disk);
        self.note(&Event::Restarted);
        self.driver.drain(&mut self.collected);
        self.judge()
    }

    /// What would lie on the disk after a crash in which `decide` says what survives. The world itself goes on, and
    /// nobody hears of it.
    #[must_use]
    pub fn image(&self, kind: CrashKind, decide: &mut dyn FnMut(Unit, u64) -> u64) -> SimDisk {
        let mut disk = self.driver.disk.clone();
        disk.crash(kind, decide);
        disk
    }

    /// The world that comes up on an image that a crash of this kind left of this one. Nothing of this one's engine is
    /// copied.
    ///
    /// # Errors
    /// When the engine says something wrong at once.
    pub fn come_up_on(&self, kind: CrashKind, image: SimDisk) -> Result<World, Violation> {
        let mut refinement = self.refinement.clone();
        refinement.hear(&Event::Crashed(kind));
        let mut world = World {
            driver: Driver::new(Engine::new(self.options.clone()), image, self.driver.clock),
            collected: Collected::default(),
            options: self.options.clone(),
            choices: self.choices.clone(),
            checker: self.checker.clone(),
            chronicle: self.chronicle.clone(),
            refinement,
            tally: self.tally,
            schedule: Schedule::ANY,
            witness: self.witness.after_crash(),
            has_told_stats: false,
            steps: self.steps,
            hash: self.hash,
            #[cfg(feature = "planted-bugs")]
            shaky_from: self.shaky_from,
            #[cfg(feature = "planted-bugs")]
            hangs_at: self.hangs_at,
        };
        world.come_up()?;
        Ok(world)
    }

    /// Names what the future of a machine depends on besides its disk when it comes up after a crash of this world: its
    /// clock, and what was promised. Its engine is new, so it adds nothing.
    #[must_use]
    pub fn promises(&self) -> u128 {
        let mut checker = self.checker.clone();
        checker.crashed();
        let mut identity = Xxh3Default::new();
        checker.identify(&mut identity);
        (self.driver.clock.monotonic(), self.driver.clock.wall()).hash(&mut identity);
        identity.digest128()
    }
}
