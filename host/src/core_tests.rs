//! What everyone is answered when the engine panics, which only a bug makes it do.

use std::sync::mpsc;

use docdb_engine::{Completion, DiskReply, Input, OpId};
use docdb_protocol::{DatabaseName, ErrorCode, IfMissing, Request};

use crate::DocDb;
use crate::desk::Waiter;
use crate::messages::Then;

#[test]
fn a_panic_of_the_engine_fails_everyone_and_loses_nothing() {
    let directory = tempfile::tempdir().expect("a place for the test");
    let docdb = DocDb::open(directory.path()).expect("a fresh directory opens");
    let database = docdb.database("d").expect("it is made");
    database.collection("c").unwrap().create_bytes(1, b"1").expect("it is written");

    // From here on there is somebody to call foreign code.
    docdb.submit(Request::Stats, drop);

    let (tell, answers) = mpsc::channel();
    let core = &docdb.running.core;
    std::thread::scope(|scope| {
        let bug = scope.spawn(move || {
            let mut entered = core.enter();
            // It waits when the engine goes down: nothing is delivered in between.
            let name = DatabaseName::parse("e").expect("a name");
            let then: Then = Box::new(move |response| drop(tell.send(response)));
            let id = entered.desk.expect(Waiter::Then(then));
            entered
                .handle(Input::Request { id, request: Request::OpenDatabase { name, if_missing: IfMissing::Create } });
            entered.handle(Input::Completed(Completion { id: OpId(u64::MAX), result: Ok(DiskReply::Done) }));
        });
        assert!(bug.join().is_err(), "an operation that was never submitted is a bug");
    });
    let refused = answers.recv().expect("everyone who waits is answered").expect_err("by an error");
    assert_eq!(refused.code(), ErrorCode::PoolStopped);
    assert_eq!(
        database.collection("c").unwrap().create_bytes(2, b"2").expect_err("nothing goes on").code(),
        ErrorCode::PoolStopped
    );
    assert!(docdb.running.core.failure().is_some());
    drop((database, docdb));

    let docdb = DocDb::open(directory.path()).expect("the directory is free again");
    let database = docdb.database("d").expect("it is there");
    assert_eq!(database.collection("c").unwrap().get(1).expect("it can be read").expect("it is there").bytes(), b"1");
    assert!(database.collection("c").unwrap().get(2).expect("it can be read").is_none());
}
