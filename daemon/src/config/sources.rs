//! The sources of settings, laid over each other.
//!
//! Owns their order: default, file, environment, flag, each over the one before. Every mistake of every source is
//! reported, also of a value that another one covers: it would count as soon as that is taken away.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, nearest};
use super::table::{Changes, SETTINGS, Setting};
use super::value::Raw;
use super::{Settings, file};
use crate::shutdown::ShutdownTimes;

/// Where the file may be named besides `--config`.
pub(crate) const CONFIG_VARIABLE: &str = "DOCDB_CONFIG";
const VARIABLE_PREFIX: &str = "DOCDB_";

/// The settings that hold, and who says so.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// What the operator may want to know although it is no mistake, a sentence each.
    pub notes: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    sources: BTreeMap<&'static str, Source>,
}

/// What is different in settings that were read again, `name = value` each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What counts now.
    pub counting: Vec<String>,
    /// What counts from the next start on.
    pub at_start: Vec<String>,
}

/// Who said what a setting is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File { path: PathBuf, line: usize },
    Environment(String),
    Flag(String),
}

impl Loaded {
    /// Reads the file, if one is named, and lays the environment and the flags over it.
    pub(crate) fn load(
        file: Option<PathBuf>,
        flags: &[(&'static str, OsString)],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, ConfigErrors> {
        let environment = variables(environment);
        let named = environment.get(CONFIG_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let file = file.or(named);
        let mut load = Load {
            loaded: Loaded {
                settings: Settings::default(),
                notes: Vec::new(),
                file: file.clone(),
                sources: BTreeMap::new(),
            },
            errors: Vec::new(),
        };
        if let Some(path) = file {
            load.file(&path);
        }
        load.environment(&environment);
        for (key, value) in flags {
            let flag = format!("--{}", key.replace('_', "-"));
            let setting = SETTINGS.iter().find(|setting| setting.key == *key).expect("flags are made from the table");
            load.set(setting, &Raw::Text(value.clone()), Source::Flag(flag));
        }
        let Load { loaded, mut errors } = load;
        errors.extend(contradictions(&loaded.settings));
        if errors.is_empty() { Ok(loaded) } else { Err(ConfigErrors(errors)) }
    }

    /// What is different in `new`.
    #[must_use]
    pub fn difference(&self, new: &Loaded) -> Difference {
        let mut difference = Difference::default();
        for setting in SETTINGS {
            let value = setting.toml(&new.settings);
            if value == setting.toml(&self.settings) {
                continue;
            }
            let change = format!("{} = {}", setting.key, value.unwrap_or_else(|| setting.default_text()));
            match setting.changes {
                Changes::OnReload => difference.counting.push(change),
                Changes::OnStart => difference.at_start.push(change),
            }
        }
        difference
    }

    /// These settings with those of `new` that count without a start.
    #[must_use]
    pub fn with_reloaded(mut self, new: &Loaded) -> Loaded {
        for setting in SETTINGS.iter().filter(|setting| setting.changes == Changes::OnReload) {
            setting.copy(&new.settings, &mut self.settings);
        }
        self
    }

    /// Who said what this setting is; `None` for the default.
    pub(crate) fn source(&self, key: &str) -> Option<String> {
        self.sources.get(key).map(Source::to_string)
    }
}

struct Load {
    loaded: Loaded,
    errors: Vec<ConfigError>,
}

impl Load {
    fn file(&mut self, path: &Path) {
        let entries = match file::read(path) {
            Ok(entries) => entries,
            Err(error) => return self.errors.push(error),
        };
        for entry in entries {
            let source = Source::File { path: path.to_owned(), line: entry.line };
            match SETTINGS.iter().find(|setting| setting.key == entry.key) {
                Some(setting) => self.set(setting, &entry.value, source),
                None => {
                    let known = SETTINGS.iter().map(|setting| setting.key);
                    let hint = match nearest(&entry.key, known) {
                        Some(meant) => format!("did you mean {meant}?"),
                        None if matches!(entry.value, Raw::Other("a section")) => {
                            "settings stand by themselves, without sections".to_owned()
                        }
                        None => "`docdbd --print-config` shows all".to_owned(),
                    };
                    let place = format!("{source}: {}", entry.key);
                    self.errors.push(ConfigError::new(place, format!("there is no such setting; {hint}")));
                }
            }
        }
    }

    fn environment(&mut self, environment: &BTreeMap<String, OsString>) {
        for (name, value) in environment {
            if name == CONFIG_VARIABLE {
                continue;
            }
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == *name) {
                self.set(setting, &Raw::Text(value.clone()), Source::Environment(name.clone()));
                continue;
            }
            // Others have variables of that name too: a cluster makes DOCDB_PORT for a service that is called docdb.
            let key = name[VARIABLE_PREFIX.len()..].to_lowercase();
            match nearest(&key, SETTINGS.iter().map(|setting| setting.key)) {
                Some(meant) => {
                    let meant = format!("{VARIABLE_PREFIX}{}", meant.to_uppercase());
                    self.errors
                        .push(ConfigError::new(name, format!("there is no such setting; did you mean {meant}?")));
                }
                None => self.loaded.notes.push(format!("the variable {name} is no setting and is ignored")),
            }
        }
    }

    fn set(&mut self, setting: &Setting, raw: &Raw, source: Source) {
        match setting.set(&mut self.loaded.settings, raw) {
            Ok(()) => {
                self.loaded.sources.insert(setting.key, source);
            }
            Err(message) => {
                let place = match source {
                    Source::File { .. } => format!("{source}: {}", setting.key),
                    Source::Environment(_) | Source::Flag(_) => source.to_string(),
                };
                self.errors.push(ConfigError::new(place, message));
            }
        }
    }
}

/// What no setting alone can know.
fn contradictions(settings: &Settings) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let limits = &settings.limits;
    if limits.connection_bytes_max > limits.total_bytes_max {
        errors.push(ConfigError::new(
            "connection_bytes",
            "one connection may hold more than all_connections_bytes, which all together may hold; raise that, or lower this",
        ));
    }
    let ShutdownTimes { drain, wait, close } = limits.shutdown;
    if drain > wait || wait > close {
        errors.push(ConfigError::new(
            "shutdown_wait_seconds",
            "all three times count from the signal on, so shutdown_drain_seconds is at most this, and this at most \
             shutdown_close_seconds",
        ));
    }
    if let (Some(data_dir), Some(log)) = (&settings.data_dir, &settings.log.file)
        && log.starts_with(data_dir)
    {
        errors.push(ConfigError::new(
            "log_file",
            "it lies in the data directory, which holds only what DocDB puts there; name a place outside",
        ));
    }
    errors
}

/// The variables whose names begin as settings do, in order. A name that is not UTF-8 is nobody's.
fn variables(environment: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect()
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Source::Environment(name) | Source::Flag(name) => formatter.write_str(name),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    fn load(file: &str, flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Result<Loaded, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docdbd.toml");
        std::fs::write(&path, file).unwrap();
        let flags: Vec<_> = flags.iter().map(|(key, value)| (*key, OsString::from(value))).collect();
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let prefix = format!("{}/", directory.path().display());
        Loaded::load(Some(path), &flags, environment).map_err(|errors| errors.to_string().replace(&prefix, ""))
    }

    #[test]
    fn a_flag_counts_before_the_environment_and_that_before_the_file() {
        let file = "max_connections = 1\nmemory_bytes = \"1 GiB\"\nidle_timeout_seconds = 7\n";
        let environment = [("DOCDB_MAX_CONNECTIONS", "2"), ("DOCDB_MEMORY_BYTES", "2 GiB"), ("PATH", "x")];
        let loaded = load(file, &[("max_connections", "3")], &environment).unwrap();
        assert_eq!(loaded.settings.limits.connections_max, 3);
        assert_eq!(loaded.settings.engine.memory_bytes_max, 2 << 30);
        assert_eq!(loaded.settings.limits.idle_time_max.as_secs(), 7);
        assert_eq!(loaded.source("max_connections").unwrap(), "--max-connections");
        assert_eq!(loaded.source("memory_bytes").unwrap(), "DOCDB_MEMORY_BYTES");
        assert!(loaded.source("idle_timeout_seconds").unwrap().ends_with("docdbd.toml:3"));
        assert_eq!(loaded.source("socket"), None);
        assert!(loaded.notes.is_empty());
    }

    #[test]
    fn every_mistake_is_named_with_its_place_and_what_was_probably_meant() {
        let file = "socket_mod = \"0660\"\nidle_timeout_ms = 5\nfrobnicate = 1\n[limits]\nx = 1\n";
        let errors = load(file, &[("memory_bytes", "4 GB")], &[("DOCDB_MAX_CONECTIONS", "2")]).unwrap_err();
        assert_eq!(
            errors,
            "docdbd.toml:1: socket_mod: there is no such setting; did you mean socket_mode?\n\
             docdbd.toml:2: idle_timeout_ms: there is no such setting; did you mean idle_timeout_seconds?\n\
             docdbd.toml:3: frobnicate: there is no such setting; `docdbd --print-config` shows all\n\
             docdbd.toml:4: limits: there is no such setting; settings stand by themselves, without sections\n\
             DOCDB_MAX_CONECTIONS: there is no such setting; did you mean DOCDB_MAX_CONNECTIONS?\n\
             --memory-bytes: no unit is called \"GB\"; did you mean \"4 GiB\"?"
        );
    }

    #[test]
    fn a_mistake_that_another_source_covers_is_a_mistake() {
        let errors = load("max_connections = 0\n", &[("max_connections", "3")], &[]).unwrap_err();
        assert_eq!(errors, "docdbd.toml:1: max_connections: 0 is too little; it takes a number from 1 to 1000000");
    }

    #[test]
    fn variables_of_others_are_ignored_with_a_note() {
        let others = [("DOCDB_PORT", "tcp://10.0.0.1"), ("DOCDB_SERVICE_HOST", "10.0.0.1"), ("DOCDB_DRILL_SEED", "1")];
        let loaded = load("", &[], &others).unwrap();
        assert_eq!(loaded.notes.len(), others.len());
        assert_eq!(loaded.notes[0], "the variable DOCDB_DRILL_SEED is no setting and is ignored");
    }

    #[test]
    fn settings_that_are_read_again_count_now_or_at_the_next_start() {
        let old = load("max_connections = 5\nsocket_mode = \"0600\"\n", &[], &[]).unwrap();
        let new = load("max_connections = 6\nsocket_mode = \"0660\"\nallowed_uids = [0]\n", &[], &[]).unwrap();
        let difference = old.difference(&new);
        assert_eq!(difference.counting, ["allowed_uids = [0]", "max_connections = 6"]);
        assert_eq!(difference.at_start, ["socket_mode = \"0660\""]);
        let now = old.with_reloaded(&new);
        assert_eq!((now.settings.limits.connections_max, now.settings.access.mode), (6, 0o600));
        assert_eq!(now.settings.access.allowed.uids, [0]);
        // What counts from the next start on is said again, until it does.
        assert_eq!(now.difference(&new), Difference { counting: vec![], at_start: difference.at_start });
    }

    #[test]
    fn what_contradicts_another_setting_is_a_mistake() {
        let errors = load("connection_bytes = \"2 GiB\"\n", &[], &[]).unwrap_err();
        assert!(errors.starts_with("connection_bytes: one connection may hold more"), "{errors}");
        let errors = load("shutdown_drain_seconds = 26\n", &[], &[]).unwrap_err();
        assert!(errors.starts_with("shutdown_wait_seconds: all three times count from the signal"), "{errors}");
        let errors = load("data_dir = \"d\"\nlog_file = \"d/docdbd.log\"\n", &[], &[]).unwrap_err();
        assert!(errors.starts_with("log_file: it lies in the data directory"), "{errors}");
    }
}
