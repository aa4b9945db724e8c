//! A session: which database is open, and what each command does with it.
//!
//! It owns the backend and the output for as long as the shell runs. A failed command changes nothing about
//! what is open, but for a failed `.open`: nothing is open behind it, lest the commands that follow go to a
//! database that was not meant.

use std::ops::Bound;

use docdb_protocol::wire::listing::ListedDatabase;
use docdb_protocol::{
    Action, CollectionName, DatabaseId, DatabaseName, DocumentId, Error, ErrorCode, Operation, OperationReply,
};

use comfy_table::{CellAlignment, Table, presets};

use crate::backend::{Backend, texts_not_shown};
use crate::command::{self, Command, HELP, Target};
use crate::entry;
use crate::export::{Export, Exported};
use crate::import::Import;
use crate::interrupt::Interrupt;
use crate::output::Output;

/// A shell with its backend.
pub struct Session {
    backend: Box<dyn Backend>,
    open: Option<(DatabaseName, DatabaseId)>,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
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
    pub fn new(backend: Box<dyn Backend>, interrupt: Interrupt) -> Session {
        Session { backend, open: None, output: Output::standard(), interrupt }
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
                // Where nobody reads the results any more, there is no reason to run the rest.
                if self.output.closed { Next::Exit } else { Next::Command }
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
            Some(Command::Ls) => self.list_databases()?,
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
            Some(Command::Create(target, document)) => self.write(target, |id| Action::Create(id, document))?,
            Some(Command::Update(target, document)) => self.write(target, |id| Action::Update(id, document))?,
            Some(Command::Delete(target)) => self.write(target, Action::Delete)?,
            Some(Command::Read(target)) => {
                if let OperationReply::Document(document) = self.operate(target, Action::Read)? {
                    self.output.line(document.bytes())?;
                }
            }
            Some(Command::List { collection, from, limit }) => {
                self.list_documents(&collection, from.as_ref(), limit)?;
            }
            Some(Command::Import { file, collection, ids, ndjson }) => {
                let (database, watched) = (self.database()?, self.output.watched);
                let (file, collection, ids, interrupt) = (&file, &collection, &ids, &self.interrupt);
                let import = Import { file, database, collection, ids, ndjson, watched, interrupt };
                let imported = import.run(self.backend.as_mut())?;
                let count = imported.count;
                if imported.interrupted {
                    self.output.interrupted(&format!("{count} imported, which stay"));
                } else {
                    self.output.line(format!("{count} imported").as_bytes())?;
                }
            }
            Some(Command::Export { file, collection, how }) => {
                let database = self.database()?;
                let Session { backend, output, interrupt, .. } = self;
                let export = Export { file: &file, database, collection: &collection, how, interrupt };
                match export.run(backend.as_mut(), &mut |left_out| output.error(left_out))? {
                    Exported::All(count) => output.line(format!("{count} exported").as_bytes())?,
                    Exported::Interrupted => output.interrupted("nothing was exported"),
                }
            }
        }
        Ok(Next::Command)
    }

    fn database(&self) -> Result<DatabaseId, Error> {
        let not_open = || Error::new(ErrorCode::DbNotOpen).detail(".open NAME opens one");
        self.open.as_ref().map(|(_, id)| *id).ok_or_else(not_open)
    }

    fn write(&mut self, target: Target, action: impl FnOnce(DocumentId) -> Action) -> Result<(), Error> {
        self.operate(target, action).map(|_| ())
    }

    fn operate(&mut self, target: Target, action: impl FnOnce(DocumentId) -> Action) -> Result<OperationReply, Error> {
        let database = self.database()?;
        let operation = Operation { collection: target.collection, action: action(target.id.clone()) };
        let mut results = self.backend.execute(database, vec![operation])?;
        let missing = || Err(Error::new(ErrorCode::InvalidFrame).detail("no result"));
        results.pop().unwrap_or_else(missing).map_err(|error| {
            // Over the socket an error does not say which document it is about.
            if error.names_document() { error } else { error.document(&target.id) }
        })
    }

    /// One document a line behind its id; a document with line ends in it takes more of them.
    fn list_documents(
        &mut self,
        collection: &CollectionName,
        from: Option<&DocumentId>,
        limit: u64,
    ) -> Result<(), Error> {
        let database = self.database()?;
        let mut listed = 0;
        let mut next = Some(from.cloned().map_or(Bound::Unbounded, Bound::Included));
        while let Some(from) = next {
            let page = self.backend.scan(database, collection, from.as_ref())?;
            next = page.next();
            for (id, document) in page.documents {
                if self.interrupt.is_set() {
                    self.output.interrupted(&format!("{listed} listed"));
                    return Ok(());
                }
                if listed == limit {
                    let elsewhere = *collection != CollectionName::default_collection();
                    let elsewhere = if elsewhere {
                        format!(" --collection {}", quoted(collection.as_str()))
                    } else {
                        String::new()
                    };
                    self.output.note(&format!("there are more: .list{elsewhere} --from {}", entry::json(&id)));
                    return Ok(());
                }
                listed += 1;
                match document {
                    Ok(document) => {
                        self.output.line(&[format!("{}\t", entry::json(&id)).as_bytes(), &document].concat())?;
                    }
                    Err(error) => self.output.error(&error.collection(collection.as_str()).document(id)),
                }
            }
            if page.texts {
                self.output.error(&texts_not_shown().collection(collection.as_str()));
            }
            for why in page.missing {
                self.output.error(&why.error().collection(collection.as_str()));
            }
        }
        if listed == 0 {
            self.output.note(if from.is_none() { "no documents" } else { "no documents from there on" });
        }
        Ok(())
    }

    fn list_databases(&mut self) -> Result<(), Error> {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["NAME", "ID", "DOCUMENTS", "LOG BYTES", "CREATED"]);
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut any_unknown = false;
        for ListedDatabase { name, id, created_at, log_bytes, documents, .. } in self.backend.databases()? {
            let mut known = |count: Option<u64>| {
                any_unknown |= count.is_none();
                count.map_or_else(|| "?".to_owned(), |count| count.to_string())
            };
            let (id, documents, log_bytes) = (id.to_string(), known(documents), known(log_bytes));
            table.add_row([name.as_str().to_owned(), id, documents, log_bytes, created_at]);
        }
        self.output.line(table.trim_fmt().as_bytes())?;
        if any_unknown {
            self.output.note("? is not known, since the database was not closed in order: .open NAME counts it");
        }
        Ok(())
    }
}

/// A name as the next command takes it.
fn quoted(name: &str) -> String {
    if name.contains(' ') { format!("\"{name}\"") } else { name.to_owned() }
}
