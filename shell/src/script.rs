//! Scripts: commands from a file or a pipe, line by line.
//!
//! Lines are bytes: what is no UTF-8 reaches the validator as it is and is refused there, by name. A line that begins with `#` or
//! `--` is a comment. A document goes on over further lines while it is not whole, until a line begins with a dot, as each command
//! does. An error says the line that its command begins in; the first one ends the script, unless the user said otherwise.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{Error, ErrorCode};

use crate::command;
use crate::interrupt::{Patient, open_to_read};
use crate::session::{Next, Session};
use crate::split::{LOOK_AT_BYTES, Scan};

/// The largest document, and room for the command in front of it.
const LINE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 4096;

/// Scripts that run each other, one within the next.
const SOURCE_DEPTH_MAX: usize = 16;

enum Line {
    Whole(Vec<u8>),
    /// The rest was read and thrown away.
    TooLong,
}

/// Lines with their numbers, and the one that was read and not taken yet.
struct Lines<'input, R> {
    input: &'input mut R,
    number: u64,
    next: Option<Line>,
}

/// Runs the commands of a file.
///
/// # Errors
/// [`ErrorCode::FileOpen`], and [`ErrorCode::LimitExceeded`] of files that run each other.
pub(crate) fn run_file(session: &mut Session, path: &Path) -> Result<Next, Error> {
    if session.sources == SOURCE_DEPTH_MAX {
        let detail = format!("files run each other, more than {SOURCE_DEPTH_MAX} deep");
        return Err(Error::new(ErrorCode::LimitExceeded).detail(detail));
    }
    let file = open_to_read(path)
        .map_err(|error| Error::new(ErrorCode::FileOpen).detail(format!("{}: {error}", path.display())))?;
    let interrupt = session.interrupt.clone();
    let mut lines = BufReader::new(Patient::new(file, &interrupt));
    let outer = session.output.place.take();
    session.sources += 1;
    let next = run_lines(session, &mut lines, Some(path));
    session.sources -= 1;
    session.output.place = outer;
    Ok(next)
}

/// Runs the lines of a file or pipe.
pub(crate) fn run_lines(session: &mut Session, input: &mut impl BufRead, name: Option<&Path>) -> Next {
    let mut lines = Lines { input, number: 0, next: None };
    loop {
        let failures = session.failures();
        let next = match lines.command() {
            Ok(None) => break,
            Ok(Some((number, line))) => {
                session.output.place = Some(place(name, number));
                match line {
                    Line::Whole(line) => session.run(&line),
                    Line::TooLong => {
                        let detail = format!("a line is at most {LINE_BYTES_MAX} bytes");
                        session.fail(&Error::new(ErrorCode::PayloadTooLarge).detail(detail));
                        Next::Command
                    }
                }
            }
            Err(_) if session.interrupt.is_set() => {
                session.output.place = None;
                session.output.interrupted("what follows was not run");
                return Next::Command;
            }
            Err(error) => {
                session.output.place = None;
                let detail = format!("{}: {error}", name.unwrap_or(Path::new("standard input")).display());
                session.fail(&Error::new(ErrorCode::FileRead).detail(detail));
                return Next::Exit;
            }
        };
        if next == Next::Exit {
            return Next::Exit;
        }
        // Ctrl-C during one of its commands ends the script as well.
        if session.interrupt.is_set() {
            session.output.place = None;
            session.output.interrupted("what follows was not run");
            return Next::Command;
        }
        if session.stops(failures) {
            session.output.place = None;
            if lines.is_more() {
                session.output.note("what follows was not run; --keep-going runs it");
            }
            return Next::Exit;
        }
    }
    session.output.place = None;
    Next::Command
}

/// Before an error.
fn place(name: Option<&Path>, number: u64) -> String {
    match name {
        Some(name) => format!("{}:{number}: ", name.display()),
        None => format!("line {number}: "),
    }
}

impl<R: BufRead> Lines<'_, R> {
    /// The next command and the number of its first line. Blank lines and comments are none.
    fn command(&mut self) -> io::Result<Option<(u64, Line)>> {
        loop {
            let Some(line) = self.take()? else { return Ok(None) };
            let number = self.number;
            let Line::Whole(mut line) = line else { return Ok(Some((number, line))) };
            let begin = line.trim_ascii_start();
            if begin.is_empty() || begin.starts_with(b"#") || begin.starts_with(b"--") {
                continue;
            }
            let mut open = Open::of(&line);
            while open.goes_on(&line) && line.len() < LINE_BYTES_MAX && self.goes_on()? {
                if let Some(Line::Whole(more)) = self.take()? {
                    line.push(b'\n');
                    line.extend_from_slice(&more);
                    open.take(&more);
                }
            }
            return Ok(Some((number, Line::Whole(line))));
        }
    }

    fn take(&mut self) -> io::Result<Option<Line>> {
        let line = match self.next.take() {
            Some(line) => Some(line),
            None => next_line(self.input)?,
        };
        self.number += u64::from(line.is_some());
        Ok(line)
    }

    /// Whether the next line can belong to a document: no line of JSON begins with a dot.
    fn goes_on(&mut self) -> io::Result<bool> {
        if self.next.is_none() {
            self.next = next_line(self.input)?;
        }
        Ok(matches!(&self.next, Some(Line::Whole(line)) if !line.trim_ascii_start().starts_with(b".")))
    }

    fn is_more(&mut self) -> bool {
        self.next.is_some() || self.input.fill_buf().is_ok_and(|buffer| !buffer.trim_ascii().is_empty())
    }
}

/// Whether the document of a command can go on over another line. Where a bracket is open that is known without looking at all of
/// it: a validator looks at what is there now and then, whenever it has doubled.
pub(crate) struct Open {
    scan: Scan,
    look_at: usize,
}

impl Open {
    /// Of a command's first line.
    pub(crate) fn of(line: &[u8]) -> Open {
        let mut open = Open { scan: Scan::default(), look_at: 0 };
        open.take(command::document_of(line).unwrap_or_default());
        open
    }

    /// One more line was put behind it.
    pub(crate) fn take(&mut self, line: &[u8]) {
        for byte in line {
            let _ = self.scan.ends_at(*byte);
        }
    }

    pub(crate) fn goes_on(&mut self, line: &[u8]) -> bool {
        if self.scan.is_open() && line.len() < self.look_at {
            return true;
        }
        // A short one is looked at with each line, so that what is wrong in it takes few lines along.
        self.look_at = if line.len() < LOOK_AT_BYTES { 0 } else { 2 * line.len() };
        command::is_cut_short(line)
    }
}

fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let (mut any, mut too_long) = (false, false);
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(buffer.len());
        too_long |= line.len() + taken > LINE_BYTES_MAX;
        if !too_long {
            line.extend_from_slice(&buffer[..taken]);
        }
        input.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            break;
        }
    }
    Ok(any.then_some(if too_long { Line::TooLong } else { Line::Whole(line) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(script: &str) -> Vec<(u64, String)> {
        let mut input = script.as_bytes();
        let mut lines = Lines { input: &mut input, number: 0, next: None };
        let mut commands = Vec::new();
        while let Some((number, Line::Whole(line))) = lines.command().unwrap() {
            commands.push((number, String::from_utf8(line).unwrap()));
        }
        commands
    }

    /// When each line looked at all lines before it, this took minutes.
    #[test]
    fn a_document_of_many_lines_is_read_in_one_pass() {
        let members: Vec<String> = (0..200_000).map(|number| format!("\"{number}\": 1")).collect();
        let document = format!("{{\n{}\n}}", members.join(",\n"));
        let script = format!(".put 1 {document}\n.put 2 2\n");
        let got = commands(&script);
        assert_eq!((got.len(), got[0].1.len(), got[1].0), (2, 7 + document.len(), 200_003));
    }

    #[test]
    fn a_document_goes_on_until_a_command_begins_and_comments_are_none() {
        let script = "# one\n.open a\n\n-- two\n.put 1 {\n  \"a\":\n\n1}\n.put 2 {\n.put 3 3\n.put 4 [\n#5\n";
        let expected =
            [(2, ".open a"), (5, ".put 1 {\n  \"a\":\n\n1}"), (9, ".put 2 {"), (10, ".put 3 3"), (11, ".put 4 [\n#5")];
        assert_eq!(commands(script), expected.map(|(number, line)| (number, line.to_owned())));
    }
}
