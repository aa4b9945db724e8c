//! The names of a database's log files within its folder.

use docdb_protocol::DatabaseName;

/// What a file of the folder is to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentName {
    /// `NAME.wal`: the one that is written.
    Active,
    /// `NAME.wal.next`: being prepared, and part of the log once its header is valid.
    Next,
    /// `NAME.wal.spare`: zero-filled ahead of need, no part of the log.
    Spare,
    /// `NAME.wal.N`: immutable; N is the epoch it was written in.
    Sealed(u64),
}

impl SegmentName {
    /// `None` for files that are not the log's.
    pub(crate) fn parse(database: &DatabaseName, file: &str) -> Option<SegmentName> {
        let rest = file.strip_prefix(database.as_str())?.strip_prefix(".wal")?;
        match rest {
            "" => Some(SegmentName::Active),
            ".next" => Some(SegmentName::Next),
            ".spare" => Some(SegmentName::Spare),
            _ => {
                let number: u64 = rest.strip_prefix('.')?.parse().ok()?;
                // DocDB would write neither `wal.01` nor `wal.+1`, and gives no epoch beyond 2^63.
                (number < 1 << 63 && rest == format!(".{number}")).then_some(SegmentName::Sealed(number))
            }
        }
    }
}

pub(crate) fn active(database: &DatabaseName) -> String {
    format!("{database}.wal")
}

pub(crate) fn next(database: &DatabaseName) -> String {
    format!("{database}.wal.next")
}

pub(crate) fn spare(database: &DatabaseName) -> String {
    format!("{database}.wal.spare")
}

pub(crate) fn sealed(database: &DatabaseName, epoch: u64) -> String {
    format!("{database}.wal.{epoch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_is_read_and_no_other() {
        let database = DatabaseName::parse("a.b").unwrap();
        let parse = |file: &str| SegmentName::parse(&database, file);
        assert_eq!(parse(&active(&database)), Some(SegmentName::Active));
        assert_eq!(parse(&next(&database)), Some(SegmentName::Next));
        assert_eq!(parse(&spare(&database)), Some(SegmentName::Spare));
        for epoch in [0, 1, 10, (1 << 63) - 1] {
            assert_eq!(parse(&sealed(&database, epoch)), Some(SegmentName::Sealed(epoch)));
        }
        let none = ["a.b", "a.wal", "a.b.wal.", "a.b.wal.01", "a.b.wal.+1", "a.b.wal.x", "a.b.wal1", "a.b.wal.next.1"];
        for file in none {
            assert_eq!(parse(file), None, "{file}");
        }
        assert_eq!(parse(&sealed(&database, 1 << 63)), None, "no epoch is as large");
    }
}
