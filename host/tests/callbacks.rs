//! Foreign code that DocDB calls: it may drop the last handle, ask again, and take its time.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use docdb::{Action, Atomicity, CollectionName, DatabaseId, DocDb, Document, DocumentId, Operation, Options, Request};

/// A test that hangs fails after this long.
const PATIENCE: Duration = Duration::from_secs(120);

fn create(database: DatabaseId, id: u64) -> Request {
    let operation = Operation {
        collection: CollectionName::parse("c").expect("a name"),
        action: Action::Create(DocumentId::Number(id), Document::parse(b"{}").expect("JSON")),
    };
    Request::Execute { database, operations: vec![operation], atomicity: Atomicity::EachAlone }
}

/// The loss this prevents: a process that never ends, because a thread of DocDB's waits for itself.
#[test]
fn an_answer_may_drop_the_last_handle() {
    for others in 0..8 {
        let directory = tempfile::tempdir().expect("a place for the test");
        let docdb = DocDb::open(directory.path()).expect("a fresh directory opens");
        let database = docdb.database("d").expect("it is made").id();
        let (told, answers) = mpsc::channel();
        let last = docdb.clone();
        let tell = told.clone();
        docdb.submit(create(database, 0), move |response| {
            drop(last);
            tell.send(response).expect("the test waits");
        });
        // The disk has more to do when the first answer comes.
        for id in 1..=others {
            let tell = told.clone();
            docdb.submit(create(database, id), move |response| tell.send(response).expect("the test waits"));
        }
        drop((docdb, told));
        for _ in 0..=others {
            answers.recv_timeout(PATIENCE).expect("everyone is answered").expect("what was taken is written");
        }
        assert!(answers.recv_timeout(PATIENCE).is_err(), "everyone is answered once");
        let docdb = DocDb::open(directory.path()).expect("the directory is free again");
        let database = docdb.existing_database("d").expect("it is there");
        assert_eq!(database.collection("c").unwrap().scan_from(0).expect("it opens").count() as u64, others + 1);
    }
}

#[test]
fn an_alert_may_drop_the_last_handle() {
    let directory = tempfile::tempdir().expect("a place for the test");
    let docdb = DocDb::open(directory.path()).expect("a fresh directory opens");
    let database = docdb.database("d").expect("it is made");
    let id = database.id();
    for number in 0..4 {
        database.collection("c").unwrap().create_bytes(number, b"[0, 0, 0, 0, 0, 0, 0, 0]").expect("it is written");
    }
    drop((docdb, database));
    let log = directory.path().join("db/d/d.wal");
    let mut bytes = std::fs::read(&log).expect("the log is there");
    let at = bytes.windows(8).position(|window| window == b"[0, 0, 0").expect("the document is in it");
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).expect("it can be written");

    let last: Arc<Mutex<Option<DocDb>>> = Arc::default();
    let (told, alerts) = mpsc::channel();
    let (kept, told) = (Arc::clone(&last), Mutex::new(told));
    let on_alert = move |_: &docdb::Alert| {
        let handle = kept.lock().expect("no panic").take();
        if handle.is_some() {
            drop(handle);
            told.lock().expect("no panic").send(()).expect("the test waits");
        }
    };
    let docdb =
        DocDb::open_with(directory.path(), Options { on_alert: Some(Arc::new(on_alert)), ..Options::default() });
    let docdb = docdb.expect("it opens");
    *last.lock().expect("no panic") = Some(docdb.clone());
    docdb.submit(Request::CloseDatabase { database: id }, drop);
    docdb.submit(create(id, 100), drop);
    drop(docdb);
    alerts.recv_timeout(PATIENCE).expect("damage is told, and the handle dropped");
    DocDb::open(directory.path()).expect("the directory is free again");
}

#[test]
fn an_answer_that_takes_its_time_keeps_no_writer_waiting() {
    let directory = tempfile::tempdir().expect("a place for the test");
    let docdb = DocDb::open(directory.path()).expect("a fresh directory opens");
    let database = docdb.database("d").expect("it is made");
    let (go_on, waits) = mpsc::channel::<()>();
    let (told, begun) = mpsc::channel();
    docdb.submit(create(database.id(), 0), move |_| {
        told.send(()).expect("the test waits");
        waits.recv().expect("the test lets it go on");
    });
    begun.recv_timeout(PATIENCE).expect("the answer comes");
    std::thread::scope(|scope| {
        for thread in 1..=8 {
            let database = &database;
            scope.spawn(move || {
                for number in 0..20 {
                    database
                        .collection("c")
                        .unwrap()
                        .create_bytes(thread * 100 + number, b"{}")
                        .expect("it is written");
                }
            });
        }
    });
    go_on.send(()).expect("it still waits");
    docdb.close().expect("it ends");
}

/// An answer that asks again, for ever until it is refused, must not fill the stack.
#[test]
fn an_answer_may_ask_again_without_end() {
    const TIMES: usize = 100_000;
    fn ask(docdb: &DocDb, left: usize, told: mpsc::Sender<()>) {
        let again = docdb.clone();
        docdb.submit(Request::Stats, move |_| match left {
            0 => told.send(()).expect("the test waits"),
            _ => ask(&again, left - 1, told),
        });
    }
    let directory = tempfile::tempdir().expect("a place for the test");
    let docdb = DocDb::open(directory.path()).expect("a fresh directory opens");
    let (told, end) = mpsc::channel();
    ask(&docdb, TIMES, told);
    end.recv_timeout(PATIENCE).expect("it ends");
}
