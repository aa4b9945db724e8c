//! A person at a terminal: Ctrl-C ends what runs and nothing else, and all that is pasted is run.
//!
//! The shell runs on a pseudo terminal of its own. Nothing here sleeps: a test reads until what it waits for appears, and
//! fails when that takes longer than any machine needs.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a person sees and does.
struct Terminal {
    shell: Child,
    keys: File,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn new(data: &Path) -> Terminal {
        Terminal::with(data, &[])
    }

    fn with(data: &Path, flags: &[&str]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || Stdio::from(OpenOptions::new().read(true).write(true).open(&name).unwrap());
        // Of util-linux: makes the terminal the one that Ctrl-C comes from, and becomes the shell.
        let shell = Command::new("setsid")
            .args(["--ctty", env!("CARGO_BIN_EXE_docdbsh")])
            .args(flags)
            .arg(data)
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .env("XDG_STATE_HOME", data.with_extension("state"))
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .unwrap();
        let keys = File::from(master);
        let mut reader = keys.try_clone().unwrap();
        let (pieces, screen) = channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // The end of the terminal is an error to its reader.
            while let Ok(bytes) = reader.read(&mut piece) {
                if bytes == 0 || pieces.send(piece[..bytes].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut terminal = Terminal { shell, keys, screen, seen: String::new() };
        terminal.wait_for("docdb> ");
        terminal
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `text` appears, and answers all that came before it.
    fn wait_for(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.seen, rest);
                before.truncate(at);
                return before;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(piece) => self.seen.push_str(&String::from_utf8_lossy(&piece)),
                Err(_) => panic!("{text:?} did not come, but {:?}", self.seen),
            }
        }
    }

    fn leave(mut self) {
        self.press("\x15.exit\r");
        assert!(self.shell.wait().unwrap().success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where a test has failed, the shell is not left behind.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[test]
fn each_pasted_line_is_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::new(&dir.path().join("data"));
    // As a terminal that knows no bracketed paste sends it.
    terminal.press(".open a\r.create 1 {\"a\":1}\r.read 1\r.create 2 {\"a\":2}\r.read 2\r");
    terminal.wait_for("\n{\"a\":1}\r\n");
    terminal.wait_for("\n{\"a\":2}\r\n");
    // As one that does.
    terminal.press("\x1b[200~.create 3 {\"a\":3}\n.read 3\n.create 4 {\n \"a\":\n4}\n.read 4\n\x1b[201~\r");
    terminal.wait_for("\n{\"a\":3}\r\n");
    terminal.wait_for("{\r\n \"a\":\r\n4}\r\n");
    terminal.leave();
}

#[test]
fn ctrl_c_clears_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::new(&dir.path().join("data"));
    terminal.press(".open a");
    terminal.wait_for(".open a");
    terminal.press("\x03");
    terminal.wait_for("docdb> ");
    terminal.press(".pwd\r");
    terminal.wait_for("error: DbNotOpen");
    terminal.leave();
}

#[test]
fn ctrl_c_ends_an_import_and_says_what_stays() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut terminal = Terminal::new(&dir.path().join("data"));
    terminal.press(&format!(".open a\r.import {}\r", pipe.display()));
    let mut documents = OpenOptions::new().write(true).open(&pipe).unwrap();
    // More than the pipe and the reader's buffer hold, so that some of it is stored; and there is no end to it.
    let line = format!("\"{}\"\n", "x".repeat(1021));
    documents.write_all(line.repeat(1024).as_bytes()).unwrap();
    terminal.press("\x03");
    terminal.wait_for("interrupted: ");
    let count: u64 = terminal.wait_for(" imported, which stay").parse().unwrap();
    assert!((256..=1024).contains(&count), "{count}");
    terminal.wait_for("docdb:a> ");
    let out = dir.path().join("out");
    terminal.press(&format!(".export {}\r", out.display()));
    terminal.wait_for(&format!("{count} exported"));
    terminal.wait_for("docdb:a> ");
    drop(documents);
    // A pipe that nobody writes to can be waited for, and given up.
    terminal.press(&format!(".import {}\r", pipe.display()));
    terminal.wait_for(&format!(".import {}", pipe.display()));
    // The editor ends bracketed paste behind the line, when Ctrl-C has become a signal and is no key any more.
    terminal.wait_for("\x1b[?2004l");
    terminal.press("\x03");
    terminal.wait_for("docdb:a> ");
    terminal.leave();
}

#[test]
fn ctrl_c_ends_a_file_of_commands() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut terminal = Terminal::new(&dir.path().join("data"));
    terminal.press(&format!(".source {}\r", pipe.display()));
    // Opens when the shell has, and the shell waits for more.
    let mut commands = OpenOptions::new().write(true).open(&pipe).unwrap();
    commands.write_all(b".open a\n.put 1 1\n").unwrap();
    terminal.wait_for("put 1, tx 1");
    terminal.press("\x03");
    terminal.wait_for("interrupted: what follows was not run");
    terminal.wait_for("docdb:a> ");
    terminal.leave();
}

/// The one that runs when Ctrl-C comes ends, and no other one is begun.
#[test]
fn ctrl_c_during_a_command_of_a_file_ends_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (pipe, script) = (dir.path().join("pipe"), dir.path().join("script"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::write(&script, format!(".open a\n.import {}\n.put 2 2\n", pipe.display())).unwrap();
    let mut terminal = Terminal::with(&dir.path().join("data"), &["--keep-going"]);
    terminal.press(&format!(".source {}\r", script.display()));
    // Opens when the shell has, so the import has begun.
    let documents = OpenOptions::new().write(true).open(&pipe).unwrap();
    terminal.press("\x03");
    terminal.wait_for("interrupted: what follows was not run");
    terminal.press(".count\r");
    terminal.wait_for(".count");
    terminal.wait_for("\n0\r\n");
    drop(documents);
    terminal.leave();
}

#[test]
fn a_script_is_ended_by_the_signal() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Tests that run in the background may ignore the signal, and so would the shell that they start.
    let mut shell = Command::new("env")
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_docdbsh")])
        .arg(dir.path().join("data"))
        .args(["-c", ".open a", "-c", &format!(".import {}", pipe.display()), "-c", ".ls"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Opens when the shell has, so the import has begun.
    let documents = OpenOptions::new().write(true).open(&pipe).unwrap();
    let pid = rustix::process::Pid::from_child(&shell);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(shell.wait().unwrap().signal(), Some(2), "as any other program: 130 to a shell");
    drop(documents);
}

#[test]
fn a_person_is_told_what_is_new_what_was_written_and_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::new(&dir.path().join("data"));
    terminal.press(".open a\r.list\r");
    terminal.wait_for("a is new: its first document makes it");
    terminal.wait_for("no documents");
    assert!(!dir.path().join("data").exists(), "nothing was written yet");
    terminal.press(".create 7 {}\r");
    terminal.wait_for("created 7, tx 1");
    terminal.press(".insert {}\r");
    terminal.wait_for("inserted 8, tx 2");
    terminal.press(".in b\r.begin\r");
    terminal.wait_for("docdb:a/b [transaction: 0]> ");
    terminal.press(".put 1 1\r");
    terminal.wait_for("put at .commit");
    terminal.wait_for("docdb:a/b [transaction: 1]> ");
    // An empty line ends what goes on.
    terminal.press(".put 2 {\r\r");
    terminal.wait_for("it ends too soon");
    terminal.press(".commit\r");
    terminal.wait_for("committed 1 write, tx 3");
    // What would clear the screen is shown, not obeyed.
    let file = dir.path().join("file");
    std::fs::write(&file, "\"\u{9b}2J\"\n").unwrap();
    terminal.press(&format!(".import {} --collection c\r", file.display()));
    terminal.wait_for("1 imported");
    terminal.press(".read c/0\r");
    terminal.wait_for("\"\\u009b2J\"");
    terminal.leave();
}

#[test]
fn lines_go_on_tab_completes_and_the_next_session_remembers() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut terminal = Terminal::new(&data);
    terminal.press(".open library\r.create 1 {\r\"a\":\r1}\r");
    terminal.wait_for("created 1, tx 1");
    terminal.press(".rea\t 1\r");
    terminal.wait_for("{\r\n\"a\":\r\n1}");
    terminal.press(".close\r.open li\t\r.pwd\r");
    terminal.wait_for("\nlibrary\r\n");
    terminal.leave();
    let mut terminal = Terminal::new(&data);
    // The last command, the one before it, and the one before that.
    terminal.press("\x1b[A\x1b[A\x1b[A\r.pwd\r");
    terminal.wait_for("\nlibrary\r\n");
    terminal.leave();
    use std::os::unix::fs::PermissionsExt;
    let history = data.with_extension("state").join("docdbsh/history");
    assert_eq!(history.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
