//! DocDB itself, as an application embeds it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docdb::{Database, DocDb, Error};

/// The size of the documents.
pub(crate) const DOCUMENT_BYTES: usize = 1024;
const COLLECTION: &str = "bench";

/// A fresh data directory with one database.
pub(crate) struct Embedded {
    docdb: DocDb,
    database: Database,
    document: Vec<u8>,
    next_id: u64,
}

/// What a run of writers achieved.
pub(crate) struct Written {
    pub(crate) per_second: f64,
    /// What one commit took in the log.
    pub(crate) log_bytes_per_commit: usize,
    /// Processor time of the whole process a commit, in microseconds.
    pub(crate) processor_us_per_commit: f64,
}

/// Processor time that this process has used, of all its threads.
fn processor_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

impl Embedded {
    pub(crate) fn create(path: &Path) -> Result<Embedded, Error> {
        let docdb = DocDb::open(path)?;
        let database = docdb.database("bench")?;
        let filler = "x".repeat(DOCUMENT_BYTES - r#"{"filler":""}"#.len());
        let document = format!(r#"{{"filler":"{filler}"}}"#).into_bytes();
        assert_eq!(document.len(), DOCUMENT_BYTES);
        Ok(Embedded { docdb, database, document, next_id: 0 })
    }

    /// Creates documents from `writers` threads, each waiting for each of its commits.
    pub(crate) fn write(&mut self, writers: u64, duration: Duration) -> Result<Written, Error> {
        let before = self.docdb.stats()?;
        let (database, document, first) = (&self.database, &self.document, self.next_id);
        let over = AtomicBool::new(false);
        let (start, processor_before) = (Instant::now(), processor_us());
        let write = |writer: u64| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                database.create(COLLECTION, first + writer + count * writers, document)?;
                count += 1;
            }
            Ok(count)
        };
        let counts: Vec<u64> = std::thread::scope(|scope| {
            let write = &write;
            let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(move || write(writer))).collect();
            std::thread::sleep(duration);
            over.store(true, Ordering::Relaxed);
            threads.into_iter().map(|thread| thread.join().expect("no writer panics")).collect::<Result<_, Error>>()
        })?;
        let (elapsed, processor) = (start.elapsed(), processor_us() - processor_before);
        let longest = counts.iter().copied().max().unwrap_or(0);
        self.next_id += longest * writers;
        let commits: u64 = counts.iter().sum();
        let after = self.docdb.stats()?;
        let log_bytes = after.log_bytes.saturating_sub(before.log_bytes);
        let log_bytes_per_commit = usize::try_from(log_bytes / commits.max(1)).unwrap_or(DOCUMENT_BYTES);
        let per_second = commits as f64 / elapsed.as_secs_f64();
        Ok(Written {
            per_second,
            log_bytes_per_commit: log_bytes_per_commit.max(DOCUMENT_BYTES),
            processor_us_per_commit: processor / commits.max(1) as f64,
        })
    }

    /// Reads documents that are there, by `threads` threads.
    pub(crate) fn read(&self, threads: u64, duration: Duration) -> Result<f64, Error> {
        std::thread::scope(|scope| {
            let readers: Vec<_> =
                (1..=threads).map(|seed| scope.spawn(move || self.read_alone(seed, duration))).collect();
            readers.into_iter().map(|reader| reader.join().expect("no reader panics")).sum()
        })
    }

    /// Reads documents that are there, in an order without pattern.
    fn read_alone(&self, seed: u64, duration: Duration) -> Result<f64, Error> {
        const READS_PER_LOOK_AT_THE_CLOCK: u64 = 1000;
        let start = Instant::now();
        let (mut state, mut count, mut found) = (seed, 0_u64, 0_u64);
        while start.elapsed() < duration {
            for _ in 0..READS_PER_LOOK_AT_THE_CLOCK {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let id = (state >> 33) % self.next_id.max(1);
                found += u64::from(self.database.get(COLLECTION, id)?.is_some());
            }
            count += READS_PER_LOOK_AT_THE_CLOCK;
        }
        assert!(found > 0, "the documents were written before");
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    pub(crate) fn close(self) -> Result<(), Error> {
        drop(self.database);
        self.docdb.close()
    }
}
