//! Kill -9, and SIGTERM, again and again: no acknowledged write may be lost, none invented, none taken back, and none
//! done that was refused.
//!
//! The loss this prevents: group commit that acknowledges what lay in a buffer of the process lost
//! acknowledged writes in 5 of 20 kills of a system of our kind.
//!
//! Writers, each with documents of its own and one sequence each, over the socket, half of them in each version of the
//! protocol. The moment of each end is a number of acknowledged writes drawn from a seed, never a time. DOCDB_DRILL_SEED replays one;
//! DOCDB_STOP_ROUNDS says how often the daemon is stopped.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
#![allow(clippy::print_stdout, reason = "the seed and the rounds of a drill that fails")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use common::{Daemon, Either};
use docdb_protocol::DatabaseId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const ROUNDS: u64 = 20;
const WRITERS: u64 = 8;
/// Rounds of SIGTERM, unless DOCDB_STOP_ROUNDS says more, under more writers.
const STOP_ROUNDS: u64 = 6;
const STOP_WRITERS: u64 = 16;
const DOCUMENTS_PER_WRITER: u64 = 5;
/// A round ends after 1 to this many acknowledged writes.
const ACKNOWLEDGED_MAX: u64 = 400;

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Terminate,
}

/// What one writer knows of one document.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The last sequence acknowledged; 0 before the first.
    acknowledged: u64,
    /// The last sequence sent; it may be there although nobody said so.
    sent: u64,
}

struct Writer {
    number: u64,
    known: Vec<Known>,
    sequence: u64,
    random: ChaCha8Rng,
}

impl Writer {
    fn id(&self, document: usize) -> u64 {
        self.number * DOCUMENTS_PER_WRITER + document as u64
    }

    /// Writes until the daemon is gone.
    fn write(
        &mut self,
        mut client: Either,
        database: DatabaseId,
        acknowledged: &AtomicU64,
        stop_at: u64,
        enough: &mpsc::Sender<()>,
    ) {
        loop {
            let document = (self.random.next_u64() % DOCUMENTS_PER_WRITER) as usize;
            let id = self.id(document);
            let exists = self.known[document].acknowledged > 0;
            self.sequence += 1;
            self.known[document].sent = self.sequence;
            let text = text(id, self.sequence);
            let Some(written) = client.write(database, exists, id, &text) else { return };
            if written.as_ref().is_err_and(|error| error.starts_with("pool is stopped")) {
                // What is refused is not done.
                self.known[document].sent = self.known[document].acknowledged;
                return;
            }
            assert_eq!(written, Ok(()));
            self.known[document].acknowledged = self.sequence;
            if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == stop_at {
                enough.send(()).unwrap();
            }
        }
    }

    /// Holds every document against what was promised, and learns what is there now.
    fn check(&mut self, client: &mut Either, database: DatabaseId) {
        for document in 0..self.known.len() {
            let id = self.id(document);
            let known = self.known[document];
            let found = client.read(database, id).map_or(0, |document| sequence(id, &document));
            assert!(
                found >= known.acknowledged,
                "document {id}: {found} is there, {known:?}: an acknowledged write is lost"
            );
            let possible = found == known.acknowledged || found == known.sent;
            assert!(possible, "document {id}: {found} is there, {known:?}: it was never sent");
            // Read once, it stays: what is durable now must be there after the next kill.
            self.known[document] = Known { acknowledged: found, sent: found };
        }
    }
}

/// Long enough to span sectors now and then, so that half a document would show.
fn text(id: u64, sequence: u64) -> String {
    let filling = "x".repeat((sequence * 37 % 1500) as usize);
    format!("{{\"id\":{id},\"sequence\":{sequence},\"filling\":\"{filling}\"}}")
}

/// The sequence of a document that is whole.
fn sequence(id: u64, bytes: &[u8]) -> u64 {
    let found = std::str::from_utf8(bytes).unwrap();
    let digits = found.split("\"sequence\":").nth(1).unwrap().split(',').next().unwrap();
    let sequence = digits.parse().unwrap();
    assert_eq!(found, text(id, sequence), "document {id} is not whole");
    sequence
}

#[test]
fn twenty_kills_lose_nothing_that_was_acknowledged() {
    rounds(ROUNDS, WRITERS, End::Kill);
}

#[test]
fn stops_under_sixteen_writers_lose_nothing_that_was_acknowledged() {
    let rounds_wanted = std::env::var("DOCDB_STOP_ROUNDS").map_or(STOP_ROUNDS, |rounds| rounds.parse().unwrap());
    rounds(rounds_wanted, STOP_WRITERS, End::Terminate);
}

fn rounds(rounds: u64, writers: u64, end: End) {
    let seed = std::env::var("DOCDB_DRILL_SEED").map_or(20_261_123, |seed| seed.parse().unwrap());
    println!("DOCDB_DRILL_SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut writers: Vec<Writer> = (0..writers)
        .map(|number| {
            let known = vec![Known::default(); DOCUMENTS_PER_WRITER as usize];
            Writer { number, known, sequence: 0, random: ChaCha8Rng::seed_from_u64(random.next_u64()) }
        })
        .collect();
    let mut acknowledged_in_all = 0;
    for round in 0..rounds {
        let stop_at = 1 + random.next_u64() % ACKNOWLEDGED_MAX;
        acknowledged_in_all += drill(&dir.path().join("data"), &mut writers, stop_at, end);
        println!("round {round}: {end:?} at {stop_at}, {acknowledged_in_all} acknowledged in all");
    }
    // The drill has drilled: a run in which nothing was acknowledged proves nothing.
    assert!(acknowledged_in_all >= rounds);
    let daemon = Daemon::start(&dir.path().join("data"));
    check(&daemon, &mut writers);
}

/// Each writer's documents in the version that it does not write in.
fn check(daemon: &Daemon, writers: &mut [Writer]) -> DatabaseId {
    let database = daemon.connect().open("drill");
    for writer in writers {
        writer.check(&mut Either::connect(&daemon.socket, writer.number + 1), database);
    }
    database
}

/// One life of the daemon, from start to end; how many writes it acknowledged.
fn drill(data: &Path, writers: &mut [Writer], stop_at: u64, end: End) -> u64 {
    let daemon = Daemon::start(data);
    let database = check(&daemon, writers);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (enough, is_enough) = mpsc::channel();
    std::thread::scope(|scope| {
        for writer in writers.iter_mut() {
            let client = Either::connect(&daemon.socket, writer.number);
            let (acknowledged, enough) = (&acknowledged, enough.clone());
            scope.spawn(move || writer.write(client, database, acknowledged, stop_at, &enough));
        }
        is_enough.recv().unwrap();
        match end {
            End::Kill => daemon.kill(),
            End::Terminate => {
                let (status, said) = daemon.terminate();
                assert_eq!(status.code(), Some(0), "{said}");
                assert!(said.contains("stopped") && !said.contains("warning"), "{said}");
            }
        }
    });
    acknowledged.load(Ordering::SeqCst)
}
