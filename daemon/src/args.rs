//! The command line of the daemon.
//!
//! Owns flags, their help and their turn into a [`Config`]. Reads no file and opens nothing.

use std::path::PathBuf;

use clap::Parser;

use crate::limits::Limits;
use crate::server::Config;

/// Serves a DocDB data directory on a Unix socket.
#[derive(Debug, Parser)]
#[command(
    name = "docdbd",
    version,
    after_help = "\
The socket has mode 0660: access is given by its owner and group. SIGTERM or SIGINT stops the daemon in
order: nothing new is taken, what was taken is answered, everything is synced and closed.

A client that has begun a request has 30 seconds to send the rest of it. Then it is answered that the frame was not
finished in time, and is cut; so is one that takes no answers for as long.

Exit codes: 0 stopped in order, 1 wrong usage, 2 the data directory or the socket cannot be opened,
3 stopped, but the data directory could not be closed in order (what was acknowledged is safe)."
)]
pub struct Args {
    /// The data directory; created when there is none
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,

    /// Where to listen [default: DIR.sock, beside the data directory]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// Connections open at one time, fewer where the limit of open files is low; each further one gets an error and is closed
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections_max,
          value_parser = at_least_one)]
    max_connections: usize,

    /// Close a connection that has asked nothing for this long
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().idle_time_max.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    idle_timeout: u64,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}

impl Args {
    /// The configuration the flags ask for.
    #[must_use]
    pub fn config(self) -> Config {
        let limits = Limits {
            connections_max: self.max_connections,
            idle_time_max: std::time::Duration::from_secs(self.idle_timeout),
            ..Limits::default()
        };
        Config { data_dir: self.data_dir, socket: self.socket, limits }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        Args::try_parse_from(["docdbd"]).unwrap_err();
        Args::try_parse_from(["docdbd", "--data-dir", "d", "--max-connections", "0"]).unwrap_err();
        let config = Args::try_parse_from(["docdbd", "--data-dir", "d"]).unwrap().config();
        assert_eq!(config.socket, None);
    }
}
