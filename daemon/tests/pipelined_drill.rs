//! Kill -9, and SIGTERM, under writers of version 1 that have many writes under way at once: none that was acknowledged may be
//! lost, none that was refused be done, and those of one connection take effect in the order in which they were sent.
//!
//! Each writer has one document and puts a sequence into it, sixteen at a time. Its writes take effect in their order, so what is
//! found is no older than the last one acknowledged and no newer than the last one sent. The moment of each end is a
//! number of acknowledged writes drawn from a seed, never a time. DOCDB_DRILL_SEED replays one.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
#![allow(clippy::print_stdout, reason = "the seed of a drill that fails")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use common::Daemon;
use docdb_client::{Answer, Answered, Call, Client};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, DocumentId, ErrorCode, IfMissing, Operation,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

const ROUNDS: u64 = 6;
const WRITERS: u64 = 4;
const UNDER_WAY: usize = 16;
/// A round ends after 1 to this many acknowledged writes.
const ACKNOWLEDGED_MAX: u64 = 1_000;

struct Writer {
    id: u64,
    /// The last sequence acknowledged; 0 before the first.
    acknowledged: u64,
    /// The last sequence sent.
    sent: u64,
    /// The first sequence refused: neither that one nor any behind it is done.
    refused: Option<u64>,
}

impl Writer {
    fn put(&mut self, database: DatabaseId) -> Call {
        self.sent += 1;
        let document = Document::parse(self.sent.to_string().as_bytes()).unwrap();
        let action = Action::Put(DocumentId::Number(self.id), document);
        let operations = vec![Operation { collection: CollectionName::default_collection(), action }];
        Call::Execute { database, atomicity: Atomicity::AllOrNothing, operations }
    }

    /// Writes until the daemon is gone, or refuses.
    fn write(
        &mut self,
        mut client: Client,
        database: DatabaseId,
        all: &AtomicU64,
        stop_at: u64,
        enough: &mpsc::Sender<()>,
    ) {
        let mut sequences = BTreeMap::new();
        loop {
            while client.under_way() < UNDER_WAY && self.refused.is_none() {
                let call = self.put(database);
                let Ok(request_id) = client.begin(&call) else { return };
                sequences.insert(request_id, self.sent);
            }
            if client.under_way() == 0 {
                return;
            }
            let Ok(Answered { request_id, outcome }) = client.next_answer() else { return };
            let sequence = sequences.remove(&request_id).unwrap();
            match outcome {
                Ok(Answer::Executed(results)) => {
                    results[0].as_ref().unwrap();
                    self.acknowledged = self.acknowledged.max(sequence);
                    if all.fetch_add(1, Ordering::SeqCst) + 1 == stop_at {
                        enough.send(()).unwrap();
                    }
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => {
                    assert_eq!(error.code(), ErrorCode::PoolStopped, "{error}");
                    self.refused = Some(self.refused.map_or(sequence, |first| first.min(sequence)));
                }
            }
        }
    }

    fn check(&mut self, client: &mut Client, database: DatabaseId) {
        let got = client.get(database, CollectionName::DEFAULT, self.id).unwrap();
        let found = got.map_or(0, |(document, _)| std::str::from_utf8(document.bytes()).unwrap().parse().unwrap());
        let (acknowledged, sent) = (self.acknowledged, self.sent);
        assert!(found >= acknowledged, "document {}: {found} is there, {acknowledged} was acknowledged", self.id);
        assert!(found <= sent, "document {}: {found} is there, {sent} was the last one sent", self.id);
        let refused = self.refused.take();
        assert!(
            refused.is_none_or(|first| found < first),
            "document {}: {found} is there, {refused:?} was refused",
            self.id
        );
        // Read once, it stays.
        self.acknowledged = found;
    }
}

#[test]
fn kills_and_stops_under_pipelined_writers_lose_nothing_and_keep_their_order() {
    let seed = std::env::var("DOCDB_DRILL_SEED").map_or(20_261_129, |seed| seed.parse().unwrap());
    println!("DOCDB_DRILL_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut writers: Vec<Writer> =
        (0..WRITERS).map(|id| Writer { id, acknowledged: 0, sent: 0, refused: None }).collect();
    for round in 0..ROUNDS {
        drill(&data, &mut writers, 1 + random.next_u64() % ACKNOWLEDGED_MAX, round % 2 == 0);
    }
    check(&Daemon::start(&data), &mut writers);
}

fn check(daemon: &Daemon, writers: &mut [Writer]) -> DatabaseId {
    let mut client = Client::connect(&daemon.socket).unwrap();
    let database = client.open_database("drill", IfMissing::Create).unwrap();
    writers.iter_mut().for_each(|writer| writer.check(&mut client, database));
    database
}

/// One life of the daemon, from start to end.
fn drill(data: &Path, writers: &mut [Writer], stop_at: u64, is_killed: bool) {
    let daemon = Daemon::start(data);
    let database = check(&daemon, writers);
    let all = AtomicU64::new(0);
    let (enough, is_enough) = mpsc::channel();
    std::thread::scope(|scope| {
        for writer in writers.iter_mut() {
            let client = Client::connect(&daemon.socket).unwrap();
            let (all, enough) = (&all, enough.clone());
            scope.spawn(move || writer.write(client, database, all, stop_at, &enough));
        }
        is_enough.recv().unwrap();
        if is_killed {
            daemon.kill();
        } else {
            let (status, said) = daemon.terminate();
            assert_eq!(status.code(), Some(0), "{said}");
        }
    });
}
