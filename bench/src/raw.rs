//! What the device gives without any database: the yardstick.
//!
//! Owns one file, filled with zeros beforehand, that is written round and round as a log is. Never
//! checks, indexes or recovers anything: whatever a database does more than this, it pays for.

use std::fs::File;
use std::io::{Error, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::WRITERS;

/// As large as a full segment of DocDB's log.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Writes begin on sector boundaries, as those of DocDB do.
const SECTOR_BYTES: usize = 512;

/// A preallocated file.
pub(crate) struct RawLog {
    file: File,
}

impl RawLog {
    pub(crate) fn create(path: &Path) -> Result<RawLog> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeros = vec![0; 1024 * 1024];
        for offset in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(RawLog { file })
    }

    /// Writes a group at `end`, or at the start of the file when it does not fit, and syncs.
    fn append(&self, end: &mut u64, group: &[u8]) -> Result<()> {
        if *end + group.len() as u64 > FILE_BYTES {
            *end = 0;
        }
        self.file.write_all_at(group, *end)?;
        *end += group.len() as u64;
        self.file.sync_data()
    }

    /// One thread appends and syncs groups of `records` records. Answers records a second.
    pub(crate) fn one_writer(&self, record_bytes: usize, records: usize, duration: Duration) -> Result<f64> {
        let group = vec![7; (record_bytes * records).next_multiple_of(SECTOR_BYTES)];
        let start = Instant::now();
        let (mut end, mut count) = (0, 0);
        while start.elapsed() < duration {
            self.append(&mut end, &group)?;
            count += records;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// [`WRITERS`] threads share the simplest grouped log there is. Answers records a second.
    pub(crate) fn grouped(&self, record_bytes: usize, duration: Duration) -> Result<f64> {
        let log = GroupedLog { raw: self, state: Mutex::default(), synced: Condvar::new() };
        let record = vec![7; record_bytes];
        let over = AtomicBool::new(false);
        let start = Instant::now();
        let count: usize = std::thread::scope(|scope| {
            let write = || {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    log.append(&record)?;
                    count += 1;
                }
                Ok(count)
            };
            let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
            std::thread::sleep(duration);
            over.store(true, Ordering::Relaxed);
            let counts = writers.into_iter().map(|writer| writer.join().expect("no writer panics"));
            counts.sum::<Result<usize>>()
        })?;
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }
}

/// A mutex, a buffer, a leader who writes and syncs it, and a condition variable for the others.
struct GroupedLog<'raw> {
    raw: &'raw RawLog,
    state: Mutex<Group>,
    synced: Condvar,
}

#[derive(Default)]
struct Group {
    buffer: Vec<u8>,
    end: u64,
    /// The number of the group that gathers now; all below `groups_synced` are durable.
    gathering: u64,
    groups_synced: u64,
    has_leader: bool,
    failed: bool,
}

impl GroupedLog<'_> {
    fn enter(&self) -> MutexGuard<'_, Group> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, record: &[u8]) -> Result<()> {
        let mut state = self.enter();
        state.buffer.extend_from_slice(record);
        let mine = state.gathering;
        while state.groups_synced <= mine {
            if state.failed {
                return Err(Error::other("another writer's sync failed"));
            }
            if state.has_leader {
                state = self.synced.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.has_leader = true;
            let mut group = std::mem::take(&mut state.buffer);
            let mut end = state.end;
            state.gathering += 1;
            drop(state);
            group.resize(group.len().next_multiple_of(SECTOR_BYTES), 0);
            let appended = self.raw.append(&mut end, &group);
            state = self.enter();
            state.has_leader = false;
            state.end = end;
            state.failed = appended.is_err();
            state.groups_synced = state.gathering;
            self.synced.notify_all();
            appended?;
        }
        Ok(())
    }
}
