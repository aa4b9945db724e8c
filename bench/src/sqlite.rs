//! SQLite as its users set it up where no commit may be lost: a write-ahead log, synced at every commit.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use crate::embedded::document;
use crate::grouping::{self, Outcome, Rate};

/// One table of documents under numbers.
pub(crate) struct Sqlite {
    connection: Connection,
    document: Vec<u8>,
    next_id: i64,
}

const INSERT: &str = "INSERT INTO documents (id, document) VALUES (?1, ?2)";

impl Sqlite {
    pub(crate) fn create(path: &Path) -> Outcome<Sqlite> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute("CREATE TABLE documents (id INTEGER PRIMARY KEY, document BLOB NOT NULL)", ())?;
        Ok(Sqlite { connection, document: document(), next_id: 0 })
    }

    /// One thread, a transaction a document. Answers commits a second.
    pub(crate) fn one_writer(&mut self, duration: Duration) -> Outcome<f64> {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < duration {
            self.commit(1)?;
            count += 1;
        }
        Ok(f64::from(count) / start.elapsed().as_secs_f64())
    }

    /// Writers behind a thread that makes a transaction of what has arrived.
    pub(crate) fn grouped(&mut self, writers: u64, duration: Duration) -> Outcome<Rate> {
        grouping::write(writers, duration, |documents| self.commit(documents))
    }

    fn commit(&mut self, documents: usize) -> Outcome<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for _ in 0..documents {
                insert.execute(params![self.next_id, self.document])?;
                self.next_id += 1;
            }
        }
        Ok(transaction.commit()?)
    }
}
