//! What the shell prints, and how errors look.
//!
//! Results go to one writer and errors to another, so that a transcript can be tested and a pipe
//! gets results alone.

use std::io::{self, IsTerminal, Write};

use docdb_protocol::Error;

/// Where results and errors go.
pub(crate) struct Output {
    results: Box<dyn Write>,
    errors: Box<dyn Write>,
    /// Whether a person watches, for whom progress is shown.
    pub(crate) watched: bool,
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
        Output { results: Box::new(io::stdout()), errors: Box::new(io::stderr()), watched, failures: 0 }
    }

    /// One line of result, as it is.
    pub(crate) fn line(&mut self, bytes: &[u8]) {
        // Whoever closed our output wants no more of it; there is nobody to tell.
        let _ = self.results.write_all(bytes).and_then(|()| self.results.write_all(b"\n"));
        let _ = self.results.flush();
    }

    /// One failed command.
    pub(crate) fn error(&mut self, error: &Error) {
        self.failures += 1;
        // The results so far stand in front of the error on a terminal.
        let _ = self.results.flush();
        let _ = writeln!(self.errors, "error: {}: {error}", error.code().name());
    }
}
