//! The names of a database's tables and manifests within its folder.

use docdb_protocol::DatabaseName;

/// What a file of the folder is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreName {
    /// `NAME.manifest`: which tables are live.
    Manifest,
    /// `NAME.manifest.new`: being written; no part of the data.
    NewManifest,
    /// `NAME.data.N`: a table; N is its number. It counts when metadata names it.
    Table(u64),
}

impl StoreName {
    /// `None` for files that are not the store's.
    pub(crate) fn parse(database: &DatabaseName, file: &str) -> Option<StoreName> {
        match file.strip_prefix(database.as_str())? {
            ".manifest" => Some(StoreName::Manifest),
            ".manifest.new" => Some(StoreName::NewManifest),
            rest => {
                let number = rest.strip_prefix(".data.")?;
                let parsed: u64 = number.parse().ok()?;
                // As with segments: no other spelling of the number is ever written.
                (parsed < 1 << 63 && number == parsed.to_string()).then_some(StoreName::Table(parsed))
            }
        }
    }
}

pub(crate) fn manifest(database: &DatabaseName) -> String {
    format!("{database}.manifest")
}

pub(crate) fn new_manifest(database: &DatabaseName) -> String {
    format!("{database}.manifest.new")
}

pub(crate) fn table(database: &DatabaseName, number: u64) -> String {
    format!("{database}.data.{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_written_is_read_and_no_other() {
        let database = DatabaseName::parse("a.b").unwrap();
        let parse = |file: &str| StoreName::parse(&database, file);
        assert_eq!(parse(&manifest(&database)), Some(StoreName::Manifest));
        assert_eq!(parse(&new_manifest(&database)), Some(StoreName::NewManifest));
        for number in [0, 1, 10, (1 << 63) - 1] {
            assert_eq!(parse(&table(&database, number)), Some(StoreName::Table(number)));
        }
        for none in
            ["a.b", "a.manifest", "a.b.data.", "a.b.data.01", "a.b.data.+1", "a.b.data.x", "a.b.data", "a.b.manifest.1"]
        {
            assert_eq!(parse(none), None, "{none}");
        }
        assert_eq!(parse(&table(&database, 1 << 63)), None, "no number is as large");
    }
}
