//! A machine that carries everything out at once, on a disk that may be told to refuse.

use std::collections::{BTreeMap, VecDeque};

use docdb_engine::{
    Alert, Completion, Disk, DiskError, DiskErrorKind, DiskOp, DiskPath, Driver, Engine, FileId, Input, Instant, OpId,
    OpenMode, Options, Outside, RequestId, View,
};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, ErrorCode, IfMissing, Operation,
    OperationReply, Reply, Request, Response,
};
use docdb_sim::choice::Choices;
use docdb_sim::clock::SimClock;
use docdb_sim::disk::{CrashKind, Profile, SimDisk};

pub(crate) type Refuse = fn(&DiskOp) -> Option<DiskErrorKind>;

/// A disk that carries everything out at once, unless it refuses.
pub(crate) struct Refusing {
    pub(crate) disk: SimDisk,
    pub(crate) choices: Choices,
    pub(crate) refuse: Refuse,
    refused: VecDeque<Completion>,
    /// Operations the disk was asked for.
    pub(crate) seen: Vec<DiskOp>,
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
pub(crate) struct Heard {
    pub(crate) answers: BTreeMap<RequestId, Response>,
    pub(crate) alerts: Vec<Alert>,
    wake: Option<Instant>,
    pub(crate) stopped: bool,
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

pub(crate) struct Machine {
    pub(crate) driver: Driver<Refusing, SimClock>,
    pub(crate) heard: Heard,
    requests: u64,
    pub(crate) options: Options,
}

pub(crate) fn nothing(_: &DiskOp) -> Option<DiskErrorKind> {
    None
}

pub(crate) fn no_space(op: &DiskOp) -> Option<DiskErrorKind> {
    matches!(op, DiskOp::Write { .. } | DiskOp::Allocate { .. }).then_some(DiskErrorKind::NoSpace)
}

pub(crate) fn no_files(op: &DiskOp) -> Option<DiskErrorKind> {
    let takes = matches!(op, DiskOp::Allocate { .. } | DiskOp::MakeDirectory { .. });
    takes.then_some(DiskErrorKind::NoSpace)
}

pub(crate) fn small() -> Options {
    Options { segment_bytes_min: 8192, segment_bytes_max: 8192, ..Options::default() }
}

impl Machine {
    pub(crate) fn new(options: Options) -> Machine {
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

    pub(crate) fn settle(&mut self) {
        self.driver.drain(&mut self.heard);
        while self.driver.deliver(&mut self.heard) {}
    }

    /// Lets time pass up to the next timer, and whatever follows happen.
    pub(crate) fn wait(&mut self) {
        let wake = self.heard.wake.take().expect("the engine waits for something");
        self.driver.clock.pass_until(wake);
        self.driver.handle(Input::Timer, &mut self.heard);
        self.settle();
    }

    pub(crate) fn ask(&mut self, request: Request) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.driver.handle(Input::Request { id, request }, &mut self.heard);
        id
    }

    pub(crate) fn answer(&mut self, request: Request) -> Response {
        let id = self.ask(request);
        self.settle();
        self.heard.answers.remove(&id).expect("everything is carried out at once")
    }

    pub(crate) fn open(&mut self, name: &str) -> Result<DatabaseId, ErrorCode> {
        let name = DatabaseName::parse(name).expect("the stories use valid names");
        match self.answer(Request::OpenDatabase { name, if_missing: IfMissing::Create }) {
            Ok(Reply::Database(id)) => Ok(id),
            Ok(other) => panic!("an opening is not answered by {other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    pub(crate) fn one(
        &mut self,
        database: DatabaseId,
        id: u64,
        action: impl FnOnce(DocumentId) -> Action,
    ) -> Result<OperationReply, ErrorCode> {
        match self.answer(execute(database, id, action)) {
            Ok(Reply::Executed(mut results)) => results.remove(0).map_err(|error| error.code()),
            Ok(other) => panic!("an operation is not answered by {other:?}"),
            Err(error) => Err(error.code()),
        }
    }

    /// The operator asks the engine to stop.
    pub(crate) fn stop(&mut self) {
        self.driver.handle(Input::Shutdown, &mut self.heard);
    }

    /// The engine shuts down, and another one starts.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.settle();
        assert!(std::mem::take(&mut self.heard.stopped), "it shuts down without waiting for anything");
        self.crash();
    }

    /// The process dies, with all that it wrote in the cache, and another one starts.
    pub(crate) fn crash(&mut self) {
        self.driver.disk.disk.crash(CrashKind::Process, &mut |_, bound| bound - 1);
        self.driver.engine = Engine::new(self.options.clone());
        self.heard.wake = None;
        self.settle();
    }

    /// Power goes, with all that was not synced, and another process starts.
    pub(crate) fn lose_power(&mut self) {
        self.driver.disk.disk.crash(CrashKind::Power, &mut |_, _| 0);
        self.driver.engine = Engine::new(self.options.clone());
        self.heard.wake = None;
        self.settle();
    }

    /// Somebody else writes into a file, durably.
    pub(crate) fn overwrite(&mut self, path: &str, offset: u64, bytes: Vec<u8>) {
        let file = FileId(u64::MAX);
        let path = path.split('/').fold(DiskPath::root(), |path, name| path.join(name));
        for op in [
            DiskOp::Open { file, path, mode: OpenMode::Write },
            DiskOp::Write { file, offset, buffers: vec![bytes.into()] },
            DiskOp::Sync { file },
            DiskOp::Close { file },
        ] {
            self.driver.disk.submit(OpId(u64::MAX), op);
            let done = self.driver.disk.poll().expect("everything is carried out at once");
            done.result.expect("a calm disk fails nothing");
        }
    }

    pub(crate) fn files(&self) -> Vec<String> {
        self.driver.disk.disk.listing().into_keys().collect()
    }
}

pub(crate) fn execute(database: DatabaseId, id: u64, action: impl FnOnce(DocumentId) -> Action) -> Request {
    let operation =
        Operation { collection: CollectionName::default_collection(), action: action(DocumentId::Number(id)) };
    Request::Execute { database, operations: vec![operation], atomicity: Atomicity::AllOrNothing }
}

/// A document of `bytes` bytes.
pub(crate) fn text(bytes: usize) -> Document {
    Document::parse(format!("\"{}\"", "x".repeat(bytes - 2)).as_bytes()).expect("a string is JSON")
}
