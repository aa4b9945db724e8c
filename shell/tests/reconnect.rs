//! A connection that ended while nobody asked anything is made again, and what was open is open on it. A write that was
//! sent and not answered is never sent again.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use common::{shell, with_daemon};
use docdb_protocol::wire::{self, WireRequest, listing};
use docdb_protocol::{DatabaseId, DatabaseInfo, DatabaseName};

/// A shell that is fed line by line.
struct Fed {
    child: Child,
    lines: ChildStdin,
    results: BufReader<ChildStdout>,
}

impl Fed {
    fn new(socket: &Path) -> Fed {
        let mut child = Command::new(env!("CARGO_BIN_EXE_docdbsh"))
            .args(["--keep-going", "--socket"])
            .arg(socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, results) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Fed { child, lines, results }
    }

    /// The results of these commands. They end with a text that is printed whatever else happens, so that nobody waits for
    /// a result that does not come.
    fn asked(&mut self, commands: &str) -> String {
        writeln!(self.lines, "{commands}\n.help").unwrap();
        let (mut results, mut help) = (String::new(), false);
        loop {
            let mut line = String::new();
            assert!(self.results.read_line(&mut line).unwrap() > 0, "the shell has ended: {results}");
            help |= line.starts_with(".open NAME");
            if line.starts_with("Ctrl-C ends") {
                return results;
            }
            if !help {
                results.push_str(&line);
            }
        }
    }

    /// The exit code and what was said of errors.
    fn end(self) -> (Option<i32>, String) {
        let Fed { child, lines, results } = self;
        drop((lines, results));
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8_lossy(&stderr).into_owned())
    }
}

#[test]
fn a_connection_that_ended_meanwhile_is_made_again_and_the_database_opened() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut fed = None;
    with_daemon(&data, |socket| {
        let mut shell = Fed::new(socket);
        assert_eq!(shell.asked(".open other\n.create 1 0\n.open a\n.create 1 1\n.read 1"), "1\n");
        fed = Some(shell);
    });
    let mut fed = fed.unwrap();
    // The daemon has ended, and the connection with it. The next one comes to the same place.
    with_daemon(&data, |_| {
        assert_eq!(fed.asked(".create 2 2\n.read 2"), "2\n", "a write is as good a first command as a read");
        assert_eq!(fed.asked(".pwd"), "a\n");
    });
    // Nobody is there: the command says so, and the next one tries again.
    assert_eq!(fed.asked(".read 1\n.pwd"), "a\n");
    with_daemon(&data, |_| assert_eq!(fed.asked(".read 2"), "2\n"));
    let (code, said) = fed.end();
    assert_eq!(code, Some(3));
    assert!(said.contains(": error: ConnectionLost: ") && said.lines().count() == 1, "{said}");
}

#[test]
fn another_directory_behind_the_same_socket_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let mut fed = None;
    with_daemon(&one, |socket| {
        let mut shell = Fed::new(socket);
        assert_eq!(shell.asked(".open a\n.create 1 1\n.read 1"), "1\n");
        fed = Some(shell);
    });
    shell(&[two.to_str().unwrap()], &[".open b", ".create 1 2"]);
    std::fs::remove_dir_all(&one).unwrap();
    std::fs::rename(&two, &one).unwrap();
    with_daemon(&one, |_| {
        let mut fed = fed.unwrap();
        assert_eq!(fed.asked(".update 1 3\n.open b\n.read 1"), "2\n");
        let (code, said) = fed.end();
        assert_eq!(code, Some(3));
        assert!(said.contains(": error: DbNotOpen: ") && said.contains(".open a opens"), "{said}");
    });
}

/// A daemon that hears what it is asked, and answers or hangs up.
fn hear(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).unwrap();
    body
}

fn answer(stream: &mut UnixStream, body: &[u8], data: &[u8]) {
    let mut frame = Vec::new();
    wire::encode_ok(WireRequest::decode(body).unwrap().request_id, data, &mut frame);
    stream.write_all(&frame).unwrap();
}

fn database_a() -> DatabaseInfo {
    DatabaseInfo {
        name: DatabaseName::parse("a").unwrap(),
        id: DatabaseId::FIRST,
        created_at_unix_ns: 0,
        open: true,
        read_only: false,
        log_bytes: None,
        memory_bytes: 0,
        documents: None,
    }
}

/// Runs the shell against a daemon that hangs up on the request behind the opening, and on a second connection as well;
/// says what was asked on that one first.
fn hung_up_on(command: &str) -> (Output, Option<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let body = hear(&mut stream);
        answer(&mut stream, &body, &listing::databases_to_json(&[database_a()]));
        let body = hear(&mut stream);
        answer(&mut stream, &body, &1_u64.to_le_bytes());
        hear(&mut stream);
        drop(stream);
        // The test itself connects at the end, and says nothing.
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        let asked = stream.read_exact(&mut length).ok();
        asked.map(|()| {
            let mut body = vec![0; u32::from_le_bytes(length) as usize];
            stream.read_exact(&mut body).unwrap();
            body
        })
    });
    let ran = shell(&["--socket", path.to_str().unwrap()], &[".open a", command]);
    drop(UnixStream::connect(&path));
    (ran, daemon.join().unwrap())
}

#[test]
fn a_write_that_was_not_answered_is_not_sent_again() {
    let (ran, asked) = hung_up_on(".create 1 {}");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(
        said.starts_with("error: OutcomeUnknown: outcome unknown: the daemon closed the connection before an answer"),
        "{said}"
    );
    assert_eq!((ran.status.code(), said.lines().count()), (Some(3), 1), "{said}");
    assert_eq!(asked, None, "nobody asked again");
}

#[test]
fn a_read_that_was_not_answered_is_asked_again_once() {
    let (ran, asked) = hung_up_on(".read 1");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(said.starts_with("error: ConnectionLost: "), "{said}");
    let asked = asked.expect("it was asked again");
    let first = WireRequest::decode(&asked).unwrap();
    assert_eq!(first.command, wire::Command::ListDatabases, "what was open is looked for first");
}
