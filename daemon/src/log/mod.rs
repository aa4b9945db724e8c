//! The daemon's log: one line an event, in words or as JSON, to standard error or to a file.
//!
//! Owns how an event becomes a line (`line`) and where lines go (`sink`). What is said is said where it happens, with
//! `tracing`: a sentence as the message, the database as the field `database`, figures as fields of their own, which JSON
//! shows and words leave to the sentence. A message never contains a document or a Rust debug text, and no line a control
//! character. A log that cannot be written to never stops the daemon.

mod line;
mod repeated;
mod sink;
pub(crate) mod words;

pub(crate) use repeated::Repeated;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, fmt, reload};

use line::Form;
use sink::Sink;

/// How events are logged, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The file; standard error when `None`.
    pub file: Option<PathBuf>,
    /// What a line looks like.
    pub format: LogFormat,
    /// Down to which level.
    pub level: LogLevel,
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, database and a sentence.
    #[default]
    Words,
    /// One object, with `time`, `level`, `database`, `message` and figures.
    Json,
}

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Somebody has to look.
    Error,
    /// Something is not as it should be, and goes on.
    Warning,
    /// What an administrator wants to find later.
    #[default]
    Info,
    /// Each connection too.
    Debug,
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warning => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
        }
    }
}

/// The log of this process.
#[derive(Debug)]
pub struct Log {
    sink: Arc<Sink>,
    level: reload::Handle<LevelFilter, Registry>,
}

impl Log {
    /// Opens the log and makes it the one of the whole process.
    ///
    /// # Errors
    /// The file cannot be opened, or the process has a log already.
    pub fn start(settings: &LogSettings) -> io::Result<Log> {
        let sink = Arc::new(Sink::open(settings.file.clone())?);
        let (level, handle) = reload::Layer::new(settings.level.filter());
        let lines = fmt::layer()
            .event_format(Form(settings.format))
            .with_writer(Arc::clone(&sink))
            .with_ansi(false)
            // Who cannot write has nobody to tell.
            .log_internal_errors(false);
        let subscriber = Registry::default().with(level).with(lines);
        tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)?;
        Ok(Log { sink, level: handle })
    }

    /// Opens the file by its name again: what was renamed keeps the lines that it has, and further ones go into a new
    /// file. Without a file there is nothing to do.
    ///
    /// # Errors
    /// The file cannot be opened; the log goes on where it was.
    pub fn reopen(&self) -> io::Result<()> {
        self.sink.reopen()
    }

    /// Logs down to this level from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It fails only when there is no log any more.
        let _ = self.level.modify(|filter| *filter = level.filter());
    }
}
