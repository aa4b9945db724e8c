//! What can be set when a data directory is opened. Everything has a default fit for production.

use std::fmt;
use std::sync::Arc;

use crate::alert::Alert;

/// Hears what the operator should know. See [`Options::on_alert`].
pub type AlertHook = Arc<dyn Fn(&Alert) + Send + Sync>;

/// How [`DocDb::open_with`](crate::DocDb::open_with) opens.
#[derive(Clone)]
pub struct Options {
    /// The engine's own settings: sizes and bounds. A `seed` of zero is replaced by one taken from the clock.
    pub engine: docdb_engine::Options,
    /// Written into `LOCK`, so that the refusal to another process names the program that has the directory.
    pub program: String,
    /// Called with every alert, by a thread that DocDB has for such calls or by one that submits. While it runs,
    /// answers to what was submitted wait, but nothing of the disk does. It may drop the last handle.
    pub on_alert: Option<AlertHook>,
}

impl Default for Options {
    fn default() -> Options {
        let program = std::env::args_os().next().unwrap_or_default();
        let program = std::path::Path::new(&program).file_name().unwrap_or_default();
        Options {
            engine: docdb_engine::Options::default(),
            program: program.to_string_lossy().into_owned(),
            on_alert: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("engine", &self.engine)
            .field("program", &self.program)
            .field("on_alert", &self.on_alert.is_some())
            .finish()
    }
}
