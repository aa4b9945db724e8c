//! The run that is recorded: several databases, several writers, small segments, sessions that end in order and not.

use std::path::Path;
use std::sync::Arc;

use docdb::internals::Kernel;
use docdb::{Database, DocDb, EngineOptions, Error, Options};

use crate::record::{Changed, Recorder, Word, make_by_hand};

/// Where the data directory is, below the place of the run.
pub(crate) const DATA: &str = "deep/data";

const TRANSACTIONS: u64 = 12;
const COLLECTIONS: [&str; 2] = ["_default", "notes"];

/// Segments so small that they are changed all the time.
pub(crate) fn options() -> Options {
    let engine = EngineOptions {
        segment_bytes_max: 32 * 1024,
        segment_bytes_min: 16 * 1024,
        merge_bytes_max: 8 * 1024,
        batch_bytes_max: 8 * 1024,
        watermark_delay_ns: 1_000_000,
        seed: 1,
        ..EngineOptions::default()
    };
    Options { engine, program: "power-loss".to_owned(), on_alert: None }
}

/// Runs it, and tells the recorder what was asked and answered. An error is one that no fault of the disk explains.
pub(crate) fn run(base: &Path, kernel: &Arc<dyn Kernel>, recorder: &Recorder) -> Result<(), String> {
    let data = base.join(DATA);
    let open = || docdb::internals::open_over(&data, options(), Arc::clone(kernel)).map_err(|error| error.to_string());
    let docdb = open()?;
    session(&docdb, recorder, &["a", "b"], 0)?;
    docdb.close().map_err(|error| error.to_string())?;
    recorder.tell(Word::Closed);
    let docdb = open()?;
    session(&docdb, recorder, &["a", "c"], 1)?;
    drop(docdb);
    recorder.tell(Word::Closed);
    let docdb = open()?;
    session(&docdb, recorder, &["a", "b", "c"], 2)?;
    docdb.close().map_err(|error| error.to_string())?;
    recorder.tell(Word::Closed);
    Ok(())
}

/// As a run, but the data directory was made by hand before.
pub(crate) fn run_in_made_directory(base: &Path, kernel: &Arc<dyn Kernel>, recorder: &Recorder) -> Result<(), String> {
    let deep = base.join("deep");
    make_by_hand(&**kernel, &deep);
    kernel.sync_directory(std::os::fd::AsFd::as_fd(&std::fs::File::open(base).unwrap())).unwrap();
    make_by_hand(&**kernel, &base.join(DATA));
    run(base, kernel, recorder)
}

fn session(docdb: &DocDb, recorder: &Recorder, names: &[&'static str], number: u64) -> Result<(), String> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(index, name)| scope.spawn(move || database(docdb, recorder, name, index, number)))
            .collect();
        writers.into_iter().try_for_each(|writer| writer.join().unwrap().map_err(|error| error.to_string()))
    })
}

/// Two writers on one database, each with ids of its own; in the middle it is closed.
fn database(docdb: &DocDb, recorder: &Recorder, name: &'static str, index: usize, session: u64) -> Result<(), Error> {
    let database = docdb.database(name)?;
    recorder.tell(Word::Created { database: name });
    for half in 0..2 {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2_usize)
                .map(|writer| {
                    let database = &database;
                    let round = session * 2 + half;
                    scope.spawn(move || write(database, recorder, name, (index * 2 + writer, round)))
                })
                .collect();
            writers.into_iter().try_for_each(|writer| writer.join().unwrap())
        })?;
        if half == 0 {
            database.close()?;
        }
    }
    Ok(())
}

/// Creates, updates and deletes, alone and several at once.
fn write(
    database: &Database,
    recorder: &Recorder,
    name: &'static str,
    (writer, round): (usize, u64),
) -> Result<(), Error> {
    let parity = (writer % 2) as u64;
    for number in 0..TRANSACTIONS {
        let id = (round * TRANSACTIONS + number) * 2 + parity;
        let content = |what: &str| {
            let padding = "x".repeat((id as usize * 97) % 1800);
            format!("{{\"id\":{id}, \"what\" : \"{what}\",\"n\":9007199254740993{id},\"pad\":\"{padding}\"}}")
                .into_bytes()
        };
        let first = (COLLECTIONS[0], id);
        let second = (COLLECTIONS[1], id);
        ask(database, recorder, name, writer, vec![(first, Some(content("new")))], true)?;
        match number % 3 {
            0 => ask(database, recorder, name, writer, vec![(first, Some(content("changed")))], false)?,
            1 => {
                ask(database, recorder, name, writer, vec![(second, Some(content("other")))], true)?;
                ask(database, recorder, name, writer, vec![(first, Some(b"1".to_vec())), (second, None)], false)?;
            }
            _ => ask(database, recorder, name, writer, vec![(first, None)], false)?,
        }
    }
    Ok(())
}

fn ask(
    database: &Database,
    recorder: &Recorder,
    name: &'static str,
    writer: usize,
    changes: Vec<Changed>,
    creates: bool,
) -> Result<(), Error> {
    let mut transaction = database.transaction();
    for ((collection, id), content) in &changes {
        match content {
            Some(content) if creates => transaction.create_bytes(collection, *id, content)?,
            Some(content) => transaction.update_bytes(collection, *id, content)?,
            None => transaction.delete(collection, *id)?,
        };
    }
    recorder.tell(Word::Asked { writer, database: name, changes });
    transaction.commit()?;
    recorder.tell(Word::Answered { writer });
    Ok(())
}
