//! The session itself: what was typed, what the process takes.

use docdb_protocol::Error;

use super::Session;

/// What it keeps of one: a command may hold a document of any size.
const HISTORY_COMMAND_BYTES_MAX: usize = 1_024;

/// Commands that `.history` keeps.
const HISTORY_COMMANDS_MAX: usize = 1_000;

impl Session {
    pub(super) fn remember(&mut self, line: &[u8]) {
        if self.history.len() == HISTORY_COMMANDS_MAX {
            self.history.pop_front();
        }
        let line = line.trim_ascii();
        let kept = &line[..line.len().min(HISTORY_COMMAND_BYTES_MAX)];
        let mut kept = String::from_utf8_lossy(kept).into_owned();
        if kept.len() < line.len() {
            kept.push_str(" ...");
        }
        self.history.push_back(kept);
    }

    pub(super) fn print_history(&mut self) -> Result<(), Error> {
        for (index, line) in self.history.iter().enumerate() {
            self.output.line(format!("{:>4}  {line}", index + 1).as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn print_stats(&mut self) -> Result<(), Error> {
        let stats = self.backend.stats()?;
        for (name, figure) in [
            ("databases", stats.databases),
            ("databases open", stats.databases_open),
            ("transactions", stats.transactions),
            ("log bytes", stats.log_bytes),
            ("memory bytes", stats.memory_bytes),
        ] {
            self.output.line(format!("{name}\t{figure}").as_bytes())?;
        }
        Ok(())
    }

    /// What the documents of each open database take, and all of them.
    pub(super) fn print_memory(&mut self) -> Result<(), Error> {
        let mut all = 0;
        for listed in self.backend.databases()? {
            all += listed.memory_bytes;
            if listed.memory_bytes > 0 {
                self.output.line(format!("{}\t{}", listed.name, listed.memory_bytes).as_bytes())?;
            }
        }
        self.output.line(format!("all\t{all}").as_bytes())
    }
}
