//! What the shell prints, and how errors look.
//!
//! Results go to one writer and errors to another, so that a transcript can be tested and a pipe
//! gets results alone. A pipe gets a document's bytes as they are; on a terminal no control character of one is obeyed.

use std::io::{self, IsTerminal, Write};

use docdb_protocol::{DocumentId, Error, ErrorCode};

use crate::entry;
use crate::shown::{shown, shown_text};

/// Where results and errors go.
pub(crate) struct Output {
    results: Box<dyn Write>,
    errors: Box<dyn Write>,
    /// Whether results go to a terminal, which obeys control characters.
    is_terminal: bool,
    /// Whether a person watches, for whom progress is shown.
    pub(crate) watched: bool,
    /// Whether nobody reads the results any more: then the shell runs no further command.
    pub(crate) closed: bool,
    /// How many commands failed.
    pub(crate) failures: u64,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Output").field("failures", &self.failures).finish_non_exhaustive()
    }
}

impl Output {
    /// To standard output and standard error.
    pub(crate) fn standard() -> Output {
        let watched = io::stderr().is_terminal();
        let is_terminal = io::stdout().is_terminal();
        let (results, errors) = (Box::new(io::stdout()), Box::new(io::stderr()));
        Output { results, errors, is_terminal, watched, closed: false, failures: 0 }
    }

    /// A document alone.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn document(&mut self, document: &[u8]) -> Result<(), Error> {
        self.line(document)
    }

    /// A document of a list.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn listed(&mut self, id: &DocumentId, document: &[u8]) -> Result<(), Error> {
        self.line(&[format!("{}\t", entry::json(id)).as_bytes(), document].concat())
    }

    /// One line of result.
    ///
    /// # Errors
    /// [`ErrorCode::FileWrite`] when it could not be written, whole: a result nobody got is a command that failed.
    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let bytes = if self.is_terminal { shown(bytes) } else { bytes.into() };
        let written = self.results.write_all(&bytes).and_then(|()| self.results.write_all(b"\n"));
        let written = written.and_then(|()| self.results.flush());
        written.map_err(|error| {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
            Error::new(ErrorCode::FileWrite).detail(format!("standard output: {error}"))
        })
    }

    /// A word beside the results, which is none of them.
    pub(crate) fn note(&mut self, text: &str) {
        let _ = writeln!(self.errors, "{}", shown_text(text));
    }

    /// One command that was ended by Ctrl-C, and what it left.
    pub(crate) fn interrupted(&mut self, text: &str) {
        self.failures += 1;
        self.note(&format!("interrupted: {text}"));
    }

    /// One failed command. When its result had no reader that is no news to anybody; the exit code tells it.
    pub(crate) fn error(&mut self, error: &Error) {
        self.failures += 1;
        if self.closed {
            return;
        }
        // The results so far stand in front of the error on a terminal.
        let _ = self.results.flush();
        let _ = writeln!(self.errors, "error: {}: {}", error.code().name(), shown_text(&error.to_string()));
    }
}
