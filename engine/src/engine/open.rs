//! The databases that are open, opening or closing, the totals over all of them, and when each is to be visited.
//!
//! Invariants: a database changes in [`OpenDatabases::touch`] alone, which counts it anew, so that the totals are the sum over
//! all at any time; a database that asked for a time stands in the queue under that time or an earlier one. Nothing here looks at
//! all databases at a request, a completion or a timer: what one of them costs does not depend on how many are open.

use std::collections::{BTreeMap, BTreeSet};

use docdb_protocol::{DatabaseId, Stats};

use crate::clock::Instant;
use crate::database::Database;
use crate::io::Io;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenDatabases {
    databases: BTreeMap<DatabaseId, Counted>,
    /// Those that a durable catalog may not name yet.
    unsettled: BTreeSet<DatabaseId>,
    total: Figures,
    timers: BTreeSet<(Instant, DatabaseId)>,
}

#[derive(Clone, Debug)]
struct Counted {
    database: Database,
    /// Its part of the total.
    figures: Figures,
    /// Where it stands in the queue.
    due: Option<Instant>,
}

/// What is counted over all databases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    /// Bytes in memory of every database, reported or not.
    memory_bytes: u64,
    /// What the engine reports: of databases that are open and that a durable catalog names.
    reported: Stats,
}

impl OpenDatabases {
    pub(super) fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<DatabaseId> {
        self.databases.keys().copied().collect()
    }

    pub(super) fn get(&self, id: DatabaseId) -> Option<&Database> {
        self.databases.get(&id).map(|counted| &counted.database)
    }

    /// Whether a durable catalog names it, for all that is known.
    pub(super) fn is_settled(&self, id: DatabaseId) -> bool {
        !self.unsettled.contains(&id)
    }

    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// Figures of the databases that the engine reports; how many there are in the catalog is not known here.
    pub(super) fn stats(&self) -> Stats {
        self.total.reported
    }

    /// Bytes in memory of all databases but one.
    pub(super) fn memory_bytes_besides(&self, id: DatabaseId) -> u64 {
        let own = self.databases.get(&id).map_or(0, |counted| counted.figures.memory_bytes);
        self.total.memory_bytes - own
    }

    /// Takes a database in; `io` holds the time that it asked for.
    pub(super) fn insert(&mut self, database: Database, is_settled: bool, io: &mut Io) {
        let id = database.id();
        if !is_settled {
            self.unsettled.insert(id);
        }
        let counted = Counted { database, figures: Figures::default(), due: None };
        let before = self.databases.insert(id, counted);
        assert!(before.is_none(), "a database is open once");
        self.touch(id, io, |_, _| ());
    }

    pub(super) fn remove(&mut self, id: DatabaseId) -> Option<Database> {
        let Counted { database, figures, due } = self.databases.remove(&id)?;
        self.total.replace(figures, Figures::default());
        self.unsettled.remove(&id);
        if let Some(due) = due {
            self.timers.remove(&(due, id));
        }
        Some(database)
    }

    /// A durable catalog names it.
    pub(super) fn settle(&mut self, id: DatabaseId, io: &mut Io) {
        self.unsettled.remove(&id);
        self.touch(id, io, |_, _| ()).expect("a new database stays until its closing is recorded");
    }

    /// The one place where a database changes. `None` when it is not here.
    pub(super) fn touch<T>(
        &mut self,
        id: DatabaseId,
        io: &mut Io,
        change: impl FnOnce(&mut Database, &mut Io) -> T,
    ) -> Option<T> {
        let counted = self.databases.get_mut(&id)?;
        let answer = change(&mut counted.database, io);
        let figures = Figures::of(&counted.database, !self.unsettled.contains(&id));
        self.total.replace(std::mem::replace(&mut counted.figures, figures), figures);
        if let Some(wish) = io.take_wish()
            && counted.due.is_none_or(|due| wish < due)
        {
            if let Some(due) = counted.due.replace(wish) {
                self.timers.remove(&(due, id));
            }
            self.timers.insert((wish, id));
        }
        Some(answer)
    }

    /// Takes a database out of the queue whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<DatabaseId> {
        let (due, id) = *self.timers.first()?;
        if due > now {
            return None;
        }
        self.timers.pop_first();
        if let Some(counted) = self.databases.get_mut(&id) {
            counted.due = None;
        }
        Some(id)
    }

    /// How many databases asked to be visited at some time.
    pub(super) fn due_len(&self) -> usize {
        self.timers.len()
    }

    /// The earliest time that a database asked for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Asserts that nothing was counted wrong: the totals are the sums, and each database that asked for a time stands in the
    /// queue. Only tests pay for it.
    pub(super) fn check(&self) {
        let mut total = Figures::default();
        for (id, counted) in &self.databases {
            total.replace(Figures::default(), Figures::of(&counted.database, self.is_settled(*id)));
            let is_queued = counted.due.is_none_or(|due| self.timers.contains(&(due, *id)));
            assert!(is_queued, "{id} is not in the queue");
        }
        assert_eq!(total, self.total, "the totals are the sums");
    }
}

impl Figures {
    fn of(database: &Database, is_settled: bool) -> Figures {
        let memory_bytes = database.memory_bytes();
        let reported = if is_settled && database.is_open() {
            Stats {
                databases: 0,
                databases_open: 1,
                transactions: database.last_tx(),
                log_bytes: database.log_bytes(),
                memory_bytes,
            }
        } else {
            Stats::default()
        };
        Figures { memory_bytes, reported }
    }

    fn replace(&mut self, before: Figures, after: Figures) {
        let add = |total: &mut u64, before: u64, after: u64| *total = *total - before + after;
        add(&mut self.memory_bytes, before.memory_bytes, after.memory_bytes);
        add(&mut self.reported.databases_open, before.reported.databases_open, after.reported.databases_open);
        add(&mut self.reported.transactions, before.reported.transactions, after.reported.transactions);
        add(&mut self.reported.log_bytes, before.reported.log_bytes, after.reported.log_bytes);
        add(&mut self.reported.memory_bytes, before.reported.memory_bytes, after.reported.memory_bytes);
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::DatabaseName;

    use super::*;
    use crate::catalog::{Closed, Entry};
    use crate::clock::WallTime;
    use crate::disk::FileId;
    use crate::jobs::new_segment::Made;
    use crate::options::Options;

    fn database(number: u64) -> Database {
        let name = DatabaseName::parse(&format!("d{number}")).unwrap();
        let entry = Entry { name, created_at: WallTime(0), closed: Closed::default() };
        let segment = Made { file: FileId(number), file_bytes: 4096 };
        Database::created(DatabaseId::new(number).unwrap(), &entry, segment, number, &Options::default())
    }

    /// A hundred databases, of which each asked to be visited at ten times its number.
    fn hundred(io: &mut Io) -> OpenDatabases {
        let mut open = OpenDatabases::default();
        for number in 1..=100 {
            open.insert(database(number), number % 2 == 0, io);
            open.touch(DatabaseId::new(number).unwrap(), io, |_, io| io.wake_by(Instant(10 * number)));
        }
        open
    }

    #[test]
    fn those_alone_are_visited_whose_time_has_come() {
        let mut io = Io::default();
        let mut open = hundred(&mut io);
        let id = |number| DatabaseId::new(number).unwrap();
        // A database that asks again, for a later time, is visited at the earlier one.
        open.touch(id(1), &mut io, |_, io| io.wake_by(Instant(500)));
        open.touch(id(90), &mut io, |_, io| io.wake_by(Instant(5)));
        open.remove(id(2));
        open.check();
        assert_eq!(open.next_due(), Some(Instant(5)));
        let visited: Vec<u64> = std::iter::from_fn(|| open.pop_due(Instant(39))).map(DatabaseId::get).collect();
        assert_eq!(visited, [90, 1, 3]);
        assert_eq!(open.next_due(), Some(Instant(40)));
        open.check();
    }

    #[test]
    fn what_is_reported_is_the_sum_of_those_that_a_catalog_names() {
        let mut io = Io::default();
        let mut open = hundred(&mut io);
        assert_eq!((open.stats().databases_open, open.unsettled()), (50, 50));
        open.settle(DatabaseId::new(1).unwrap(), &mut io);
        open.touch(DatabaseId::new(2).unwrap(), &mut io, |database, _| database.close(None));
        open.remove(DatabaseId::new(4).unwrap());
        assert_eq!((open.stats().databases_open, open.unsettled()), (49, 49));
        open.check();
    }
}
