//! A connection that ended while nobody asked anything is made again, and what was open is open on it. A write that was
//! sent and not answered is never sent again.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

use common::{shell, with_daemon};
use docdb_protocol::wire::v1::{Answer, Answered, Call, Figures, MAGIC, Received, Welcome};
use docdb_protocol::{DatabaseId, IfMissing};

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
    // There `a` is another database, under another id.
    shell(&[two.to_str().unwrap()], &[".open b", ".create 1 2", ".open a", ".create 1 4"]);
    std::fs::remove_dir_all(&one).unwrap();
    std::fs::rename(&two, &one).unwrap();
    with_daemon(&one, |_| {
        let mut fed = fed.unwrap();
        assert_eq!(fed.asked(".update 1 3\n.open b\n.read 1\n.open a\n.read 1"), "2\n4\n");
        let (code, said) = fed.end();
        assert_eq!(code, Some(3));
        assert!(said.contains(": error: DbNotOpen: ") && said.contains(".open a opens"), "{said}");
    });
}

/// A daemon that hears what it is asked, and answers or hangs up. `None` when it is asked nothing.
fn hear(stream: &mut UnixStream) -> Option<Received> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).unwrap();
    Some(Received::decode(&body).unwrap())
}

fn answer(stream: &mut UnixStream, asked: &Received, answer: Answer) {
    let mut frame = Vec::new();
    Answered { request_id: asked.request_id, outcome: Ok(answer) }.encode(&mut frame);
    stream.write_all(&frame).unwrap();
}

/// Takes the hello of a connection, if there is one.
fn greet(stream: &mut UnixStream) -> Option<()> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).ok()?;
    let hello = hear(stream)?;
    assert!(matches!(hello.call, Call::Hello(_)), "{hello:?}");
    stream.write_all(MAGIC).unwrap();
    let welcome = Welcome { version: 1, features: 0, server: "a test".to_owned(), limits: Figures::new() };
    answer(stream, &hello, Answer::Welcome(welcome));
    Some(())
}

/// Runs the shell against a daemon that hangs up on the request behind the opening, and on a second connection as well;
/// says what was asked on that one first.
fn hung_up_on(command: &str) -> (Output, Option<Received>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        greet(&mut stream).unwrap();
        let open = hear(&mut stream).unwrap();
        assert!(matches!(open.call, Call::OpenDatabase { if_missing: IfMissing::Fail, .. }), "{open:?}");
        answer(&mut stream, &open, Answer::Database(DatabaseId::FIRST));
        hear(&mut stream).unwrap();
        drop(stream);
        // The test itself connects at the end, and says nothing.
        let (mut stream, _) = listener.accept().unwrap();
        greet(&mut stream)?;
        hear(&mut stream)
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
    let is_open = matches!(asked.call, Call::OpenDatabase { if_missing: IfMissing::Fail, .. });
    assert!(is_open, "what was open is looked for first, and not made: {asked:?}");
}
