//! The command line of the shell.
//!
//! Owns the flags and their help; opens nothing.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Parser};

/// Looks into DocDB databases, through a daemon or without one.
#[derive(Debug, Parser)]
#[command(
    name = "docdbsh",
    version,
    group = ArgGroup::new("where").args(["data_dir", "socket"]).required(true),
    after_help = "\
Commands are read from a terminal, from standard input, from -f or from -c. `.help` lists them. In a
script a line that begins with # or -- is a comment.

Exit codes: 0 all went well, 1 wrong usage, 2 cannot open or connect, 3 a command failed (what stood behind
it was not run, unless --keep-going said so)."
)]
pub struct Args {
    /// Open this data directory here; no daemon may be running on it
    #[arg(value_name = "DATA_DIR")]
    pub data_dir: Option<PathBuf>,

    /// Talk to the daemon that listens on this socket
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Run this command and exit; may be given several times
    #[arg(short = 'c', value_name = "COMMAND", allow_hyphen_values = true)]
    pub commands: Vec<OsString>,

    /// Run the commands of this file, before those of -c, and exit; may be given several times
    #[arg(short = 'f', value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Go on behind a command that failed, where a script ends else
    #[arg(long)]
    pub keep_going: bool,

    /// Print one JSON object a command: {"command":...,"results":[...],"errors":[...],"ok":true}
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        Args::try_parse_from(["docdbsh"]).unwrap_err();
        Args::try_parse_from(["docdbsh", "dir", "--socket", "s"]).unwrap_err();
        Args::try_parse_from(["docdbsh", "dir", "-c", ".ls", "-c", ".pwd"]).unwrap();
    }
}
