//! DocDB itself, as an application embeds it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use docdb::{Database, DocDb, Error};

use crate::grouping::Rate;
use crate::processor_us;

/// The size of the documents.
pub(crate) const DOCUMENT_BYTES: usize = 1024;
const COLLECTION: &str = "bench";

/// The documents that one transaction writes where their number is what counts.
const TRANSACTION_DOCUMENTS: u64 = 1000;

/// A document of [`DOCUMENT_BYTES`].
pub(crate) fn document() -> Vec<u8> {
    let filler = "x".repeat(DOCUMENT_BYTES - r#"{"filler":""}"#.len());
    format!(r#"{{"filler":"{filler}"}}"#).into_bytes()
}

/// Numbers without a pattern, the same in every run.
pub(crate) struct Scattered(pub(crate) u64);

impl Scattered {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }
}

/// A fresh data directory with one database.
pub(crate) struct Embedded {
    pub(crate) docdb: DocDb,
    pub(crate) database: Database,
    document: Vec<u8>,
    next_id: u64,
}

/// What a run of writers achieved.
pub(crate) struct Written {
    pub(crate) rate: Rate,
    /// What one commit took in the log.
    pub(crate) log_bytes_per_commit: usize,
}

impl Embedded {
    pub(crate) fn create(path: &Path) -> Result<Embedded, Error> {
        let docdb = DocDb::open(path)?;
        let database = docdb.database("bench")?;
        Ok(Embedded { docdb, database, document: document(), next_id: 0 })
    }

    /// Another database of the same data directory.
    pub(crate) fn beside(&self, name: &str) -> Result<Embedded, Error> {
        let docdb = self.docdb.clone();
        Ok(Embedded { database: docdb.database(name)?, docdb, document: document(), next_id: 0 })
    }

    /// Creates documents from `writers` threads, each waiting for each of its commits.
    pub(crate) fn write(&mut self, writers: u64, duration: Duration) -> Result<Written, Error> {
        let before = self.docdb.stats()?;
        let (document, first) = (&self.document, self.next_id);
        let documents = &self.database.collection(COLLECTION)?;
        let over = AtomicBool::new(false);
        let (start, processor_before) = (Instant::now(), processor_us());
        let write = |writer: u64| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                documents.create_bytes(first + writer + count * writers, document)?;
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
        let rate = Rate { per_second, processor_us: processor / commits.max(1) as f64 };
        Ok(Written { rate, log_bytes_per_commit: log_bytes_per_commit.max(DOCUMENT_BYTES) })
    }

    /// Creates so many documents, in large transactions.
    pub(crate) fn fill(&mut self, documents: u64) -> Result<(), Error> {
        let end = self.next_id + documents;
        while self.next_id < end {
            let mut transaction = self.database.transaction();
            for _ in 0..TRANSACTION_DOCUMENTS.min(end - self.next_id) {
                transaction.create_bytes(COLLECTION, self.next_id, &self.document)?;
                self.next_id += 1;
            }
            transaction.commit()?;
        }
        Ok(())
    }

    /// Replaces documents in large transactions, each document that `next` names. Answers microseconds a document.
    pub(crate) fn update(&self, documents: u64, mut next: impl FnMut(u64) -> u64) -> Result<f64, Error> {
        let start = Instant::now();
        let mut count = 0;
        while count < documents {
            let mut transaction = self.database.transaction();
            for _ in 0..TRANSACTION_DOCUMENTS.min(documents - count) {
                transaction.update_bytes(COLLECTION, next(self.next_id), &self.document)?;
                count += 1;
            }
            transaction.commit()?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / documents as f64)
    }

    /// Reads documents that are there, by `threads` threads, and copies each. Answers reads a second.
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
        let (mut scattered, mut count, mut copied) = (Scattered(seed), 0_u64, 0_usize);
        let mut copy = vec![0; DOCUMENT_BYTES];
        let documents = self.database.collection(COLLECTION)?;
        while start.elapsed() < duration {
            for _ in 0..READS_PER_LOOK_AT_THE_CLOCK {
                let id = scattered.below(self.next_id);
                if let Some(document) = documents.get(id)? {
                    copy.copy_from_slice(document.bytes());
                    copied += usize::from(std::hint::black_box(&copy)[0] != 0);
                }
            }
            count += READS_PER_LOOK_AT_THE_CLOCK;
        }
        assert!(copied > 0, "the documents were written before");
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Commits one document after another until it is to end, and answers the longest commit in milliseconds.
    pub(crate) fn longest_commit(&mut self, over: &AtomicBool) -> Result<f64, Error> {
        let mut longest = Duration::ZERO;
        let documents = self.database.collection(COLLECTION)?;
        while !over.load(Ordering::Relaxed) {
            let start = Instant::now();
            documents.create_bytes(self.next_id, &self.document)?;
            longest = longest.max(start.elapsed());
            self.next_id += 1;
        }
        Ok(longest.as_secs_f64() * 1e3)
    }

    pub(crate) fn close(self) -> Result<(), Error> {
        drop(self.database);
        self.docdb.close()
    }
}
