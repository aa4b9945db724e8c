//! What the device gives without any database: the yardstick.
//!
//! Owns one file, filled with zeros beforehand, that is written round and round as a log is. Never
//! checks, indexes or recovers anything: whatever a database does more than this, it pays for.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::grouping::{self, Outcome, Rate};

/// As large as a full segment of DocDB's log.
const FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Writes begin on sector boundaries, as those of DocDB do.
const SECTOR_BYTES: usize = 512;

/// A preallocated file, and where the next group goes.
pub(crate) struct RawLog {
    file: File,
    end: u64,
    group: Vec<u8>,
}

impl RawLog {
    pub(crate) fn create(path: &Path) -> Result<RawLog> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let zeros = vec![0; 1024 * 1024];
        for offset in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset)?;
        }
        file.sync_all()?;
        Ok(RawLog { file, end: 0, group: Vec::new() })
    }

    /// Writes a group of records, at the start of the file when it does not fit behind the last, and syncs.
    fn append(&mut self, record_bytes: usize, records: usize) -> Result<()> {
        // Copied together anew each time, as a thread that groups records has to.
        self.group.clear();
        for record in 0..records {
            let byte = u8::try_from(record % 251).unwrap_or(0);
            self.group.resize(self.group.len() + record_bytes, byte);
        }
        self.group.resize(self.group.len().next_multiple_of(SECTOR_BYTES), 0);
        if self.end + self.group.len() as u64 > FILE_BYTES {
            self.end = 0;
        }
        self.file.write_all_at(&self.group, self.end)?;
        self.end += self.group.len() as u64;
        self.file.sync_data()
    }

    /// One thread appends and syncs records one by one. Answers records a second.
    pub(crate) fn one_writer(&mut self, record_bytes: usize, duration: Duration) -> Result<f64> {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < duration {
            self.append(record_bytes, 1)?;
            count += 1;
        }
        Ok(f64::from(count) / start.elapsed().as_secs_f64())
    }

    /// Writers behind a thread that appends and syncs what has arrived.
    pub(crate) fn grouped(&mut self, record_bytes: usize, writers: u64, duration: Duration) -> Outcome<Rate> {
        grouping::write(writers, duration, |records| Ok(self.append(record_bytes, records)?))
    }
}
