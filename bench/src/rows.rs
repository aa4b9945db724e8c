//! The rows, in groups that are measured apart: each prepares what it needs once, and is measured once a round.
//!
//! Within a round a group measures DocDB and what it is compared with one after the other, and ratios are those of one
//! round, so that a slow minute of the machine slows both sides.

mod databases;
mod tables;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use docdb::Database;

use crate::embedded::{DOCUMENT_BYTES, Embedded, Scattered};
use crate::grouping::Outcome;
use crate::raw::RawLog;
use crate::report::{Report, Target};
#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;

/// As many documents as no cache of a processor holds.
const DOCUMENTS: u64 = 1_000_000;
/// So many of them are replaced a round, in either order.
const UPDATES: u64 = 50_000;
/// The database that is opened beside a writer: 400 MB of log.
const LARGE_DOCUMENTS: u64 = 400_000_000 / DOCUMENT_BYTES as u64;

/// What can be measured apart.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// One writer, beside the raw log and SQLite.
    OneWriter,
    /// 4, 16 and 64 writers, beside the raw log and SQLite behind a grouping thread.
    Writers,
    /// Random reads and updates of 1,000,000 documents, and two reading threads.
    Documents,
    /// New collections, when there are few and when there are many.
    Collections,
    /// A commit, a creation and a closing while many databases are open.
    Databases,
    /// The longest commit while a large database is opened.
    Opening,
    /// Tables by themselves: building, looking up, scanning 1,000,000 documents.
    Tables,
}

/// A group that is prepared.
pub(crate) trait Group {
    /// Measures every row of the group once.
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()>;
}

/// Prepares a group in an empty folder.
pub(crate) fn prepare(rows: Rows, folder: &Path, databases: u32) -> Outcome<Box<dyn Group>> {
    std::fs::create_dir(folder)?;
    Ok(match rows {
        Rows::OneWriter => Box::new(Writers::prepare(folder, &[1])?),
        Rows::Writers => Box::new(Writers::prepare(folder, &[4, 16, 64])?),
        Rows::Documents => {
            let mut docdb = Embedded::create(&folder.join("data"))?;
            docdb.fill(DOCUMENTS)?;
            Box::new(Documents { docdb, scattered: Scattered(1), next: 0 })
        }
        Rows::Collections => Box::new(Collections { folder: folder.to_owned(), round: 0 }),
        Rows::Databases => Box::new(databases::Databases::prepare(folder, databases)?),
        Rows::Tables => Box::new(tables::Tables::prepare(folder)?),
        Rows::Opening => {
            let mut large = Embedded::create(&folder.join("data"))?;
            large.fill(LARGE_DOCUMENTS)?;
            large.database.close()?;
            let small = large.beside("small")?;
            Box::new(Opening { large: large.database, small })
        }
    })
}

/// DocDB, the raw log and SQLite with the same writers.
struct Writers {
    docdb: Embedded,
    raw: RawLog,
    #[cfg(feature = "sqlite")]
    sqlite: Sqlite,
    counts: &'static [u64],
}

impl Writers {
    fn prepare(folder: &Path, counts: &'static [u64]) -> Outcome<Writers> {
        Ok(Writers {
            docdb: Embedded::create(&folder.join("data"))?,
            raw: RawLog::create(&folder.join("raw"))?,
            #[cfg(feature = "sqlite")]
            sqlite: Sqlite::create(&folder.join("sqlite"))?,
            counts,
        })
    }

    fn one(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        let written = self.docdb.write(1, duration)?;
        let raw = self.raw.one_writer(written.log_bytes_per_commit, duration)?;
        let docdb = written.rate.per_second;
        report.figure("one writer: log bytes a commit", written.log_bytes_per_commit as f64);
        report.figure("one writer: commits/s", docdb);
        report.figure("one writer: processor us a commit", written.rate.processor_us);
        report.figure("one writer: raw append, commits/s", raw);
        report.goal("one writer: of the raw append", Target::AtLeast(0.95), docdb / raw);
        #[cfg(feature = "sqlite")]
        {
            let sqlite = self.sqlite.one_writer(duration)?;
            report.figure("one writer: SQLite, commits/s", sqlite);
            report.figure("one writer: of SQLite", docdb / sqlite);
        }
        Ok(())
    }

    fn many(&mut self, writers: u64, duration: Duration, report: &mut Report) -> Outcome<()> {
        let written = self.docdb.write(writers, duration)?;
        let raw = self.raw.grouped(written.log_bytes_per_commit, writers, duration)?;
        let docdb = written.rate.per_second;
        let row = |what: &str| format!("{writers} writers: {what}");
        report.figure(row("commits/s"), docdb);
        if writers == 64 {
            report.goal(row("processor us a commit"), Target::AtMost(12.0), written.rate.processor_us);
        } else {
            report.figure(row("processor us a commit"), written.rate.processor_us);
        }
        report.figure(row("raw log behind a thread, commits/s"), raw.per_second);
        report.figure(row("raw log behind a thread, processor us a commit"), raw.processor_us);
        report.figure(row("of the raw log behind a thread"), docdb / raw.per_second);
        #[cfg(feature = "sqlite")]
        {
            let sqlite = self.sqlite.grouped(writers, duration)?;
            report.figure(row("SQLite behind a thread, commits/s"), sqlite.per_second);
            report.figure(row("SQLite behind a thread, processor us a commit"), sqlite.processor_us);
            let ratio = docdb / sqlite.per_second;
            if writers == 64 {
                report.goal(row("of SQLite behind a thread"), Target::AtLeast(1.2), ratio);
            } else {
                report.figure(row("of SQLite behind a thread"), ratio);
            }
        }
        Ok(())
    }
}

impl Group for Writers {
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        for &writers in self.counts {
            match writers {
                1 => self.one(duration, report)?,
                _ => self.many(writers, duration, report)?,
            }
        }
        Ok(())
    }
}

/// One large database.
struct Documents {
    docdb: Embedded,
    scattered: Scattered,
    /// Where the ascending updates go on.
    next: u64,
}

impl Group for Documents {
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        let one = self.docdb.read(1, duration)?;
        let two = self.docdb.read(2, duration)?;
        report.goal("1,000,000 documents: random reads/s, one thread", Target::AtLeast(600_000.0), one);
        report.figure("1,000,000 documents: random reads/s, two threads", two);
        report.goal("1,000,000 documents: two threads of one", Target::AtLeast(1.8), two / one);
        let next = &mut self.next;
        let ascending = self.docdb.update(UPDATES, |documents| {
            *next += 1;
            (*next - 1) % documents
        })?;
        let scattered = &mut self.scattered;
        let random = self.docdb.update(UPDATES, |documents| scattered.below(documents))?;
        report.figure("1,000,000 documents: ascending update, us", ascending);
        report.figure("1,000,000 documents: random update, us", random);
        report.goal("1,000,000 documents: random of ascending updates", Target::AtMost(2.5), random / ascending);
        Ok(())
    }
}

/// A database that gets more and more collections.
struct Collections {
    folder: std::path::PathBuf,
    round: u32,
}

impl Group for Collections {
    fn measure(&mut self, _: Duration, report: &mut Report) -> Outcome<()> {
        let docdb = Embedded::create(&self.folder.join(format!("data-{}", self.round)))?;
        self.round += 1;
        let few = new_collections(&docdb.database, 100, 100)?;
        new_collections(&docdb.database, 200, 15_800)?;
        let many = new_collections(&docdb.database, 16_000, 100)?;
        docdb.close()?;
        report.figure("new collection: us, when there are 100", few);
        report.figure("new collection: us, when there are 16,000", many);
        report.goal("new collection: at 16,000 of one at 100", Target::AtMost(1.5), many / few);
        Ok(())
    }
}

/// Makes collections, a hundred a transaction, each by its first document. Answers microseconds a collection.
fn new_collections(database: &Database, first: u32, count: u32) -> Outcome<f64> {
    let start = std::time::Instant::now();
    for begin in (first..first + count).step_by(100) {
        let mut transaction = database.transaction();
        for number in begin..begin + 100 {
            transaction.create_bytes(&format!("collection-{number}"), 1, b"{}")?;
        }
        transaction.commit()?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

/// A writer, and a large database beside it that is opened and closed.
struct Opening {
    large: Database,
    small: Embedded,
}

impl Group for Opening {
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        let (large, small) = (&self.large, &mut self.small);
        let mut longest = |meanwhile: &dyn Fn() -> Outcome<()>| {
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let writer = scope.spawn(|| small.longest_commit(&over));
                let ended = meanwhile();
                over.store(true, Ordering::Relaxed);
                let longest = writer.join().expect("the writer does not panic");
                ended.and(Ok(longest?))
            })
        };
        let while_opening = longest(&|| {
            let start = std::time::Instant::now();
            large.view()?;
            std::thread::sleep(duration.saturating_sub(start.elapsed()));
            Ok(())
        })?;
        large.close()?;
        let otherwise = longest(&|| {
            std::thread::sleep(duration);
            Ok(())
        })?;
        report.figure("longest commit while 400 MB are opened, ms", while_opening);
        report.figure("longest commit otherwise, ms", otherwise);
        report.goal("longest commit while 400 MB are opened, ms above", Target::AtMost(5.0), while_opening - otherwise);
        Ok(())
    }
}
