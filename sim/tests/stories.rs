//! Short stories of a whole engine on a disk that refuses, told step by step where a choice source would
//! only rarely go: full disks, long lives of short sessions, and what is counted.

use std::collections::{BTreeMap, VecDeque};

use docdb_engine::{
    Alert, AlertKind, Completion, Disk, DiskError, DiskErrorKind, DiskOp, Driver, Engine, Input, Instant, OpId,
    Options, Outside, RequestId, View,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, ErrorCode, IfMissing, Operation,
    OperationReply, Reply, Request, Response,
};
use docdb_sim::choice::Choices;
use docdb_sim::clock::SimClock;
use docdb_sim::disk::{CrashKind, Profile, SimDisk};

type Refuse = fn(&DiskOp) -> Option<DiskErrorKind>;

/// A disk that carries everything out at once, unless it refuses.
struct Refusing {
    disk: SimDisk,
    choices: Choices,
    refuse: Refuse,
    refused: VecDeque<Completion>,
    /// Operations the disk was asked for.
    seen: Vec<DiskOp>,
}

impl Disk for Refusing {
    fn submit(&mut self, id: OpId, op: DiskOp) {
        self.seen.push(op.clone());
        if let Some(kind) = (self.refuse)(&op) {
            self.refused.push_back(Completion { id, result: Err(DiskError::new(kind)) });
            return;
        }
        self.disk.submit(id, op);
        self.disk.run(0, &mut self.choices);
    }

    fn poll(&mut self) -> Option<Completion> {
        self.refused.pop_front().or_else(|| self.disk.poll())
    }
}

#[derive(Default)]
struct Heard {
    answers: BTreeMap<RequestId, Response>,
    alerts: Vec<Alert>,
    wake: Option<Instant>,
    stopped: bool,
}

impl Outside for Heard {
    fn respond(&mut self, request: RequestId, response: Response) {
        self.answers.insert(request, response);
    }

    fn publish(&mut self, _: DatabaseId, _: Option<View>) {}

    fn wake_at(&mut self, time: Instant) {
        self.wake = Some(time);
    }

    fn alert(&mut self, alert: Alert) {
        self.alerts.push(alert);
    }

    fn stopped(&mut self) {
        self.stopped = true;
    }
}

struct Machine {
    driver: Driver<Refusing, SimClock>,
    heard: Heard,
    requests: u64,
    options: Options,
}

fn nothing(_: &DiskOp) -> Option<DiskErrorKind> {
    None
}

fn no_space(op: &DiskOp) -> Option<DiskErrorKind> {
    matches!(op, DiskOp::Write { .. } | DiskOp::Allocate { .. }).then_some(DiskErrorKind::NoSpace)
}

fn no_files(op: &DiskOp) -> Option<DiskErrorKind> {
    let takes = matches!(op, DiskOp::Allocate { .. } | DiskOp::MakeDirectory { .. });
    takes.then_some(DiskErrorKind::NoSpace)
}

fn small() -> Options {
    Options { segment_bytes_min: 8192, segment_bytes_max: 8192, ..Options::default() }
}

impl Machine {
    fn new(options: Options) -> Machine {
        let disk = Refusing {
            disk: SimDisk::new(Profile::CALM),
            choices: Choices::seeded(1),
            refuse: nothing,
            refused: VecDeque::new(),
            seen: Vec::new(),
        };
        let driver = Driver::new(Engine::new(options.clone()), disk, SimClock::default());
        let mut machine = Machine { driver, heard: Heard::default(), requests: 0, options };
        machine.settle();
        machine
    }

    fn settle(&mut self) {
        self.driver.drain(&mut self.heard);
        while self.driver.deliver(&mut self.heard) {}
    }

    /// Lets time pass up to the next timer, and whatever follows happen.
    fn wait(&mut self) {
        let wake = self.heard.wake.take().expect("the engine waits for something");
        self.driver.clock.pass_until(wake);
        self.driver.handle(Input::Timer, &mut self.heard);
        self.settle();
    }

    fn ask(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.driver.handle(Input::Request { id, request }, &mut self.heard);
        id
    }

    fn answer(&mut self, request: Request) -> Response {
        let id = self.ask(request);
        self.settle();
        self.heard.answers.remove(&id).expect("everything is carried out at once")
    }

    fn open(&mut self, name: &str) -> Result<DatabaseId, ErrorCode> {
        let name = DatabaseName::parse(name).unwrap();
        match self.answer(Request::OpenDatabase { name, if_missing: IfMissing::Create }) {
            Ok(Reply::Database(id)) => Ok(id),
            Ok(other) => panic!("an opening is not answered by {other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    fn one(&mut self, database: DatabaseId, id: u64, action: Action) -> Result<OperationReply, ErrorCode> {
        match self.answer(execute(database, id, action)) {
            Ok(Reply::Executed(mut results)) => results.remove(0).map_err(|error| error.code()),
            Ok(other) => panic!("an operation is not answered by {other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    /// The engine shuts down, and another one starts.
    fn restart(&mut self) {
        self.driver.handle(Input::Shutdown, &mut self.heard);
        self.settle();
        assert!(std::mem::take(&mut self.heard.stopped), "it shuts down without waiting for anything");
        self.driver.disk.disk.crash(CrashKind::Process, &mut |_, bound| bound - 1);
        self.driver.engine = Engine::new(self.options.clone());
        self.heard.wake = None;
        self.settle();
    }

    fn files(&self) -> Vec<String> {
        self.driver.disk.disk.listing().into_keys().collect()
    }
}

fn execute(database: DatabaseId, id: u64, action: Action) -> Request {
    let operation = Operation { collection: CollectionName::default_collection(), document_id: DocumentId(id), action };
    Request::Execute { database, operations: vec![operation], atomicity: Atomicity::AllOrNothing }
}

/// A document of `bytes` bytes.
fn text(bytes: usize) -> Document {
    Document::parse(format!("\"{}\"", "x".repeat(bytes - 2)).as_bytes()).unwrap()
}

#[test]
fn a_database_that_could_not_be_made_leaves_nothing_and_can_be_made_later() {
    for refuse in [no_space as Refuse, no_files] {
        let mut machine = Machine::new(small());
        let before = machine.files();
        machine.driver.disk.refuse = refuse;
        assert_eq!(machine.open("a"), Err(ErrorCode::DiskFull));
        assert_eq!(machine.files(), before);
        machine.driver.disk.refuse = nothing;
        let database = machine.open("a").unwrap();
        machine.one(database, 1, Action::Create(text(10))).unwrap();
    }
}

#[test]
fn a_catalog_that_could_not_be_written_leaves_nothing() {
    let mut machine = Machine::new(small());
    let before = machine.files();
    machine.driver.disk.refuse = |op| {
        let is_catalog = matches!(op, DiskOp::Write { buffers, .. } if buffers[0].as_slice().starts_with(b"DOCDBCAT"));
        is_catalog.then_some(DiskErrorKind::NoSpace)
    };
    assert_eq!(machine.open("a"), Err(ErrorCode::DiskFull));
    let left: Vec<String> = machine.files().into_iter().filter(|name| !name.starts_with("db/")).collect();
    assert_eq!(left, before);
    // Its folder is whole, and nobody is told of it before a catalog names it.
    match machine.answer(Request::ListDatabases) {
        Ok(Reply::Databases(databases)) => assert!(databases.is_empty()),
        other => panic!("{other:?}"),
    }
    match machine.answer(Request::Stats) {
        Ok(Reply::Stats(stats)) => assert_eq!((stats.databases, stats.databases_open), (0, 0)),
        other => panic!("{other:?}"),
    }
    machine.driver.disk.refuse = nothing;
    machine.open("a").unwrap();
}

#[test]
fn writes_are_refused_while_no_segment_can_be_made_and_go_on_when_space_returns() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.driver.disk.refuse = no_files;
    let mut written = 0;
    let refused = loop {
        match machine.one(database, written + 1, Action::Create(text(1000))) {
            Ok(_) => written += 1,
            Err(code) => break code,
        }
    };
    assert_eq!(refused, ErrorCode::DiskFull);
    assert!(written > 0, "the first segment has room");
    let files = machine.files();
    assert!(!files.iter().any(|name| name.ends_with(".next") || name.ends_with(".spare")), "{files:?}");
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
    assert_eq!(machine.one(database, written + 1, Action::Read), Err(ErrorCode::DocNotFound));
    machine.driver.disk.refuse = nothing;
    machine.one(database, written + 1, Action::Create(text(1000))).unwrap();
    machine.restart();
    let database = machine.open("a").unwrap();
    for id in 1..=written + 1 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

#[test]
fn a_proof_without_space_is_tried_again_and_nothing_is_written_behind_a_failed_write() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.wait();
    assert!(machine.heard.alerts.iter().all(|alert| !matches!(alert.kind, AlertKind::ReadOnly(_))));
    let spoiled = machine.driver.disk.seen.iter().rev().find_map(|op| match op {
        DiskOp::Write { file, .. } => Some(*file),
        _ => None,
    });
    assert_eq!(machine.one(database, 2, Action::Create(text(100))), Err(ErrorCode::DiskFull));
    machine.driver.disk.seen.clear();
    machine.wait();
    machine.driver.disk.refuse = nothing;
    machine.wait();
    machine.one(database, 2, Action::Create(text(100))).unwrap();
    let again =
        |op: &DiskOp| matches!(op, DiskOp::Write { file, .. } | DiskOp::Sync { file } if Some(*file) == spoiled);
    assert!(!machine.driver.disk.seen.iter().any(again), "what a failed write left is unknown");
    machine.restart();
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.one(database, 2, Action::Read), Ok(OperationReply::Document(_))));
}

#[test]
fn a_shutdown_on_a_full_disk_ends_and_loses_nothing() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(100))).unwrap();
    machine.driver.disk.refuse = no_space;
    machine.restart();
    machine.driver.disk.refuse = nothing;
    let database = machine.open("a").unwrap();
    assert!(matches!(machine.one(database, 1, Action::Read), Ok(OperationReply::Document(_))));
}

#[test]
fn a_database_that_latched_leaves_no_spare_and_closes() {
    let mut machine = Machine::new(Options { segment_bytes_min: 16384, segment_bytes_max: 1 << 20, ..small() });
    let database = machine.open("a").unwrap();
    machine.ask(execute(database, 1, Action::Create(text(9000))));
    let is_spare = |op: &DiskOp| matches!(op, DiskOp::Unlink { path } if path.as_str().ends_with(".spare"));
    while !machine.driver.disk.seen.iter().any(is_spare) {
        assert!(machine.driver.deliver(&mut machine.heard), "half a segment is used, so a spare is begun");
    }
    machine.driver.disk.refuse = |op| matches!(op, DiskOp::Write { .. }).then_some(DiskErrorKind::Io);
    assert_eq!(machine.one(database, 2, Action::Create(text(100))), Err(ErrorCode::OutcomeUnknown));
    assert_eq!(machine.one(database, 3, Action::Create(text(100))), Err(ErrorCode::ReadOnly));
    assert!(machine.driver.disk.seen.iter().any(|op| matches!(op, DiskOp::Allocate { offset: 0, bytes: 32768, .. })));
    assert!(!machine.files().iter().any(|name| name.ends_with(".spare")), "{:?}", machine.files());
    machine.driver.disk.refuse = nothing;
    machine.restart();
    let database = machine.open("a").unwrap();
    machine.one(database, 3, Action::Create(text(100))).unwrap();
}

#[test]
fn a_segment_filled_to_its_end_has_room_for_its_proof() {
    let mut machine = Machine::new(small());
    let database = machine.open("a").unwrap();
    let used = machine.driver.disk.disk.used();
    machine.driver.disk.disk.set_quota(Some(used));
    let written = (1..).find(|id| machine.one(database, *id, Action::Create(text(10))).is_err()).unwrap() - 1;
    assert_eq!(written, 7, "eight sectors, one of them for the proof");
    machine.wait();
    let failed = |alert: &Alert| matches!(alert.kind, AlertKind::LogFailed(_) | AlertKind::ReadOnly(_));
    assert!(!machine.heard.alerts.iter().any(failed), "{:?}", machine.heard.alerts);
}

#[test]
fn short_sessions_leave_few_files() {
    let mut machine = Machine::new(Options::default());
    for session in 1..=60 {
        let database = machine.open("a").unwrap();
        machine.one(database, session, Action::Create(text(100))).unwrap();
        machine.restart();
        assert!(machine.files().len() <= 4, "after {session} sessions: {:?}", machine.files());
    }
    let database = machine.open("a").unwrap();
    for id in 1..=60 {
        assert!(matches!(machine.one(database, id, Action::Read), Ok(OperationReply::Document(_))), "{id}");
    }
}

#[test]
fn one_file_of_a_long_log_is_open_at_a_time() {
    let mut machine = Machine::new(Options { merge_bytes_max: 0, ..small() });
    for session in 1..=30 {
        let database = machine.open("a").unwrap();
        machine.one(database, session, Action::Create(text(100))).unwrap();
        machine.restart();
    }
    machine.driver.disk.seen.clear();
    machine.open("a").unwrap();
    let (mut open, mut most) = (0_u32, 0_u32);
    for op in &machine.driver.disk.seen {
        match op {
            DiskOp::Open { .. } => open += 1,
            DiskOp::Close { .. } => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    assert!(machine.files().len() > 30, "a long log");
    assert_eq!(most, 1);
}

#[test]
fn at_the_memory_limit_a_document_may_shrink_or_go() {
    let mut machine = Machine::new(Options { memory_bytes_max: 3000, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(2000))).unwrap();
    assert_eq!(machine.one(database, 2, Action::Create(text(2500))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, Action::Update(text(2500))).unwrap();
    assert_eq!(machine.one(database, 1, Action::Update(text(4000))), Err(ErrorCode::MemoryLimit));
    // Even far beyond the limit, when somebody has lowered it.
    machine.options.memory_bytes_max = 1000;
    machine.restart();
    let database = machine.open("a").unwrap();
    assert_eq!(machine.one(database, 1, Action::Update(text(2600))), Err(ErrorCode::MemoryLimit));
    machine.one(database, 1, Action::Update(text(2400))).unwrap();
    machine.one(database, 1, Action::Delete).unwrap();
    machine.one(database, 2, Action::Create(text(500))).unwrap();
}

#[test]
fn requests_without_documents_count_too() {
    let mut machine = Machine::new(Options { pending_bytes_max: 4096, ..small() });
    let database = machine.open("a").unwrap();
    machine.one(database, 1, Action::Create(text(10))).unwrap();
    // Nothing is delivered, so what writes waits.
    let asked: Vec<RequestId> =
        (0..100).map(|id| machine.ask(execute(database, 100 + id, Action::Create(text(2))))).collect();
    let refused = |id: &&RequestId| matches!(machine.heard.answers.get(id), Some(Err(error)) if error.code() == ErrorCode::QueueFull);
    let refused = asked.iter().filter(refused).count();
    assert!((50..80).contains(&refused), "{refused} of 100 were refused");
    machine.settle();
    assert!(asked.iter().all(|id| machine.heard.answers.contains_key(id)), "everything is answered");
}
