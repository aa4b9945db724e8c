//! How a call ends without what was asked for.

use std::fmt;
use std::io;

use docdb_protocol::{Error, ErrorCode};

/// Why there is no answer, or why the answer is an error.
#[derive(Debug)]
pub enum Failure {
    /// The server said no, or what it said makes no sense.
    Refused(Error),
    /// The server cannot have got all of it: it was not carried out.
    NotSent(io::Error),
    /// It was sent, and the connection was lost before an answer came: it may have been carried out.
    NotAnswered {
        /// What happened to the connection.
        error: io::Error,
        /// Whether all that was under way may be asked again: it changes nothing.
        is_harmless: bool,
    },
}

/// As one of the frozen list: [`ErrorCode::ConnectionLost`], or [`ErrorCode::OutcomeUnknown`] for a write that was sent.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Refused(error) => error,
            Failure::NotSent(error) | Failure::NotAnswered { error, is_harmless: true } => {
                Error::new(ErrorCode::ConnectionLost).detail(words(&error))
            }
            Failure::NotAnswered { error, is_harmless: false } => {
                let detail = format!(
                    "{} before an answer came; nothing was sent again: look whether it is written",
                    words(&error)
                );
                Error::new(ErrorCode::OutcomeUnknown).detail(detail)
            }
        }
    }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the daemon closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(error) => error.fmt(formatter),
            Failure::NotSent(error) => write!(formatter, "not sent: {}", words(error)),
            Failure::NotAnswered { error, .. } => write!(formatter, "sent and not answered: {}", words(error)),
        }
    }
}

impl std::error::Error for Failure {}
