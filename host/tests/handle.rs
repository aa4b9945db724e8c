//! The embedded handle, as an application uses it: over real files, from many threads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use docdb::{Database, DocDb, ErrorCode, Expectation, Reply, Request};

const THREADS: u64 = 8;

fn document(id: u64) -> Vec<u8> {
    // Big numbers, odd spacing and escapes: whatever a re-encoding would change.
    format!("{{ \"n\" : 9007199254740993{id},\"t\":\"\\u00e4{}\"}}", "x".repeat(id as usize % 700)).into_bytes()
}

fn fresh() -> (tempfile::TempDir, DocDb) {
    let directory = tempfile::tempdir().expect("a place for the test");
    let docdb = DocDb::open(directory.path().join("data")).expect("a fresh directory opens");
    (directory, docdb)
}

fn read(database: &Database, collection: &str, id: u64) -> Option<Vec<u8>> {
    database
        .collection(collection)
        .expect("the name is valid")
        .get(id)
        .expect("nothing is damaged")
        .map(|document| document.bytes().to_vec())
}

#[test]
fn one_document_lives_and_dies() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    assert_eq!(read(&database, "c", 1), None);
    let first = database.collection("c").unwrap().create_bytes(1, b"[1]").unwrap();
    assert_eq!(database.collection("c").unwrap().create_bytes(1, b"[2]").unwrap_err().code(), ErrorCode::DocExists);
    assert_eq!(read(&database, "c", 1).unwrap(), b"[1]");
    let second = database.collection("c").unwrap().update_bytes(1, b" [2 ]").unwrap();
    assert!(second > first);
    assert_eq!(read(&database, "c", 1).unwrap(), b" [2 ]");
    database.collection("c").unwrap().delete(1).unwrap();
    assert_eq!(read(&database, "c", 1), None);
    assert_eq!(database.collection("c").unwrap().delete(1).unwrap_err().code(), ErrorCode::DocNotFound);
    assert_eq!(database.collection("c").unwrap().create_bytes(1, b"{").unwrap_err().code(), ErrorCode::InvalidJson);
    assert_eq!(docdb.existing_database("other").unwrap_err().code(), ErrorCode::DbNotFound);
    let databases = docdb.databases().unwrap();
    assert_eq!(databases.len(), 1);
    assert_eq!(databases[0].name.as_str(), "d");
}

#[test]
fn a_transaction_is_written_whole_or_not_at_all() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    let mut both = database.transaction();
    both.create_bytes("a", 1, b"1").unwrap().create_bytes("b", 2, b"2").unwrap();
    both.commit().unwrap();
    let mut refused = database.transaction();
    refused.update_bytes("a", 1, b"3").unwrap().delete("b", 77).unwrap();
    assert_eq!(refused.commit().unwrap_err().code(), ErrorCode::DocNotFound);
    assert_eq!(read(&database, "a", 1).unwrap(), b"1");
    assert_eq!(read(&database, "b", 2).unwrap(), b"2");
    let mut dropped = database.transaction();
    dropped.delete("a", 1).unwrap();
    drop(dropped);
    assert_eq!(read(&database, "a", 1).unwrap(), b"1");
    assert_eq!(database.collections().unwrap(), ["_default", "a", "b"]);
}

#[test]
fn many_threads_write_and_everyone_reads_their_own_writes() {
    let (directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    let each = 200;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = database.clone();
            scope.spawn(move || {
                for number in 0..each {
                    let id = thread * each + number;
                    database.collection("c").unwrap().create_bytes(id, &document(id)).unwrap();
                    assert_eq!(read(&database, "c", id).unwrap(), document(id));
                    if id % 3 == 0 {
                        database.collection("c").unwrap().update_bytes(id, &document(id + 1)).unwrap();
                    }
                    if id % 7 == 0 {
                        database.collection("c").unwrap().delete(id).unwrap();
                    }
                }
            });
        }
    });
    let expected: Vec<(u64, Vec<u8>)> = (0..THREADS * each)
        .filter(|id| id % 7 != 0)
        .map(|id| (id, document(if id % 3 == 0 { id + 1 } else { id })))
        .collect();
    let all = |database: &Database| {
        let scan = database.collection("c").unwrap().scan_from(0).unwrap();
        scan.map(|entry| entry.map(|(id, document)| (id.as_number().unwrap(), document.bytes().to_vec())).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(all(&database), expected);
    assert_eq!(
        database.collection("c").unwrap().scan_from(700).unwrap().count(),
        expected.iter().filter(|(id, _)| *id >= 700).count()
    );
    drop(database);
    docdb.close().unwrap();

    let docdb = DocDb::open(directory.path().join("data")).unwrap();
    let database = docdb.existing_database("d").unwrap();
    assert_eq!(all(&database), expected, "reopened, byte for byte");
}

#[test]
fn a_directory_dropped_without_closing_keeps_everything() {
    let (directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    for id in 0..50 {
        database.collection("c").unwrap().create_bytes(id, &document(id)).unwrap();
    }
    drop(docdb);
    drop(database);
    let docdb = DocDb::open(directory.path().join("data")).unwrap();
    let database = docdb.database("d").unwrap();
    for id in 0..50 {
        assert_eq!(read(&database, "c", id).unwrap(), document(id));
    }
}

#[test]
fn a_closed_database_opens_again_at_its_next_use() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    database.collection("c").unwrap().create_bytes(1, b"1").unwrap();
    database.close().unwrap();
    assert_eq!(docdb.stats().unwrap().databases_open, 0);
    assert_eq!(read(&database, "c", 1).unwrap(), b"1");
    database.close().unwrap();
    database.collection("c").unwrap().create_bytes(2, b"2").unwrap();
    assert_eq!(read(&database, "c", 2).unwrap(), b"2");
}

/// Daemon, shell and handle look views up by the same steps, which open what is closed.
#[test]
fn a_view_is_looked_up_with_and_without_waiting_and_opens_what_is_closed() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    database.collection("c").unwrap().create_bytes(1, b"1").unwrap();
    let without_waiting = |id| {
        let (answers, answer) = mpsc::channel();
        docdb.submit_view(id, move |view| answers.send(view.map(|view| view.documents())).unwrap());
        answer.recv().unwrap()
    };
    for _ in 0..2 {
        assert_eq!(without_waiting(database.id()), Ok(1), "whether it is open or not");
        database.close().unwrap();
    }
    assert_eq!(docdb.view(database.id()).unwrap().documents(), 1);
    let unknown = docdb::DatabaseId::new(99).unwrap();
    assert_eq!(without_waiting(unknown).unwrap_err().code(), ErrorCode::DbNotFound);
    assert_eq!(docdb.view(unknown).unwrap_err().code(), ErrorCode::DbNotFound);
}

#[test]
fn writers_and_closers_do_not_block_each_other() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let database = database.clone();
            scope.spawn(move || {
                for number in 0..25 {
                    let id = thread * 1000 + number;
                    match database.collection("c").unwrap().create_bytes(id, &document(id)) {
                        Ok(_) => assert_eq!(read(&database, "c", id).unwrap(), document(id)),
                        Err(error) => assert_eq!(error.code(), ErrorCode::DbNotOpen),
                    }
                    if number % 10 == thread {
                        database.close().unwrap();
                    }
                }
            });
        }
    });
}

#[test]
fn submitted_requests_are_answered_without_a_waiting_caller() {
    let (_directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    let (sender, answers) = mpsc::channel();
    for id in 0..500 {
        let sender = sender.clone();
        let operation = docdb::Operation {
            collection: docdb::CollectionName::parse("c").unwrap(),
            action: docdb::Action::Create(id.into(), docdb::Document::parse(&document(id)).unwrap()),
        };
        let request = Request::Execute {
            database: database.id(),
            operations: vec![operation],
            atomicity: docdb::Atomicity::EachAlone,
        };
        docdb.submit(request, move |response| sender.send(response).unwrap());
    }
    drop(sender);
    let mut count = 0;
    for answer in answers {
        let Reply::Executed(results) = answer.unwrap() else { panic!("a write is executed") };
        assert!(results.iter().all(Result::is_ok));
        count += 1;
    }
    assert_eq!(count, 500);
    assert_eq!(database.collection("c").unwrap().scan_from(0).unwrap().count(), 500);
}

#[test]
fn closing_under_load_answers_everyone_and_frees_the_directory() {
    let (directory, docdb) = fresh();
    let database = docdb.database("d").unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (database, acknowledged) = (database.clone(), Arc::clone(&acknowledged));
            std::thread::spawn(move || {
                let mut count = 0;
                loop {
                    match database.collection("c").unwrap().create_bytes(thread << 32 | count, b"{}") {
                        Ok(_) => {
                            count += 1;
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            assert!(matches!(error.code(), ErrorCode::PoolStopped | ErrorCode::DbNotOpen), "{error}");
                            if error.code() == ErrorCode::PoolStopped {
                                break;
                            }
                        }
                    }
                }
            })
        })
        .collect();
    // Closed in the middle of the load, however fast this machine is.
    while acknowledged.load(Ordering::Relaxed) < THREADS * 8 {
        std::thread::yield_now();
    }
    docdb.close().unwrap();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(
        database.collection("c").unwrap().create_bytes(u64::MAX, b"{}").unwrap_err().code(),
        ErrorCode::PoolStopped
    );
    let docdb = DocDb::open(directory.path().join("data")).unwrap();
    let count = docdb.database("d").unwrap().collection("c").unwrap().scan_from(0).unwrap().count() as u64;
    assert_eq!(count, acknowledged.load(Ordering::Relaxed), "what was acknowledged is there, what was refused is not");
}

/// Preconditions alone write nothing, so there is no transaction of theirs to name.
#[test]
fn a_transaction_of_preconditions_alone_names_the_newest_that_readers_see() {
    let (_directory, docdb) = fresh();
    let library = docdb.database("library").expect("nothing stands against it");
    let books = library.collection("books").expect("nothing stands against it");
    let written = books.put("momo", &1973).expect("nothing stands against it");
    let newest = books.put("krabat", &1971).expect("nothing stands against it");
    let mut transaction = library.transaction();
    transaction.expect("books", "momo", Expectation::Version(written)).expect("nothing stands against it");
    transaction.expect("books", "dune", Expectation::Absent).expect("nothing stands against it");
    let committed = transaction.commit().expect("nothing stands against it");
    assert_eq!((committed.transaction, committed.inserted), (newest, vec![]));
    let mut overtaken = library.transaction();
    overtaken.expect("books", "dune", Expectation::Absent).expect("nothing stands against it");
    overtaken.expect("books", "momo", Expectation::Absent).expect("nothing stands against it");
    let refused = overtaken.commit().expect_err("it does not hold");
    assert_eq!(refused.code(), ErrorCode::Conflict);
    assert_eq!(refused.context().and_then(|context| context.operation), Some(1), "it says which does not hold");
    assert_eq!(library.view().expect("nothing stands against it").last_tx(), newest, "nothing is written");
}

/// Each of several writers patches a member of its own, and no one's is lost.
#[test]
fn patches_of_one_document_lose_nothing_of_each_other() {
    const WRITERS: usize = 4;
    const PATCHES: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let docdb = DocDb::open(directory.path().join("data")).unwrap();
    let counters = docdb.database("a").unwrap().collection("counters").unwrap();
    counters.create_bytes(1, br#"{ "kept" : 1.0e400 }"#).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let counters = &counters;
            scope.spawn(move || {
                for count in 1..=PATCHES {
                    counters.patch(1, format!("{{\"writer{writer}\":{count}}}").as_bytes()).unwrap();
                }
            });
        }
    });
    let document = counters.get(1).unwrap().unwrap();
    let text = std::str::from_utf8(document.bytes()).unwrap();
    assert!(text.starts_with(r#"{ "kept" : 1.0e400,"#), "{text}");
    for writer in 0..WRITERS {
        assert!(text.contains(&format!("\"writer{writer}\" : {PATCHES}")), "{text}");
    }
    assert_eq!(counters.patch(2, b"{}").unwrap_err().code(), ErrorCode::DocNotFound);
}
