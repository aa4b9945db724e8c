//! What the shell prints, and how errors look.
//!
//! Results go to one writer and errors to another, so that a transcript can be tested and a pipe
//! gets results alone. A pipe gets a document's bytes as they are; on a terminal no control character of one is obeyed.
//!
//! For programs (`--json`), results and errors of a command are one object a command, on one line (see `object`).

mod object;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use comfy_table::{Table, presets};
use docdb_protocol::{DocumentId, Error, ErrorCode};

use crate::entry;
use crate::pretty::{on_one_line, pretty};
use crate::shown::{shown, shown_text};
use object::Object;

/// Rows of a list that are laid out together as a table.
const TABLE_ROWS_MAX: usize = 1_000;

/// Where results go unless the user said otherwise.
const STANDARD_OUTPUT: &str = "standard output";

/// How lists look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The id, a tab, and the document as it is stored.
    #[default]
    Line,
    /// `{"id":7,"doc":...}`, one a line.
    Ndjson,
    /// The same as one array.
    Json,
    /// Columns.
    Table,
}

/// Where results and errors go.
pub(crate) struct Output {
    results: Box<dyn Write>,
    /// What an error calls them.
    results_name: String,
    errors: Box<dyn Write>,
    /// Whether results go to a terminal, which obeys control characters.
    is_terminal: bool,
    /// Whether errors stand out by their colour.
    colours: bool,
    /// Whether a person watches, for whom progress is shown.
    pub(crate) watched: bool,
    /// Whether nobody reads the results any more: then the shell runs no further command.
    pub(crate) closed: bool,
    /// How many commands failed.
    pub(crate) failures: u64,
    /// Where the running command stands in a script, to be said before its errors.
    pub(crate) place: Option<String>,
    pub(crate) mode: Mode,
    /// Whether documents are laid out over several lines.
    pub(crate) pretty: bool,
    /// The object of the running command, where there is one for each.
    object: Option<Object>,
    listed: u64,
    rows: Vec<[String; 2]>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Output").field("failures", &self.failures).finish_non_exhaustive()
    }
}

impl Output {
    /// To standard output and standard error.
    pub(crate) fn standard() -> Output {
        Output {
            results: Box::new(io::stdout()),
            results_name: STANDARD_OUTPUT.to_owned(),
            errors: Box::new(io::stderr()),
            is_terminal: io::stdout().is_terminal(),
            watched: io::stderr().is_terminal(),
            colours: io::stderr().is_terminal() && wants_colours(),
            closed: false,
            failures: 0,
            place: None,
            mode: Mode::default(),
            pretty: false,
            object: None,
            listed: 0,
            rows: Vec::new(),
        }
    }

    /// Whether what a person sees may have colours.
    pub(crate) fn is_coloured(&self) -> bool {
        self.colours
    }

    /// One object a command from now on.
    pub(crate) fn use_objects(&mut self) {
        self.object = Some(Object::default());
    }

    /// To a file, which must be new unless the user said otherwise; without one to standard output again.
    ///
    /// # Errors
    /// [`ErrorCode::FileOpen`].
    pub(crate) fn redirect(&mut self, file: Option<&Path>, force: bool) -> Result<(), Error> {
        let Some(path) = file else {
            (self.results, self.is_terminal) = (Box::new(io::stdout()), io::stdout().is_terminal());
            self.results_name = STANDARD_OUTPUT.to_owned();
            return Ok(());
        };
        let mut options = OpenOptions::new();
        options.write(true).truncate(force).create(force).create_new(!force);
        let opened: io::Result<File> = options.open(path);
        let file = opened.map_err(|error| {
            let words = match error.kind() {
                io::ErrorKind::AlreadyExists => "exists; --force replaces it".to_owned(),
                _ => error.to_string(),
            };
            Error::new(ErrorCode::FileOpen).detail(format!("{}: {words}", path.display()))
        })?;
        (self.results, self.is_terminal) = (Box::new(file), false);
        self.results_name = path.display().to_string();
        Ok(())
    }

    /// A command begins.
    pub(crate) fn begin(&mut self, command: &[u8]) {
        self.listed = 0;
        if let Some(object) = &mut self.object {
            *object = Object::of(command);
        }
    }

    /// A command has ended; with its errors, if any.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match &mut self.object {
            Some(object) => {
                let rest = object.end();
                self.write(&rest)
            }
            None => Ok(()),
        }
    }

    /// A text of more lines or of one.
    ///
    /// # Errors
    /// [`ErrorCode::FileWrite`] when it could not be written, whole: a result nobody got is a command that failed.
    pub(crate) fn line(&mut self, text: &[u8]) -> Result<(), Error> {
        match &self.object {
            Some(_) => self.value(&serde_json::Value::from(String::from_utf8_lossy(text)).to_string().into_bytes()),
            None => self.whole_line(text),
        }
    }

    /// A value of JSON.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn value(&mut self, json: &[u8]) -> Result<(), Error> {
        match &mut self.object {
            Some(object) => {
                let part = object.result(json);
                self.write(&part)
            }
            None => self.whole_line(json),
        }
    }

    /// A document alone.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn document(&mut self, document: &[u8]) -> Result<(), Error> {
        if self.object.is_some() || self.mode == Mode::Ndjson {
            return self.value(&on_one_line(document));
        }
        if self.pretty { self.value(&pretty(document)) } else { self.value(document) }
    }

    /// A document of a list.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn listed(&mut self, id: &DocumentId, document: &[u8]) -> Result<(), Error> {
        let mode = if self.object.is_some() { Mode::Ndjson } else { self.mode };
        self.listed += 1;
        let exported = |document: &[u8]| [entry::head(None, id).as_bytes(), document, entry::TAIL].concat();
        match mode {
            Mode::Line => {
                let document = if self.pretty { pretty(document) } else { document.to_vec() };
                self.whole_line(&[format!("{}\t", entry::json(id)).as_bytes(), &document].concat())
            }
            Mode::Ndjson => self.value(&exported(&on_one_line(document))),
            Mode::Json => {
                let document = if self.pretty { pretty(document) } else { document.to_vec() };
                self.write(if self.listed == 1 { b"[\n" } else { b",\n" })?;
                self.write(&exported(&document))
            }
            Mode::Table => {
                let text = String::from_utf8_lossy(&on_one_line(document)).into_owned();
                self.rows.push([entry::json(id), text]);
                if self.rows.len() == TABLE_ROWS_MAX { self.write_rows() } else { Ok(()) }
            }
        }
    }

    /// A list has ended.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub(crate) fn end_list(&mut self) -> Result<(), Error> {
        match self.mode {
            _ if self.object.is_some() => Ok(()),
            Mode::Line | Mode::Ndjson => Ok(()),
            Mode::Json if self.listed == 0 => self.whole_line(b"[]"),
            Mode::Json => self.whole_line(b"\n]"),
            Mode::Table => self.write_rows(),
        }
    }

    fn write_rows(&mut self) -> Result<(), Error> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        table.set_header(["id", "document"]);
        for row in self.rows.drain(..) {
            table.add_row(row.map(|cell| shown_text(&cell).into_owned()));
        }
        self.whole_line(table.to_string().as_bytes())
    }

    fn whole_line(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write(&[bytes, b"\n"].concat())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let bytes = if self.is_terminal { shown(bytes) } else { bytes.into() };
        let written = self.results.write_all(&bytes).and_then(|()| self.results.flush());
        written.map_err(|error| {
            self.closed |= error.kind() == io::ErrorKind::BrokenPipe;
            Error::new(ErrorCode::FileWrite).detail(format!("{}: {error}", self.results_name))
        })
    }

    /// A word beside the results, which is none of them.
    pub(crate) fn note(&mut self, text: &str) {
        if self.object.as_mut().is_some_and(|object| object.takes_note(text)) {
            return;
        }
        let _ = writeln!(self.errors, "{}", shown_text(text));
    }

    /// One command that was ended by Ctrl-C, and what it left.
    pub(crate) fn interrupted(&mut self, text: &str) {
        self.failures += 1;
        if let Some(object) = &mut self.object {
            object.interrupted();
        }
        self.note(&format!("interrupted: {text}"));
    }

    /// One failed command. When its result had no reader that is no news to anybody; the exit code tells it.
    pub(crate) fn error(&mut self, error: &Error) {
        self.failures += 1;
        if self.closed {
            return;
        }
        if let Some(object) = &mut self.object
            && object.takes_error(error)
        {
            return;
        }
        // The results so far stand in front of the error on a terminal.
        let _ = self.results.flush();
        let place = shown_text(self.place.as_deref().unwrap_or_default());
        let (begin, end) = if self.colours { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let text = error.to_string();
        let _ = writeln!(self.errors, "{place}{begin}error: {}{end}: {}", error.code().name(), shown_text(&text));
    }
}

/// As https://no-color.org says, and a terminal that knows none.
fn wants_colours() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
