//! The command line of the daemon.
//!
//! Owns the flags and their help: one for each setting of the table, and what is to be done with them. Reads no file and
//! opens nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::config::{ConfigErrors, Loaded, SETTINGS};

/// What a command line asks for.
#[derive(Clone, Debug)]
pub struct Args {
    /// What is to be done.
    pub task: Task,
    config: Option<PathBuf>,
    /// Key and value of each flag that was given.
    flags: Vec<(&'static str, OsString)>,
}

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Serve the data directory.
    Serve,
    /// Say whether the settings are right, and end.
    CheckConfig,
    /// Show all settings as a file, and end.
    PrintConfig,
}

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check_config";
const PRINT_CONFIG: &str = "print_config";

const AFTER_HELP: &str = "\
Every setting can be a flag, a variable DOCDB_NAME, or a line `name = value` of the file named with --config or
DOCDB_CONFIG; the flag counts first, then the variable, then the file. --print-config shows them all.

Access is given by the mode and the group of the socket, and by allowed_uids and allowed_gids. SIGTERM or SIGINT stops
the daemon in order: nothing new is taken, what was taken is answered, everything is synced and closed. SIGHUP reads the
settings again.

Exit codes: 0 stopped in order, 1 wrong usage or settings, 2 the data directory or the socket cannot be opened,
3 stopped, but the data directory could not be closed in order (what was acknowledged is safe).";

/// The command line as clap has it: for parsing, for manuals and completions.
#[must_use]
pub fn command() -> Command {
    let settings = SETTINGS.iter().map(|setting| {
        Arg::new(setting.key)
            .long(setting.flag())
            .value_name(setting.value_name)
            .value_parser(value_parser!(OsString))
            .help(format!("{} [default: {}]", setting.meaning, setting.default_text()))
    });
    let config = Arg::new(CONFIG).long("config").value_name("FILE").value_parser(value_parser!(PathBuf));
    let check = Arg::new(CHECK_CONFIG).long("check-config").action(ArgAction::SetTrue).conflicts_with(PRINT_CONFIG);
    let print = Arg::new(PRINT_CONFIG).long("print-config").action(ArgAction::SetTrue);
    Command::new("docdbd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves a DocDB data directory on a Unix socket")
        .after_help(AFTER_HELP)
        .args(settings)
        .arg(config.help("Read settings from this file"))
        .arg(check.help("Check all settings, open nothing, and end: 0 when they are right, 1 when not"))
        .arg(print.help("Print all settings as a file, each with its meaning and default, and end"))
}

impl Args {
    /// Parses the process's own command line.
    ///
    /// # Errors
    /// It is wrong, or asks for help or the version; the error says which, and prints it.
    pub fn try_parse() -> Result<Args, clap::Error> {
        Args::try_parse_from(std::env::args_os())
    }

    /// Parses a command line; the first element is the program's name.
    ///
    /// # Errors
    /// See [`Args::try_parse`].
    pub fn try_parse_from(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Args, clap::Error> {
        let mut matches = command().try_get_matches_from(line)?;
        let task = if matches.get_flag(CHECK_CONFIG) {
            Task::CheckConfig
        } else if matches.get_flag(PRINT_CONFIG) {
            Task::PrintConfig
        } else {
            Task::Serve
        };
        let config = matches.remove_one(CONFIG);
        let mut flags = Vec::new();
        for setting in SETTINGS {
            if let Some(value) = matches.remove_one::<OsString>(setting.key) {
                flags.push((setting.key, value));
            }
        }
        Ok(Args { task, config, flags })
    }

    /// Reads the file and lays the process's environment and the flags over it. May be called again, when the file
    /// has changed.
    ///
    /// # Errors
    /// Every mistake of every source.
    pub fn load(&self) -> Result<Loaded, ConfigErrors> {
        Loaded::load(self.config.clone(), &self.flags, std::env::vars_os())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
        let args = Args::try_parse_from(["docdbd", "--data-dir", "d", "--check-config"]).unwrap();
        assert_eq!(args.task, Task::CheckConfig);
        assert_eq!(args.flags, [("data_dir", OsString::from("d"))]);
        Args::try_parse_from(["docdbd", "--check-config", "--print-config"]).unwrap_err();
        Args::try_parse_from(["docdbd", "--max-conections", "1"]).unwrap_err();
    }
}
