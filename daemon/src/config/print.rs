//! The configuration as a file: every setting with its meaning, its default and its bounds.
//!
//! Owns the form of `--print-config`. What it writes is read back as the same settings.

use std::fmt::Write;

use super::Loaded;
use super::table::{Changes, SETTINGS};

const HEAD: &str = "\
# The settings of docdbd. A flag counts before the environment, that before this file, that before the default.
# Those that are commented out have their default. `docdbd --check-config --config FILE` checks a file.
";

impl Loaded {
    /// The settings that hold, as a file that says the same.
    #[must_use]
    pub fn print(&self) -> String {
        let mut text = HEAD.to_owned();
        for setting in SETTINGS {
            let when = match setting.changes {
                Changes::OnReload => "SIGHUP reads it again",
                Changes::OnStart => "counts at the start",
            };
            let name = setting.value_name;
            let about = [
                format!("{}.", setting.meaning),
                format!("Takes {}. Default: {}.", setting.takes(), setting.default_text()),
                format!("--{} {name}, {}; {when}.", setting.flag(), setting.variable()),
            ];
            text.push('\n');
            for line in about {
                // Writing to a text cannot fail.
                let _ = writeln!(text, "# {line}");
            }
            let value = setting.toml(&self.settings).unwrap_or_default();
            let _ = match self.source(setting.key) {
                Some(source) => writeln!(text, "# Said by {source}.\n{} = {value}", setting.key),
                None => writeln!(text, "#{} = {value}", setting.key),
            };
        }
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        let flags = [
            ("data_dir", "a \"quoted\" name"),
            ("allowed_uids", "0,7"),
            ("socket_mode", "0600"),
            ("memory_bytes", "3 GiB"),
            ("idle_timeout_seconds", "61"),
            ("socket_group", "root"),
        ];
        let flags = flags.map(|(key, value)| (key, value.into()));
        let loaded = Loaded::load(None, &flags, []).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("printed.toml");
        std::fs::write(&path, loaded.print()).unwrap();
        let again = Loaded::load(Some(path), &[], []).unwrap();
        assert_eq!(format!("{:?}", again.settings), format!("{:?}", loaded.settings));
    }

    #[test]
    fn every_setting_is_printed_once() {
        let printed = Loaded::load(None, &[], []).unwrap().print();
        for setting in SETTINGS {
            assert_eq!(printed.matches(&format!("\n#{} = ", setting.key)).count(), 1, "{}", setting.key);
        }
    }
}
