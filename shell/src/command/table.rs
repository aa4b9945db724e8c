//! The table of commands: names, what stands behind them, help, and who reads the rest of the line.
//!
//! One entry a command. What is not in this table is no command.

use docdb_protocol::Error;

use super::settings::on_or_off;
use super::words::{database_name, only_collection, text, usage};
use super::{Command, documents, files, settings};

/// One command.
pub(crate) struct Entry {
    /// The first is the one that help names.
    pub(crate) names: &'static [&'static str],
    /// What stands behind the name.
    takes: &'static str,
    /// What it does, in one line for `.help`.
    summary: &'static str,
    /// What else is to be known, for `.help COMMAND`; may be empty.
    more: &'static str,
    pub(super) parse: fn(&[u8]) -> Result<Command, Error>,
}

const fn entry(
    names: &'static [&'static str],
    takes: &'static str,
    summary: &'static str,
    more: &'static str,
    parse: fn(&[u8]) -> Result<Command, Error>,
) -> Entry {
    Entry { names, takes, summary, more, parse }
}

/// All commands, in the order of `.help`.
pub(crate) const TABLE: &[Entry] = &[
    entry(
        &[".open", ".use"],
        "NAME",
        "open a database",
        "When it cannot be opened, no database is open. A name with blanks stands in quotation marks.",
        |rest| database_name(rest).map(Command::Open),
    ),
    entry(&[".close"], "", "close the open database", "", |rest| alone(rest, Command::Close)),
    entry(&[".pwd"], "", "print the name of the open database", "", |rest| alone(rest, Command::Pwd)),
    entry(&[".ls"], "", "list the databases", "", |rest| alone(rest, Command::Ls)),
    entry(
        &[".collections"],
        "",
        "list the collections of the open database",
        "Each with the number of its documents, behind a tab.",
        |rest| alone(rest, Command::Collections),
    ),
    entry(
        &[".in"],
        "[COLLECTION]",
        "make a collection the current one",
        "Commands that name no collection mean the current one. Without a name it is _default again.",
        |rest| only_collection(rest).map(Command::In),
    ),
    entry(
        &[".create"],
        "[ID] JSON",
        "store a new document",
        "Refused when there is a document under this id. Without an id, an object or array is stored as by .insert.",
        documents::create,
    ),
    entry(&[".put"], "ID JSON", "store a document, new or in place of another", "", documents::put),
    entry(
        &[".insert"],
        "[--collection NAME] JSON",
        "store a document under the next number, and print it",
        "The next number is one above the highest that was ever used in the collection; none is given twice.",
        documents::insert,
    ),
    entry(&[".read", ".get"], "ID", "print a document as it is stored", "", documents::read),
    entry(&[".update"], "ID JSON", "replace a document, which must be there", "", documents::update),
    entry(
        &[".patch"],
        "ID JSON",
        "change a document in part; the rest of it keeps its bytes",
        "An object is a merge patch (RFC 7396): its members replace those of the document, null removes one. An array is a
JSON patch (RFC 6902): operations add, remove, replace, move, copy, test, each {\"op\":...,\"path\":\"/a/0\",\"value\":...};
set, delete and insert are those of older clients. Nothing is lost of what others write meanwhile.",
        documents::patch,
    ),
    entry(&[".delete"], "ID", "remove a document, which must be there", "", documents::delete),
    entry(
        &[".list"],
        "[COLLECTION] [--from ID] [--to ID] [--limit N | --all] [--reverse] [--ids]",
        "print documents with their ids, in the order of ids",
        "20 unless another number is given. --from and --to are the lowest and the highest id, themselves included;
--reverse begins at the highest; --ids prints the ids alone. --collection NAME names the collection as well.",
        documents::list,
    ),
    entry(&[".count"], "[COLLECTION]", "print how many documents a collection has", "", documents::count),
    entry(
        &[".begin"],
        "",
        "begin a transaction: the writes that follow wait for .commit",
        "They are written together, or none of them. .read shows them already; .list and .count do not.",
        |rest| alone(rest, Command::Begin),
    ),
    entry(&[".commit"], "", "write what waits since .begin, all or nothing", "", |rest| alone(rest, Command::Commit)),
    entry(&[".rollback"], "", "give up what waits since .begin", "", |rest| alone(rest, Command::Rollback)),
    entry(
        &[".import"],
        "FILE [--collection NAME] [--id-field FIELD] [--on-existing fail|skip|replace] [--plain] [--ndjson]",
        "store the documents of a file",
        "What .export wrote comes back under its ids; of documents alone the ids are taken from FIELD, else count on
from the highest id there. Each begins on a line of its own, or the file is one JSON array; --plain takes
every value for a document, even {\"id\":7,\"doc\":...}; --ndjson takes a file that begins with [ for one
document after the other. A document that cannot be stored is refused by its line, and the rest is stored.
--on-existing says what becomes of a document whose id is taken. What .export says in
its last line is checked. A file whose name ends in .gz is decompressed. What is in when an import ends early
stays.",
        files::import,
    ),
    entry(
        &[".export"],
        "FILE [--collection NAME] [--array] [--plain] [--force] [--skip-damaged]",
        "write all documents of the database, or of one collection, to a file",
        "Each as {\"id\":7,\"doc\":...} with its bytes as they are stored, one after the other or as one JSON array;
--plain leaves out the ids; --force replaces an existing file; --skip-damaged leaves out what is damaged,
each with an error that names it, where else nothing is written. Where there are several collections each document says its own; the last line
has counts and a checksum that .import checks. A file whose name ends in .gz is compressed.",
        files::export,
    ),
    entry(
        &[".source"],
        "FILE",
        "run the commands of a file",
        "A line that begins with # or -- is a comment; a document may go on over further lines.",
        settings::source,
    ),
    entry(
        &[".output"],
        "[FILE] [--force]",
        "write results to a file; without one to the terminal again",
        "Errors and notes stay where they were. --force replaces an existing file.",
        settings::output,
    ),
    entry(
        &[".mode"],
        "json|ndjson|table|line",
        "how lists look",
        "line is the id, a tab and the document as it is stored; ndjson is {\"id\":7,\"doc\":...}, one a line; json is the same as
one array; table has columns.",
        settings::mode,
    ),
    entry(&[".pretty"], "on|off", "lay documents out, a line a member", "", |rest| on_or_off(rest).map(Command::Pretty)),
    entry(&[".timer"], "on|off", "say how long each command took", "", |rest| on_or_off(rest).map(Command::Timer)),
    entry(&[".history"], "", "print the commands of this session", "", |rest| alone(rest, Command::History)),
    entry(&[".stats"], "", "print figures of all open databases", "", |rest| alone(rest, Command::Stats)),
    entry(&[".mem"], "", "print the bytes that the documents of open databases take", "", |rest| alone(rest, Command::Mem)),
    entry(&[".help", "help", "?"], "[COMMAND]", "print this, or all that is to be known of a command", "", help),
    entry(&[".exit", ".quit"], "", "leave", "", |rest| alone(rest, Command::Exit)),
];

/// What `.help` says behind the table.
const IDS: &str = r#"
ID is a number, or a text: isbn-3, or in quotation marks "a text with blanks", "7". In a collection other than
the current one, which is _default at first, it stands behind its name: books/7, books/"a text".
.help COMMAND says all that is to be known of a command.
Ctrl-C ends the running command or clears the line, Ctrl-D leaves. Pasted lines are run one by one."#;

/// Where the summaries stand.
const COLUMN: usize = 27;

/// The text of `.help`.
pub(crate) fn help_of_all() -> String {
    let mut text = String::new();
    for entry in TABLE {
        let usage = entry.usage();
        if usage.len() < COLUMN {
            text.push_str(&format!("{usage:COLUMN$}{}\n", entry.summary));
        } else {
            text.push_str(&format!("{usage}\n{:COLUMN$}{}\n", "", entry.summary));
        }
    }
    text + IDS
}

impl Entry {
    fn usage(&self) -> String {
        format!("{} {}", self.names[0], self.takes).trim_end().to_owned()
    }

    /// The text of `.help COMMAND`.
    pub(crate) fn help(&self) -> String {
        let mut text = format!("{}\n{}", self.usage(), self.summary);
        if self.names.len() > 1 {
            text.push_str(&format!("\nAlso: {}", self.names[1..].join(", ")));
        }
        if !self.more.is_empty() {
            text.push('\n');
            text.push_str(self.more);
        }
        text
    }
}

fn alone(rest: &[u8], command: Command) -> Result<Command, Error> {
    if rest.is_empty() { Ok(command) } else { Err(usage("this command takes nothing behind it")) }
}

fn help(rest: &[u8]) -> Result<Command, Error> {
    if rest.is_empty() {
        return Ok(Command::Help(None));
    }
    let dotted = [b".", rest].concat();
    let found = find(rest).or_else(|| find(&dotted));
    found.map(|entry| Command::Help(Some(entry))).ok_or_else(|| unknown(rest))
}

/// The entry of a name.
pub(crate) fn find(name: &[u8]) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.names.iter().any(|known| known.as_bytes() == name))
}

/// All names, in the order of `.help`.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|entry| entry.names.iter().copied())
}

/// The error for what is no command, with the nearest one.
pub(super) fn unknown(word: &[u8]) -> Error {
    let word = text(word).unwrap_or("this");
    let meant = match nearest(word) {
        Some(name) => format!("did you mean {name}?"),
        None => "try .help".to_owned(),
    };
    usage(format!("unknown command {}, {meant}", shortened(word)))
}

/// A line that was pasted by mistake is not said again whole.
fn shortened(word: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    match word.char_indices().nth(CHARACTERS_MAX) {
        Some((at, _)) => format!("{}...", &word[..at]),
        None => word.to_owned(),
    }
}

fn nearest(word: &str) -> Option<&'static str> {
    let dotted = format!(".{}", word.trim_start_matches('.').to_lowercase());
    let (steps, name) = names().map(|name| (distance(&dotted, name), name)).min()?;
    // One mistake in three letters is still the same word.
    (steps <= 1.max((dotted.len() - 1) / 3)).then_some(name)
}

/// How many letters are to be put in, left out or changed, or neighbours to change places.
fn distance(from: &str, to: &str) -> usize {
    const LETTERS_MAX: usize = 24;
    let from: Vec<char> = from.chars().take(LETTERS_MAX).collect();
    let to: Vec<char> = to.chars().take(LETTERS_MAX).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for at in 1..=from.len() {
        let mut row = vec![at];
        for behind in 1..=to.len() {
            let changed = rows[at - 1][behind - 1] + usize::from(from[at - 1] != to[behind - 1]);
            let mut steps = changed.min(rows[at - 1][behind] + 1).min(row[behind - 1] + 1);
            let swapped = at > 1 && behind > 1 && from[at - 1] == to[behind - 2] && from[at - 2] == to[behind - 1];
            if swapped {
                steps = steps.min(rows[at - 2][behind - 2] + 1);
            }
            row.push(steps);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.names == other.names
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.names[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_command() {
        let mut names: Vec<&str> = TABLE.iter().flat_map(|entry| entry.names.iter().copied()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn what_was_meant_is_found() {
        for (word, meant) in [
            (".raed", Some(".read")),
            ("list", Some(".list")),
            (".COUNT", Some(".count")),
            (".colections", Some(".collections")),
            (".frobnicate", None),
            ("hello", None),
        ] {
            assert_eq!(nearest(word), meant, "{word}");
        }
    }
}
