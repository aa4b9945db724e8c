//! A daemon process, a client that speaks frames, and nothing that sleeps.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its own part of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use docdb_protocol::wire::{self, WireAction, WireOp, WireRequest, WireResponse, v1};
use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, DatabaseName, Document, DocumentId, Error, Operation,
};
use rustix::process::{Pid, Signal, kill_process};

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub child: Child,
    pub socket: PathBuf,
    /// The line that says where it listens.
    pub listening: String,
    /// The log up to that line.
    pub before: String,
    log: BufReader<ChildStderr>,
}

impl Daemon {
    /// Starts one and waits until it says that it listens.
    pub fn start(data_dir: &Path) -> Daemon {
        Daemon::start_with(data_dir, &[])
    }

    pub fn start_with(data_dir: &Path, flags: &[&str]) -> Daemon {
        let mut command = command(data_dir);
        command.args(flags);
        Daemon::start_as(command, data_dir)
    }

    pub fn start_as(mut command: Command, data_dir: &Path) -> Daemon {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            let read = log.read_line(&mut said).unwrap();
            assert!(read > 0, "{said}");
        }
        let listening = said.lines().last().unwrap().to_owned();
        Daemon { child, socket: data_dir.with_extension("sock"), listening, before: said, log }
    }

    pub fn connect(&self) -> Client {
        Client::connect(&self.socket)
    }

    /// The lines of its log up to the first that contains `text`.
    pub fn said(&mut self, text: &str) -> String {
        let mut said = String::new();
        while !said.lines().last().is_some_and(|line| line.contains(text)) {
            let read = self.log.read_line(&mut said).unwrap();
            assert!(read > 0, "{text:?} is not in: {said}");
        }
        said
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then the exit status and what was said.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        signal_terminate(&self.child);
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal_terminate(child: &Child) {
    signal(child, Signal::TERM);
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

pub fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docdbd"));
    command.arg("--data-dir").arg(data_dir).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// One connection.
pub struct Client {
    pub stream: UnixStream,
}

/// A response, owned.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub request_id: u64,
    pub status: u8,
    pub data: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    pub fn parts(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.status, 0, "{self:?}");
        let mut frame = Vec::new();
        wire::encode_ok(self.request_id, &self.data, &mut frame);
        let response = WireResponse::decode(&frame[4..]).unwrap();
        response.executed().unwrap().into_iter().map(<[u8]>::to_vec).collect()
    }
}

impl Client {
    pub fn connect(socket: &Path) -> Client {
        Client { stream: UnixStream::connect(socket).unwrap() }
    }

    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send(&mut self, request: &WireRequest<'_>) -> std::io::Result<()> {
        let mut frame = Vec::new();
        request.encode(&mut frame).unwrap();
        self.stream.write_all(&frame)
    }

    /// The next answer; an error when the daemon is gone.
    pub fn try_receive(&mut self) -> std::io::Result<Answer> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.stream.read_exact(&mut body)?;
        let response = WireResponse::decode(&body).unwrap();
        let data = response.data.to_vec();
        Ok(Answer { request_id: response.request_id, status: response.status.number(), data })
    }

    pub fn receive(&mut self) -> Answer {
        self.try_receive().unwrap()
    }

    pub fn ask(&mut self, request: &WireRequest<'_>) -> Answer {
        self.send(request).unwrap();
        self.receive()
    }

    pub fn open(&mut self, name: &str) -> DatabaseId {
        let name = DatabaseName::parse(name).unwrap();
        let answer = self.ask(&WireRequest::open_database(1, &name));
        assert_eq!(answer.status, 0, "{}", answer.text());
        DatabaseId::new(u64::from_le_bytes(answer.data.try_into().unwrap())).unwrap()
    }

    /// True when the daemon ended the connection and sent nothing more.
    pub fn is_closed(&mut self) -> bool {
        !matches!(self.stream.read(&mut [0]), Ok(1))
    }
}

/// One connection in either version of the protocol, for drills that go through both.
pub enum Either {
    V0(Client),
    V1(Box<docdb_client::Client>),
}

impl Either {
    /// Even numbers speak version 0, odd ones version 1.
    pub fn connect(socket: &Path, number: u64) -> Either {
        match number % 2 {
            0 => Either::V0(Client::connect(socket)),
            _ => Either::V1(Box::new(docdb_client::Client::connect(socket).unwrap())),
        }
    }

    /// Creates or updates a document of `_default`: whether that was done, or the error's text. `None` when the daemon is gone.
    pub fn write(
        &mut self,
        database: DatabaseId,
        is_there: bool,
        id: u64,
        document: &str,
    ) -> Option<Result<(), String>> {
        match self {
            Either::V0(client) => {
                let action = if is_there { WireAction::Update } else { WireAction::Create };
                client.send(&one(id, database, action, b"", id, document.as_bytes())).ok()?;
                let answer = client.try_receive().ok()?;
                assert_eq!(answer.request_id, id);
                Some(if answer.status == 0 { Ok(()) } else { Err(answer.text()) })
            }
            Either::V1(client) => {
                let document = Document::parse(document.as_bytes()).unwrap();
                let action = if is_there { Action::Update } else { Action::Create };
                let action = action(DocumentId::Number(id), document);
                let operations = vec![Operation { collection: CollectionName::default_collection(), action }];
                let call = v1::Call::Execute { database, atomicity: Atomicity::AllOrNothing, operations };
                match client.call(&call) {
                    Ok(v1::Answer::Executed(results)) => {
                        Some(results[0].as_ref().map(|_| ()).map_err(Error::to_string))
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(docdb_client::Failure::Refused(error)) => Some(Err(error.to_string())),
                    Err(_) => None,
                }
            }
        }
    }

    /// A document of `_default`, if it is there.
    pub fn read(&mut self, database: DatabaseId, id: u64) -> Option<Vec<u8>> {
        match self {
            Either::V0(client) => {
                let answer = client.ask(&one(1, database, WireAction::Read, b"", id, b""));
                if answer.status == 2 { None } else { Some(answer.parts().remove(0)) }
            }
            Either::V1(client) => {
                let got = client.get(database, CollectionName::DEFAULT, id).unwrap();
                got.map(|(document, _)| document.bytes().to_vec())
            }
        }
    }
}

/// A request with one op.
pub fn one<'a>(
    request_id: u64,
    database: DatabaseId,
    action: WireAction<'a>,
    collection: &'a [u8],
    id: u64,
    payload: &'a [u8],
) -> WireRequest<'a> {
    several(request_id, database, vec![WireOp { action, collection, document_id: id, payload }])
}

pub fn several(request_id: u64, database: DatabaseId, ops: Vec<WireOp<'_>>) -> WireRequest<'_> {
    WireRequest { ops, ..WireRequest::execute(request_id, database, &[]).expect("there is nothing to write") }
}

/// Every file below a directory with its bytes, but for what a running process writes of itself.
pub fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![dir.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push((path.clone(), std::fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// A stream on which hello was said in version 1.
pub fn v1_stream(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    let mut hello = v1::MAGIC.to_vec();
    v1::Call::Hello(v1::Hello::new("a test")).encode(1, &mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    let mut magic = [0; v1::MAGIC.len()];
    stream.read_exact(&mut magic).unwrap();
    assert_eq!(magic, *v1::MAGIC);
    assert!(matches!(v1_answer(&mut stream).outcome, Ok(v1::Answer::Welcome(_))));
    stream
}

pub fn send_all(stream: &mut UnixStream, bytes: &[u8]) {
    stream.write_all(bytes).unwrap();
}

/// The next answer of version 1.
pub fn v1_answer(stream: &mut UnixStream) -> v1::Answered {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).unwrap();
    v1::Answered::decode(&body).unwrap()
}

/// The conversation of version 1 in FORMAT.md: what is sent, and what is answered.
pub fn example(page: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines = page.split("<!-- example of wire 1 -->").nth(1).unwrap().split("<!-- end").next().unwrap().lines();
    let (mut asked, mut answered): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let (mark, digits) = line.split_at(1);
        let digits: Vec<u8> = match mark {
            ">" | "<" => digits.bytes().filter(|byte| *byte != b' ').collect(),
            _ => line.bytes().filter(|byte| *byte != b' ').collect(),
        };
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes: Vec<u8> = digits.chunks(2).map(pair).collect();
        match mark {
            ">" => asked.push(bytes),
            "<" => answered.push(bytes),
            // The end of a message that is longer than a line.
            _ if asked.len() > answered.len() => asked.last_mut().unwrap().extend(bytes),
            _ => answered.last_mut().unwrap().extend(bytes),
        }
    }
    assert_eq!(asked.len(), answered.len());
    asked.into_iter().zip(answered).collect()
}
