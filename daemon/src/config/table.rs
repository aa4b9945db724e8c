//! The settings there are: one row each.
//!
//! Owns their names, bounds and meanings. What a row says appears in `--help`, in the manual, in `--print-config`, and in
//! errors; its default is what [`Settings::default`] has in the field that the row names.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use docdb_protocol::limits::{FRAME_BODY_BYTES_MAX, PENDING_BYTES_MAX, PENDING_REQUESTS_MAX, REQUEST_BYTES_MAX};

use super::Settings;
use super::value::{self, Choice, Quantity, Raw, Unit, Who};

/// One setting.
pub(crate) struct Setting {
    /// Its name in a file; with dashes it is the flag, in capitals behind `DOCDB_` the variable.
    pub(crate) key: &'static str,
    /// What stands for the value in `--help`.
    pub(crate) value_name: &'static str,
    /// One sentence without its full stop.
    pub(crate) meaning: &'static str,
    /// What holds when nobody says anything, where the field's own default does not say it.
    pub(crate) default: Option<&'static str>,
    /// Whether SIGHUP can change it.
    pub(crate) changes: Changes,
    kind: Kind,
}

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// From the next SIGHUP on.
    OnReload,
    /// From the next start on.
    OnStart,
}

enum Kind {
    Path(fn(&mut Settings) -> &mut Option<PathBuf>),
    Number(Unit, fn(&mut Settings) -> &mut dyn Quantity, RangeInclusive<u64>),
    Choice(fn(&mut Settings) -> &mut dyn Choice),
    Mode(fn(&mut Settings) -> &mut u32),
    Group(fn(&mut Settings) -> &mut Option<u32>),
    Ids(Who, fn(&mut Settings) -> &mut Vec<u32>),
}

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;
const DAY: u64 = 86_400;
/// Room for one frame each way.
const CONNECTION_BYTES_MIN: u64 = 2 * FRAME_BODY_BYTES_MAX as u64 + MIB;

/// Every setting, in the order in which they are shown.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "data_dir",
        value_name: "DIR",
        meaning: "The data directory; created when there is none",
        default: Some("none: it must be given"),
        changes: Changes::OnStart,
        kind: Kind::Path(|settings| &mut settings.data_dir),
    },
    Setting {
        key: "socket",
        value_name: "PATH",
        meaning: "Where to listen",
        default: Some("DIR.sock, beside the data directory"),
        changes: Changes::OnStart,
        kind: Kind::Path(|settings| &mut settings.socket),
    },
    Setting {
        key: "socket_mode",
        value_name: "MODE",
        meaning: "The mode of the socket: whom it lets in",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Mode(|settings| &mut settings.access.mode),
    },
    Setting {
        key: "socket_group",
        value_name: "GROUP",
        meaning: "The group of the socket, by name or number",
        default: Some("the group of the process"),
        changes: Changes::OnStart,
        kind: Kind::Group(|settings| &mut settings.access.group),
    },
    Setting {
        key: "allowed_uids",
        value_name: "USERS",
        meaning: "Serve only processes of these users, by name or number, besides those of allowed_gids",
        default: Some("all whom the socket lets in"),
        changes: Changes::OnReload,
        kind: Kind::Ids(Who::User, |settings| &mut settings.access.allowed.uids),
    },
    Setting {
        key: "allowed_gids",
        value_name: "GROUPS",
        meaning: "Serve only processes that run in one of these groups, by name or number, besides those of allowed_uids",
        default: Some("all whom the socket lets in"),
        changes: Changes::OnReload,
        kind: Kind::Ids(Who::Group, |settings| &mut settings.access.allowed.gids),
    },
    Setting {
        key: "memory_bytes",
        value_name: "BYTES",
        meaning: "What the documents of all databases may take in memory; further ones are refused",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(Unit::Bytes, |settings| &mut settings.engine.memory_bytes_max, MIB..=64 * TIB),
    },
    Setting {
        key: "checkpoint_log_bytes",
        value_name: "BYTES",
        meaning: "A database is written as tables, and its log trimmed, when the log has grown by so much, or by as much as the \
                  tables take where that is more",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(Unit::Bytes, |settings| &mut settings.engine.checkpoint_log_bytes, MIB..=64 * TIB),
    },
    Setting {
        key: "checkpoint_segments_kept",
        value_name: "N",
        meaning: "Of the segments of a log that a checkpoint makes superfluous, so many of the last ones stay",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(Unit::Things, |settings| &mut settings.engine.segments_kept, 0..=1_000_000),
    },
    Setting {
        key: "max_connections",
        value_name: "N",
        meaning: "Connections open at one time, fewer where the limit of open files is low; each further one gets an error and is \
                  closed",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Things, |settings| &mut settings.limits.connections_max, 1..=1_000_000),
    },
    Setting {
        key: "max_requests_per_connection",
        value_name: "N",
        meaning: "Requests of one connection that are read and not yet answered; the others wait in the socket",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Things, |settings| &mut settings.limits.requests_per_connection_max, 1..=65_536),
    },
    Setting {
        key: "max_pending_requests",
        value_name: "N",
        meaning: "Requests of all connections that wait for their turn; further ones are refused",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(
            Unit::Things,
            |settings| &mut settings.engine.pending_requests_max,
            1..=PENDING_REQUESTS_MAX as u64 * 16,
        ),
    },
    Setting {
        key: "pending_bytes",
        value_name: "BYTES",
        meaning: "Bytes of documents in the requests that wait for their turn; further ones are refused",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(
            Unit::Bytes,
            |settings| &mut settings.engine.pending_bytes_max,
            REQUEST_BYTES_MAX as u64..=PENDING_BYTES_MAX as u64 * 256,
        ),
    },
    Setting {
        key: "connection_bytes",
        value_name: "BYTES",
        meaning: "Bytes of requests and answers that one connection may hold in memory; beyond, it waits",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(
            Unit::Bytes,
            |settings| &mut settings.limits.connection_bytes_max,
            CONNECTION_BYTES_MIN..=TIB,
        ),
    },
    Setting {
        key: "all_connections_bytes",
        value_name: "BYTES",
        meaning: "Bytes of requests and answers that all connections together may hold in memory; beyond, they wait",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Number(
            Unit::Bytes,
            |settings| &mut settings.limits.total_bytes_max,
            4 * FRAME_BODY_BYTES_MAX as u64..=TIB,
        ),
    },
    Setting {
        key: "idle_timeout_seconds",
        value_name: "SECONDS",
        meaning: "Close a connection that has asked nothing for this long; of version 0, one that never has",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Seconds, |settings| &mut settings.limits.idle_time_max, 1..=365 * DAY),
    },
    Setting {
        key: "frame_timeout_seconds",
        value_name: "SECONDS",
        meaning: "Close a connection whose request, once begun, is not there whole after this long, or that takes no answers for as \
                  long",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Seconds, |settings| &mut settings.limits.frame_time_max, 1..=DAY),
    },
    Setting {
        key: "shutdown_drain_seconds",
        value_name: "SECONDS",
        meaning: "From the signal to stop on, so long clients may take the answers to what they asked",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Seconds, |settings| &mut settings.limits.shutdown.drain, 0..=DAY),
    },
    Setting {
        key: "shutdown_wait_seconds",
        value_name: "SECONDS",
        meaning: "From the signal on, so long requests that are in work are waited for; then connections are cut",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Seconds, |settings| &mut settings.limits.shutdown.wait, 0..=DAY),
    },
    Setting {
        key: "shutdown_close_seconds",
        value_name: "SECONDS",
        meaning: "From the signal on, by then everything has to be synced and closed; else the end is forced, with a warning",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Number(Unit::Seconds, |settings| &mut settings.limits.shutdown.close, 1..=DAY),
    },
    Setting {
        key: "log_file",
        value_name: "PATH",
        meaning: "Log to this file; SIGHUP opens it again by its name",
        default: Some("standard error"),
        changes: Changes::OnStart,
        kind: Kind::Path(|settings| &mut settings.log.file),
    },
    Setting {
        key: "log_format",
        value_name: "FORMAT",
        meaning: "Log each event as a line of words, or as one JSON object",
        default: None,
        changes: Changes::OnStart,
        kind: Kind::Choice(|settings| &mut settings.log.format),
    },
    Setting {
        key: "log_level",
        value_name: "LEVEL",
        meaning: "Log what is at least as important",
        default: None,
        changes: Changes::OnReload,
        kind: Kind::Choice(|settings| &mut settings.log.level),
    },
];

impl Setting {
    pub(crate) fn flag(&self) -> String {
        self.key.replace('_', "-")
    }

    pub(crate) fn variable(&self) -> String {
        format!("DOCDB_{}", self.key.to_uppercase())
    }

    /// Puts the value in its place, or says what it may be.
    pub(crate) fn set(&self, settings: &mut Settings, raw: &Raw) -> Result<(), String> {
        match &self.kind {
            Kind::Path(field) => *field(settings) = Some(value::path(raw)?),
            Kind::Number(unit, field, range) => {
                let number = unit.parse(raw, range)?;
                field(settings).set(number);
            }
            Kind::Choice(field) => value::choose(field(settings), raw)?,
            Kind::Mode(field) => *field(settings) = value::mode(raw)?,
            Kind::Group(field) => *field(settings) = Some(Who::Group.id(raw)?),
            Kind::Ids(who, field) => *field(settings) = who.ids(raw)?,
        }
        Ok(())
    }

    /// Gives `to` the value that `from` has.
    pub(crate) fn copy(&self, from: &Settings, to: &mut Settings) {
        let mut from = from.clone();
        match &self.kind {
            Kind::Path(field) => field(to).clone_from(field(&mut from)),
            Kind::Number(_, field, _) => field(to).set(field(&mut from).number()),
            Kind::Choice(field) => field(to).choose(field(&mut from).chosen()),
            Kind::Mode(field) => *field(to) = *field(&mut from),
            Kind::Group(field) => *field(to) = *field(&mut from),
            Kind::Ids(_, field) => field(to).clone_from(field(&mut from)),
        }
    }

    /// The value as an element of a file; `None` where there is none.
    pub(crate) fn toml(&self, settings: &Settings) -> Option<String> {
        let mut settings = settings.clone();
        match &self.kind {
            Kind::Path(field) => {
                let path = field(&mut settings).as_ref()?.to_string_lossy().into_owned();
                Some(toml::Value::String(path).to_string())
            }
            Kind::Number(unit, field, _) => Some(unit.toml(field(&mut settings).number())),
            Kind::Choice(field) => {
                let field = field(&mut settings);
                Some(format!("\"{}\"", field.words()[field.chosen()]))
            }
            Kind::Mode(field) => Some(format!("\"{:04o}\"", field(&mut settings))),
            Kind::Group(field) => field(&mut settings).map(|group| group.to_string()),
            Kind::Ids(_, field) => {
                let ids: Vec<String> = field(&mut settings).iter().map(u32::to_string).collect();
                Some(format!("[{}]", ids.join(", ")))
            }
        }
    }

    /// The default in words.
    pub(crate) fn default_text(&self) -> String {
        match (self.default, self.toml(&Settings::default())) {
            (Some(words), _) => words.to_owned(),
            (None, Some(value)) => value.trim_matches('"').to_owned(),
            (None, None) => "none".to_owned(),
        }
    }

    /// What a value may be.
    pub(crate) fn takes(&self) -> String {
        match &self.kind {
            Kind::Path(_) => "a path".to_owned(),
            Kind::Number(unit, _, range) => unit.describe(range),
            Kind::Choice(field) => field(&mut Settings::default()).words().join(", "),
            Kind::Mode(_) => "octal digits that let the owner read and write".to_owned(),
            Kind::Group(_) => "a group, by name or number".to_owned(),
            Kind::Ids(who, _) => format!("{}s, by name or number, in an array or with commas", who.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_setting_of_its_own_within_its_bounds() {
        let mut keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), SETTINGS.len(), "a key names one setting");
        for setting in SETTINGS {
            let mut settings = Settings::default();
            if let Kind::Number(unit, field, range) = &setting.kind {
                let default = field(&mut settings).number();
                assert!(range.contains(&default), "{}: the default {default} is out of bounds", setting.key);
                let shown = Raw::Text(setting.default_text().into());
                assert_eq!(unit.parse(&shown, range), Ok(default), "{}", setting.key);
                // Each bound can be set, and is what is then shown.
                for bound in [*range.start(), *range.end()] {
                    setting.set(&mut settings, &Raw::Text(unit.show(bound).into())).expect("a bound is allowed");
                    assert_eq!(setting.toml(&settings), Some(unit.toml(bound)), "{}", setting.key);
                }
                let unit_is_named = match unit {
                    Unit::Things => true,
                    Unit::Bytes => setting.key.ends_with("_bytes"),
                    Unit::Seconds => setting.key.ends_with("_seconds"),
                };
                assert!(unit_is_named, "{} names its unit", setting.key);
            }
            assert!(!setting.meaning.ends_with('.'), "{}", setting.key);
        }
    }
}
