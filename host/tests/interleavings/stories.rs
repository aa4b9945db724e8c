//! What happens in a run: a few threads that ask, and what has to hold whatever the order.

use std::sync::Arc;
use std::sync::Mutex as Plain;
use std::sync::atomic::{AtomicUsize, Ordering};

use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, ErrorCode, IfMissing, Operation,
    Reply, Request, Response,
};
use shuttle::thread;

use crate::core::Core;
use crate::file_disk::FileDisk;
use crate::lock::DirectoryLock;
use crate::options::{AlertHook, Options};
use crate::planted::Mistake;
use crate::world::{World, world};

/// A segment holds few documents, so that logs rotate.
const SEGMENT_BYTES: u64 = 8192;

/// One story, from opening a directory to its being free again.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    tell: fn(),
}

pub(crate) const STORIES: [Story; 8] = [
    Story { name: "writers and a closer", tell: writers_and_a_closer },
    Story { name: "a busy device is waited for", tell: a_busy_device_is_waited_for },
    Story { name: "an answer drops the last handle", tell: an_answer_drops_the_last_handle },
    Story { name: "an alert drops the last handle", tell: an_alert_drops_the_last_handle },
    Story { name: "stopping under load", tell: stopping_under_load },
    Story { name: "nobody waits for another's sync", tell: nobody_waits_for_anothers_sync },
    Story { name: "threads run out at the start", tell: threads_run_out_at_the_start },
    Story { name: "two stop, one of them within an answer", tell: two_stop },
];

impl Story {
    pub(crate) fn run(self, mistake: Option<Mistake>) {
        let time = World::begin(mistake);
        (self.tell)();
        world().wait_until_freed();
        World::end(time);
    }
}

/// As `DocDb` holds it: the last share that is dropped stops the engine.
struct Running(Arc<Core>);

impl Drop for Running {
    fn drop(&mut self) {
        // A story that failed is not carried on with.
        if !std::thread::panicking() {
            self.0.stop();
        }
    }
}

fn options(on_alert: Option<AlertHook>) -> Options {
    let engine = docdb_engine::Options {
        segment_bytes_min: SEGMENT_BYTES,
        segment_bytes_max: SEGMENT_BYTES,
        // Nothing that comes by itself may hide that a wake-up was lost.
        watermark_delay_ns: u64::MAX,
        seed: 1,
        ..docdb_engine::Options::default()
    };
    Options { engine, program: String::new(), on_alert }
}

fn open(on_alert: Option<AlertHook>) -> (Arc<Running>, DatabaseId) {
    let core = Core::start(FileDisk::default(), DirectoryLock, options(on_alert)).expect("threads can be started");
    let name = DatabaseName::parse("d").expect("a name");
    let opened = core.request(Request::OpenDatabase { name, if_missing: IfMissing::Create });
    let Ok(Reply::Database(database)) = opened else { panic!("a database can be made: {opened:?}") };
    (Arc::new(Running(core)), database)
}

fn create(database: DatabaseId, id: u64) -> Request {
    let operation = Operation {
        collection: CollectionName::parse("c").expect("a name"),
        action: Action::Create(DocumentId::Number(id), Document::parse(b"{}").expect("JSON")),
    };
    Request::Execute { database, operations: vec![operation], atomicity: Atomicity::AllOrNothing }
}

fn assert_written(response: &Response) {
    assert!(matches!(response, Ok(Reply::Executed(_))), "it is written: {response:?}");
}

fn assert_written_or_stopped(response: &Response) {
    match response {
        Ok(_) => assert_written(response),
        Err(error) => assert!(matches!(error.code(), ErrorCode::PoolStopped | ErrorCode::DbNotOpen), "{error}"),
    }
}

fn writers_and_a_closer() {
    let (running, database) = open(None);
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let running = Arc::clone(&running);
            thread::spawn(move || {
                for number in 0..3 {
                    assert_written(&running.0.request(create(database, writer * 10 + number)));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().expect("no writer panics");
    }
    let view = running.0.view(database).expect("it is open");
    assert_eq!(view.documents(), 9);
    assert!(running.0.request(Request::CloseDatabase { database }).is_ok());
    assert!(running.0.view(database).is_none());
}

fn a_busy_device_is_waited_for() {
    let alerts = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&alerts);
    let on_alert = move |_: &crate::alert::Alert| {
        heard.fetch_add(1, Ordering::Relaxed);
    };
    let (running, database) = open(Some(Arc::new(on_alert)));
    let other = Arc::clone(&running);
    // The write fails, the new segment's first operation too: then time has to pass.
    world().faults.set(3);
    let writer = thread::spawn(move || assert_written(&other.0.request(create(database, 1))));
    assert_written(&running.0.request(create(database, 2)));
    writer.join().expect("no writer panics");
    drop(running);
    assert!(alerts.load(Ordering::Relaxed) > 0, "every alert is heard before the end");
}

fn an_answer_drops_the_last_handle() {
    let (running, database) = open(None);
    let answers = Arc::new(AtomicUsize::new(0));
    let last = Arc::clone(&running);
    let counted = Arc::clone(&answers);
    running.0.submit(
        create(database, 1),
        Box::new(move |response| {
            assert_written(&response);
            counted.fetch_add(1, Ordering::Relaxed);
            drop(last);
        }),
    );
    for id in 2..4 {
        let counted = Arc::clone(&answers);
        let then = move |response: Response| {
            assert_written(&response);
            counted.fetch_add(1, Ordering::Relaxed);
        };
        running.0.submit(create(database, id), Box::new(then));
    }
    drop(running);
    world().wait_until_freed();
    while answers.load(Ordering::Relaxed) < 3 {
        thread::yield_now();
    }
}

fn an_alert_drops_the_last_handle() {
    let last: Arc<Plain<Option<Arc<Running>>>> = Arc::default();
    let kept = Arc::clone(&last);
    let take = move || kept.lock().expect("no panic").take();
    let (running, database) = open(Some(Arc::new(move |_| drop(take()))));
    *last.lock().expect("no panic") = Some(Arc::clone(&running));
    world().faults.set(1);
    for id in 0..3 {
        running.0.submit(create(database, id), Box::new(|response| assert_written(&response)));
    }
    drop(running);
}

fn stopping_under_load() {
    let (running, database) = open(None);
    let answers = Arc::new(AtomicUsize::new(0));
    let writer = {
        let running = Arc::clone(&running);
        thread::spawn(move || {
            for id in 0..2 {
                assert_written_or_stopped(&running.0.request(create(database, id)));
            }
        })
    };
    let asker = {
        let (running, answers) = (Arc::clone(&running), Arc::clone(&answers));
        thread::spawn(move || {
            let again = Arc::clone(&running.0);
            let then = move |response: Response| {
                assert_written_or_stopped(&response);
                answers.fetch_add(1, Ordering::Relaxed);
                let last = move |response: Response| {
                    assert_written_or_stopped(&response);
                    answers.fetch_add(1, Ordering::Relaxed);
                };
                again.submit(create(database, 11), Box::new(last));
            };
            running.0.submit(create(database, 10), Box::new(then));
        })
    };
    running.0.stop();
    writer.join().expect("no writer panics");
    asker.join().expect("no asker panics");
    while answers.load(Ordering::Relaxed) < 2 {
        thread::yield_now();
    }
}

/// A caller that asks something which needs no disk has its answer while a sync is under way, also when it found the lock taken
/// by the thread that carries the sync out.
fn nobody_waits_for_anothers_sync() {
    let (running, database) = open(None);
    let other = Arc::clone(&running);
    world().prolong_syncs();
    let writer = thread::spawn(move || assert_written(&other.0.request(create(database, 1))));
    for _ in 0..2 {
        assert!(running.0.request(Request::Stats).is_ok());
    }
    world().end_syncs();
    writer.join().expect("no writer panics");
}

/// It is refused, and the directory is free again, however many threads there were.
fn threads_run_out_at_the_start() {
    // One for each lane, one for the timer: this story is run for one number after the other.
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let threads = TOLD.fetch_add(1, Ordering::Relaxed) % 4;
    world().threads.set(u32::try_from(threads).expect("at most three"));
    let refused = Core::start(FileDisk::default(), DirectoryLock, options(None)).map(drop);
    assert_eq!(refused.expect_err("there are too few").code(), ErrorCode::LimitExceeded);
}

fn two_stop() {
    let (running, database) = open(None);
    let within = Arc::clone(&running);
    let then = move |response: Response| {
        assert_written_or_stopped(&response);
        within.0.stop();
    };
    running.0.submit(create(database, 1), Box::new(then));
    running.0.stop();
}
