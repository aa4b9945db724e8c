//! What the daemon can be set to: a flag counts before the environment, that before the file, that before the default.
//!
//! One request of the operator goes `table` (which settings there are) -> `sources` (flags, environment and `file`, in
//! their order) -> `value` (text to value, within its bounds) -> `Settings`. `print` shows the whole of it as a file that can
//! be read again. Owns every word about settings; opens nothing but the file named with `--config`, and makes nothing.
//! A setting is one row of `table`: flag, variable, key, help, manual and checks follow from it.

mod error;
mod file;
mod print;
mod sources;
mod table;
mod value;

pub use error::{ConfigError, ConfigErrors};
pub use sources::{Difference, Loaded};

use std::path::PathBuf;

use crate::limits::Limits;
use crate::log::LogSettings;
use crate::socket::Access;
use crate::store::EngineOptions;

pub(crate) use table::SETTINGS;

/// All settings, each with its value.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The data directory; there is none by default.
    pub data_dir: Option<PathBuf>,
    /// The socket; by default beside the data directory.
    pub socket: Option<PathBuf>,
    /// Who may use the socket.
    pub access: Access,
    /// What clients may take up.
    pub limits: Limits,
    /// The settings of the engine.
    pub engine: EngineOptions,
    /// How events are logged.
    pub log: LogSettings,
}
