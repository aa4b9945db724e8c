//! Where commands come from: arguments, standard input, or a person at a terminal.
//!
//! Lines are bytes: what is no UTF-8 reaches the validator as it is and is refused there, by name.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::os::unix::ffi::OsStrExt;

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{Error, ErrorCode};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::session::{Next, Session};

/// The largest document, and room for the command in front of it.
const LINE_BYTES_MAX: usize = DOCUMENT_BYTES_MAX + 4096;

/// Runs commands given as arguments, until one says to leave.
pub fn run_commands(session: &mut Session, commands: &[OsString]) {
    for command in commands {
        if session.run(command.as_bytes()) == Next::Exit {
            return;
        }
    }
}

/// Runs the lines of a file or pipe.
pub fn run_lines(session: &mut Session, input: &mut impl BufRead) {
    loop {
        match next_line(input) {
            Ok(Some(Line::Whole(line))) => {
                if session.run(&line) == Next::Exit {
                    return;
                }
            }
            Ok(Some(Line::TooLong)) => {
                let detail = format!("a line is at most {LINE_BYTES_MAX} bytes");
                session.output.error(&Error::new(ErrorCode::PayloadTooLarge).detail(detail));
            }
            Ok(None) => return,
            Err(error) => {
                let detail = format!("standard input: {error}");
                return session.output.error(&Error::new(ErrorCode::FileRead).detail(detail));
            }
        }
    }
}

/// Runs what a person types.
///
/// # Errors
/// [`ErrorCode::FileRead`] when there is no terminal to edit lines on after all.
pub fn run_terminal(session: &mut Session) -> Result<(), Error> {
    let unusable = |error: ReadlineError| Error::new(ErrorCode::FileRead).detail(format!("the terminal: {error}"));
    let mut editor = DefaultEditor::new().map_err(unusable)?;
    loop {
        match editor.readline(&session.prompt()) {
            Ok(line) => {
                // A history that cannot grow is no reason to stop.
                let _ = editor.add_history_entry(&line);
                if session.run(line.as_bytes()) == Next::Exit {
                    return Ok(());
                }
            }
            // Ctrl-C gives up the line, Ctrl-D the session.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            // A line that is no UTF-8 is not a line to give up the session for.
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                session.fail(&Error::new(ErrorCode::InvalidRequest).detail("the line is not valid UTF-8"));
            }
            Err(error) => return Err(unusable(error)),
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    /// The rest was read and thrown away.
    TooLong,
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
