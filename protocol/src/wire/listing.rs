//! The JSON that ListDBs and ListCollections answer.
//!
//! The keys are the ancestor's. Times are RFC 3339 in UTC with as many digits of the second as are
//! needed, as its clients are used to. It never orders the entries: they stand as they were given.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode};
use crate::ids::DatabaseId;
use crate::names::{CollectionName, DatabaseName};
use crate::request::DatabaseInfo;

const SECONDS_PER_DAY: u64 = 86_400;
const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// One database as ListDBs lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDatabase {
    /// Its name.
    pub name: DatabaseName,
    /// Its id.
    pub id: DatabaseId,
    /// When it was created, in RFC 3339.
    pub created_at: String,
    /// Bytes of log that an opening has to replay; `None` when that is not known.
    pub log_bytes: Option<u64>,
    /// Bytes of documents and their index in memory.
    pub memory_bytes: u64,
    /// Documents that can be read; `None` when that is not known.
    pub documents: Option<u64>,
}

/// The entry on the wire.
#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "ID")]
    id: u64,
    #[serde(rename = "CreatedAt")]
    created_at: String,
    /// `null` when it is not known.
    #[serde(rename = "WALSize")]
    log_bytes: Option<u64>,
    #[serde(rename = "MemoryUsed")]
    memory_bytes: u64,
    /// `null` when it is not known.
    #[serde(rename = "DocsLive")]
    documents: Option<u64>,
}

/// The answer to ListDBs.
///
/// # Panics
/// Never: an entry has nothing that JSON cannot say.
#[must_use]
pub fn databases_to_json(databases: &[DatabaseInfo]) -> Vec<u8> {
    let entries: Vec<Entry> = databases
        .iter()
        .map(|database| Entry {
            name: database.name.as_str().to_owned(),
            id: database.id.get(),
            created_at: rfc3339(database.created_at_unix_ns),
            log_bytes: database.log_bytes,
            memory_bytes: database.memory_bytes,
            documents: database.documents,
        })
        .collect();
    serde_json::to_vec(&entries).expect("text and integers are always JSON")
}

/// Reads the answer to ListDBs.
///
/// # Errors
/// [`ErrorCode::InvalidFrame`] when it is not such a list.
pub fn databases_from_json(json: &[u8]) -> Result<Vec<ListedDatabase>, Error> {
    let entries: Vec<Entry> = serde_json::from_slice(json).map_err(|error| not_a_list(&error))?;
    entries.into_iter().map(listed).collect()
}

fn listed(entry: Entry) -> Result<ListedDatabase, Error> {
    Ok(ListedDatabase {
        name: DatabaseName::parse(&entry.name).map_err(|error| not_a_list(&error))?,
        id: DatabaseId::new(entry.id).ok_or_else(|| not_a_list(&"zero is no database"))?,
        created_at: entry.created_at,
        log_bytes: entry.log_bytes,
        memory_bytes: entry.memory_bytes,
        documents: entry.documents,
    })
}

/// The answer to ListCollections.
///
/// # Panics
/// Never: names are text.
#[must_use]
pub fn collections_to_json(names: &[CollectionName]) -> Vec<u8> {
    let names: Vec<&str> = names.iter().map(CollectionName::as_str).collect();
    serde_json::to_vec(&names).expect("text is always JSON")
}

/// Reads the answer to ListCollections.
///
/// # Errors
/// [`ErrorCode::InvalidFrame`] when it is not such a list.
pub fn collections_from_json(json: &[u8]) -> Result<Vec<CollectionName>, Error> {
    let names: Vec<String> = serde_json::from_slice(json).map_err(|error| not_a_list(&error))?;
    names.iter().map(|name| CollectionName::parse(name).map_err(|error| not_a_list(&error))).collect()
}

fn not_a_list(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::InvalidFrame).detail(reason.to_string())
}

/// A time in UTC as RFC 3339 writes it, for example `2009-02-13T23:31:30.25Z`.
#[must_use]
pub fn rfc3339(unix_ns: u64) -> String {
    let seconds = unix_ns / NANOSECONDS_PER_SECOND;
    let (year, month, day) = civil_date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let whole = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    match unix_ns % NANOSECONDS_PER_SECOND {
        0 => format!("{whole}Z"),
        nanoseconds => {
            let digits = format!("{nanoseconds:09}");
            format!("{whole}.{}Z", digits.trim_end_matches('0'))
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// The year is taken to begin on the 1st of March, so that the leap day comes last and needs no care;
/// 400 such years are one era of always the same length.
fn civil_date(days_since_1970: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    // From 0000-03-01, the start of an era, to 1970-01-01.
    const DAYS_BEFORE_1970: u64 = 719_468;
    let days = days_since_1970 + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on have 31 30 31 30 31 days, again and again: 153 days every five.
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        let second = NANOSECONDS_PER_SECOND;
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400 * second), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_234_567_890 * second + 250_000_000), "2009-02-13T23:31:30.25Z");
        assert_eq!(rfc3339(1_709_251_199 * second + 1), "2024-02-29T23:59:59.000000001Z");
        assert_eq!(rfc3339(4_107_542_400 * second), "2100-03-01T00:00:00Z");
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn every_day_that_can_be_written_follows_the_calendar() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=u64::MAX / NANOSECONDS_PER_SECOND / SECONDS_PER_DAY {
            assert_eq!(civil_date(days), (year, month, day));
            let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == length => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
    }

    #[test]
    fn databases_keep_the_keys_that_clients_know() {
        let info = DatabaseInfo {
            name: DatabaseName::parse("a \"b\"").unwrap(),
            id: DatabaseId::FIRST,
            created_at_unix_ns: 0,
            open: true,
            read_only: false,
            log_bytes: Some(u64::MAX),
            memory_bytes: 2,
            documents: Some(3),
        };
        let json = databases_to_json(std::slice::from_ref(&info));
        let expected = r#"[{"Name":"a \"b\"","ID":1,"CreatedAt":"1970-01-01T00:00:00Z","WALSize":18446744073709551615,"MemoryUsed":2,"DocsLive":3}]"#;
        assert_eq!(String::from_utf8(json.clone()).unwrap(), expected);
        let listed = databases_from_json(&json).unwrap();
        assert_eq!((&listed[0].name, listed[0].id, listed[0].log_bytes), (&info.name, info.id, Some(u64::MAX)));
        let unknown = DatabaseInfo { open: false, log_bytes: None, documents: None, ..info };
        let json = databases_to_json(&[unknown]);
        assert!(json.ends_with(br#""WALSize":null,"MemoryUsed":2,"DocsLive":null}]"#));
        let listed = databases_from_json(&json).unwrap();
        assert_eq!((listed[0].log_bytes, listed[0].documents), (None, None), "not known is not none");
        assert_eq!(databases_from_json(b"[{}]").unwrap_err().code(), ErrorCode::InvalidFrame);
        assert_eq!(databases_to_json(&[]), b"[]");
    }

    #[test]
    fn collections_are_an_array_of_names() {
        let names = [CollectionName::default_collection(), CollectionName::parse("ä").unwrap()];
        let json = collections_to_json(&names);
        assert_eq!(json, "[\"_default\",\"ä\"]".as_bytes());
        assert_eq!(collections_from_json(&json).unwrap(), names);
        assert_eq!(collections_from_json(b"[\"a.b\"]").unwrap_err().code(), ErrorCode::InvalidFrame);
    }
}
