//! The embedded handle against a sorted map: whatever an application does in whatever order, answers and contents are
//! those of the map, through closing, reopening and the death of the process.

#![allow(clippy::unwrap_used, reason = "a helper of tests, like a test, fails where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use docdb::{Database, DocDb, ErrorCode};
use proptest::prelude::*;

const COLLECTIONS: [&str; 2] = ["_default", "notes"];

/// What an application may do.
#[derive(Clone, Debug)]
enum Step {
    Create(Key, u16),
    Read(Key),
    Update(Key, u16),
    Delete(Key),
    /// Creates, updates and deletes of one transaction; `true` drops it instead of committing.
    Transaction(Vec<(Key, Change)>, bool),
    /// The database is closed, and opens at its next use.
    CloseDatabase,
    /// The handle is closed and the directory opened again.
    Reopen,
    /// The handle is dropped without closing.
    Drop,
    /// The process dies: what lies in the directory at this moment is all there is.
    Kill,
}

#[derive(Clone, Debug)]
enum Change {
    Create(u16),
    Update(u16),
    Delete,
}

type Key = (usize, u64);
type Model = BTreeMap<Key, Vec<u8>>;

fn content(number: u16) -> Vec<u8> {
    // Odd spacing and a number that re-encoding would change.
    format!("{{ \"n\" : 9007199254740993{number},\"pad\":\"{}\"}}", "x".repeat(usize::from(number % 700))).into_bytes()
}

fn key() -> impl Strategy<Value = Key> {
    (0..COLLECTIONS.len(), 0_u64..4)
}

fn step() -> impl Strategy<Value = Step> {
    let change =
        prop_oneof![any::<u16>().prop_map(Change::Create), any::<u16>().prop_map(Change::Update), Just(Change::Delete)];
    prop_oneof![
        6 => (key(), any::<u16>()).prop_map(|(key, number)| Step::Create(key, number)),
        3 => key().prop_map(Step::Read),
        4 => (key(), any::<u16>()).prop_map(|(key, number)| Step::Update(key, number)),
        3 => key().prop_map(Step::Delete),
        3 => (prop::collection::vec((key(), change), 1..5), any::<bool>())
            .prop_map(|(changes, dropped)| Step::Transaction(changes, dropped)),
        1 => Just(Step::CloseDatabase),
        1 => Just(Step::Reopen),
        1 => Just(Step::Drop),
        1 => Just(Step::Kill),
    ]
}

/// What one change does to the map, or how it fails.
fn apply(model: &mut Model, key: Key, change: &Change) -> Result<(), ErrorCode> {
    match (change, model.contains_key(&key)) {
        (Change::Create(_), true) => return Err(ErrorCode::DocExists),
        (Change::Update(_) | Change::Delete, false) => return Err(ErrorCode::DocNotFound),
        (Change::Create(number) | Change::Update(number), _) => drop(model.insert(key, content(*number))),
        (Change::Delete, true) => drop(model.remove(&key)),
    }
    Ok(())
}

fn open(path: &Path) -> (DocDb, Database) {
    let docdb = DocDb::open(path).expect("the directory opens");
    let database = docdb.database("d").expect("the database opens");
    (docdb, database)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn assert_same(database: &Database, model: &Model) {
    for (index, collection) in COLLECTIONS.iter().enumerate() {
        let scanned: Vec<(u64, Vec<u8>)> = database
            .collection(collection)
            .and_then(|documents| documents.scan())
            .unwrap()
            .map(|entry| entry.map(|(id, document)| (id.as_number().unwrap(), document.bytes().to_vec())).unwrap())
            .collect();
        let expected = model.range((index, 0)..(index + 1, 0)).map(|((_, id), bytes)| (*id, bytes.clone()));
        assert!(scanned.iter().cloned().eq(expected), "{collection}: {scanned:?}");
    }
}

fn live(steps: &[Step]) {
    let directory = tempfile::tempdir().expect("a place for the test");
    let mut path = directory.path().join("0");
    let (mut docdb, mut database) = open(&path);
    let mut model = Model::new();
    for (number, step) in steps.iter().enumerate() {
        let change = |database: &Database, model: &mut Model, (collection, id): Key, change: Change| {
            let expected = apply(model, (collection, id), &change);
            let documents = database.collection(COLLECTIONS[collection]).unwrap();
            let answer = match change {
                Change::Create(number) => documents.create_bytes(id, &content(number)),
                Change::Update(number) => documents.update_bytes(id, &content(number)),
                Change::Delete => documents.delete(id),
            };
            assert_eq!(answer.map(drop).map_err(|error| error.code()), expected, "step {number}: {step:?}");
        };
        match step {
            Step::Create(key, number) => change(&database, &mut model, *key, Change::Create(*number)),
            Step::Update(key, number) => change(&database, &mut model, *key, Change::Update(*number)),
            Step::Delete(key) => change(&database, &mut model, *key, Change::Delete),
            Step::Read(key) => {
                let documents = database.collection(COLLECTIONS[key.0]).unwrap();
                let read = documents.get(key.1).unwrap().map(|document| document.bytes().to_vec());
                assert_eq!(read.as_ref(), model.get(key), "step {number}: {step:?}");
            }
            Step::Transaction(changes, dropped) => {
                let mut transaction = database.transaction();
                let mut changed = model.clone();
                let mut expected = Ok(());
                for ((collection, id), change) in changes {
                    let name = COLLECTIONS[*collection];
                    match change {
                        Change::Create(number) => transaction.create_bytes(name, *id, &content(*number)),
                        Change::Update(number) => transaction.update_bytes(name, *id, &content(*number)),
                        Change::Delete => transaction.delete(name, *id),
                    }
                    .unwrap();
                    expected = expected.and_then(|()| apply(&mut changed, (*collection, *id), change));
                }
                if *dropped {
                    drop(transaction);
                } else {
                    let answer = transaction.commit().map(drop).map_err(|error| error.code());
                    assert_eq!(answer, expected, "step {number}: {step:?}");
                    if answer.is_ok() {
                        model = changed;
                    }
                }
            }
            Step::CloseDatabase => database.close().unwrap(),
            Step::Reopen => {
                docdb.close().unwrap();
                drop(database);
                (docdb, database) = open(&path);
                assert_same(&database, &model);
            }
            Step::Drop => {
                drop(docdb);
                drop(database);
                (docdb, database) = open(&path);
                assert_same(&database, &model);
            }
            Step::Kill => {
                let left_behind = directory.path().join((number + 1).to_string());
                copy(&path, &left_behind);
                drop(docdb);
                drop(database);
                path = left_behind;
                (docdb, database) = open(&path);
                assert_same(&database, &model);
            }
        }
    }
    assert_same(&database, &model);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_handle_does_what_a_sorted_map_does(steps in prop::collection::vec(step(), 0..40)) {
        live(&steps);
    }
}
