//! A session: which database is open, and what each command does with it.
//!
//! It owns the backend and the output for as long as the shell runs. A failed command changes nothing about
//! what is open, but for a failed `.open`: nothing is open behind it, lest the commands that follow go to a
//! database that was not meant.

use docdb_protocol::wire::listing::ListedDatabase;
use docdb_protocol::{Action, DatabaseId, DatabaseName, Error, ErrorCode, Operation, OperationReply};

use comfy_table::{CellAlignment, Table, presets};

use crate::backend::Backend;
use crate::command::{self, Command, HELP, Target};
use crate::export::Export;
use crate::import::Import;
use crate::output::Output;

/// A shell with its backend.
pub struct Session {
    backend: Box<dyn Backend>,
    open: Option<(DatabaseName, DatabaseId)>,
    pub(crate) output: Output,
}

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Command,
    Exit,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Session {
    /// A session in which nothing is open.
    #[must_use]
    pub fn new(backend: Box<dyn Backend>) -> Session {
        Session { backend, open: None, output: Output::standard() }
    }

    /// `docdb> `, or `docdb:NAME> `.
    pub(crate) fn prompt(&self) -> String {
        self.open.as_ref().map_or_else(|| "docdb> ".to_owned(), |(name, _)| format!("docdb:{name}> "))
    }

    /// Runs one line and prints what became of it.
    pub(crate) fn run(&mut self, line: &[u8]) -> Next {
        match command::parse(line).and_then(|command| self.execute(command)) {
            Ok(next) => next,
            Err(error) => {
                if command::opens(line) {
                    self.open = None;
                }
                self.output.error(&error);
                Next::Command
            }
        }
    }

    /// Tells of what went wrong outside of any command, as one that failed.
    pub fn fail(&mut self, error: &Error) {
        self.output.error(error);
    }

    /// How many commands failed so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.output.failures
    }

    /// Ends the session in order and says how many commands failed; an end out of order counts as one.
    #[must_use]
    pub fn finish(self) -> u64 {
        let Session { backend, mut output, .. } = self;
        if let Err(error) = backend.finish() {
            output.error(&error);
        }
        output.failures
    }

    fn execute(&mut self, command: Option<Command>) -> Result<Next, Error> {
        match command {
            None => {}
            Some(Command::Exit) => return Ok(Next::Exit),
            Some(Command::Help) => self.output.line(HELP.as_bytes())?,
            Some(Command::Open(name)) => {
                let id = self.backend.open(&name)?;
                self.open = Some((name, id));
            }
            Some(Command::Close) => {
                self.backend.close(self.database()?)?;
                self.open = None;
            }
            Some(Command::Ls) => self.list()?,
            Some(Command::Collections) => {
                for name in self.backend.collections(self.database()?)? {
                    self.output.line(name.as_str().as_bytes())?;
                }
            }
            Some(Command::Pwd) => {
                self.database()?;
                if let Some((name, _)) = &self.open {
                    self.output.line(name.as_str().as_bytes())?;
                }
            }
            Some(Command::Create(target, document)) => self.write(target, Action::Create(document))?,
            Some(Command::Update(target, document)) => self.write(target, Action::Update(document))?,
            Some(Command::Delete(target)) => self.write(target, Action::Delete)?,
            Some(Command::Read(target)) => {
                if let OperationReply::Document(document) = self.operate(target, Action::Read)? {
                    self.output.line(document.bytes())?;
                }
            }
            Some(Command::Import { file, collection, id_field, ndjson }) => {
                let (database, watched) = (self.database()?, self.output.watched);
                let id_field = id_field.as_deref();
                let import = Import { file: &file, database, collection: &collection, id_field, ndjson, watched };
                let count = import.run(self.backend.as_mut())?;
                self.output.line(format!("{count} imported").as_bytes())?;
            }
            Some(Command::Export { file, collection, array, force, skip_damaged }) => {
                let database = self.database()?;
                let export = Export { file: &file, database, collection: &collection, array, force, skip_damaged };
                let Session { backend, output, .. } = self;
                let count = export.run(backend.as_mut(), &mut |left_out| output.error(left_out))?;
                self.output.line(format!("{count} exported").as_bytes())?;
            }
        }
        Ok(Next::Command)
    }

    fn database(&self) -> Result<DatabaseId, Error> {
        let not_open = || Error::new(ErrorCode::DbNotOpen).detail(".open NAME opens one");
        self.open.as_ref().map(|(_, id)| *id).ok_or_else(not_open)
    }

    fn write(&mut self, target: Target, action: Action) -> Result<(), Error> {
        self.operate(target, action).map(|_| ())
    }

    fn operate(&mut self, target: Target, action: Action) -> Result<OperationReply, Error> {
        let database = self.database()?;
        let (collection, document_id) = (target.collection, target.id);
        let operation = Operation { collection, document_id, action };
        let mut results = self.backend.execute(database, vec![operation])?;
        let missing = || Err(Error::new(ErrorCode::InvalidFrame).detail("no result"));
        results.pop().unwrap_or_else(missing).map_err(|error| {
            // Over the socket an error comes without context; here we know what it was about.
            if error.names_document() { error } else { error.document(document_id) }
        })
    }

    fn list(&mut self) -> Result<(), Error> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["NAME", "ID", "DOCUMENTS", "LOG BYTES", "CREATED"]);
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for ListedDatabase { name, id, created_at, log_bytes, documents, .. } in self.backend.databases()? {
            let known = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let (id, documents, log_bytes) = (id.to_string(), known(documents), known(log_bytes));
            table.add_row([name.as_str().to_owned(), id, documents, log_bytes, created_at]);
        }
        self.output.line(table.trim_fmt().as_bytes())
    }
}
