//! A session: what is open, and what each command does with it.
//!
//! It owns the backend and the output for as long as the shell runs. A failed command changes nothing about
//! what is open, but for a failed `.open`: nothing is open behind it, lest the commands that follow go to a
//! database that was not meant.
//!
//! Nothing is made before its first write: a database that is not there yet is open by its name alone.

mod databases;
mod documents;
mod files;
mod settings;
mod transaction;

use std::collections::VecDeque;
use std::time::Instant;

use docdb_protocol::{
    CollectionName, DatabaseId, DatabaseName, DocumentId, Error, ErrorCode, IfMissing, Operation, TxId,
};

use crate::backend::Backend;
use crate::command::{self, Command, Entry, help_of_all};
use crate::entry;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::script;
use crate::shown::shown_text;
use transaction::Transaction;

/// A shell with its backend.
pub struct Session {
    backend: Box<dyn Backend>,
    open: Option<Open>,
    /// Whether a person types, who is told what became of each command. A script is told of errors.
    interactive: bool,
    /// Whether a script goes on behind an error.
    keep_going: bool,
    /// Whether each command says how long it took.
    is_timed: bool,
    history: VecDeque<String>,
    /// How many files are being run, one within the other.
    pub(crate) sources: usize,
    pub(crate) output: Output,
    pub(crate) interrupt: Interrupt,
}

/// The open database.
struct Open {
    name: DatabaseName,
    /// `None` of one that its first document makes.
    id: Option<DatabaseId>,
    /// The current collection.
    collection: CollectionName,
    transaction: Option<Transaction>,
}

/// The names that a command may begin to spell.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) databases: Vec<String>,
    /// Of the open database.
    pub(crate) collections: Vec<String>,
}

/// Whether the shell goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Command,
    Exit,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// A session in which nothing is open.
    #[must_use]
    pub fn new(backend: Box<dyn Backend>, interrupt: Interrupt) -> Session {
        Session {
            backend,
            open: None,
            interactive: false,
            keep_going: false,
            is_timed: false,
            history: VecDeque::new(),
            sources: 0,
            output: Output::standard(),
            interrupt,
        }
    }

    /// As the command line says: whether a script goes on behind an error, and whether each command prints one object.
    pub fn configure(&mut self, keep_going: bool, json: bool) {
        self.keep_going = keep_going;
        if json {
            self.output.use_objects();
        }
    }

    /// Whether a script ends here, where so many commands had failed before the one that has just run.
    pub(crate) fn stops(&self, failures_before: u64) -> bool {
        let goes_on = self.keep_going || self.interactive && self.sources == 0;
        self.failures() > failures_before && !goes_on
    }

    /// A person types from now on.
    pub(crate) fn greet(&mut self) {
        self.interactive = true;
        self.output.note(&format!(
            "docdbsh {}, {}; .help lists the commands",
            env!("CARGO_PKG_VERSION"),
            self.backend.place()
        ));
        if let Some(unmade) = self.backend.unmade() {
            self.output.note(&unmade);
        }
    }

    /// What there is now. Where it cannot be asked for, there are no names, and the next command will say why.
    pub(crate) fn names(&mut self) -> Names {
        let databases = self.backend.databases().unwrap_or_default();
        let open = self.open.as_ref().and_then(|open| open.id);
        let collections = open.and_then(|id| self.backend.collections(id).ok()).unwrap_or_default();
        Names {
            databases: databases.into_iter().map(|listed| listed.name.as_str().to_owned()).collect(),
            collections: collections.into_iter().map(|listed| listed.name.as_str().to_owned()).collect(),
        }
    }

    /// `docdb> `, or `docdb:DATABASE/COLLECTION> `, with what a person is to keep in mind behind it.
    pub(crate) fn prompt(&mut self) -> String {
        let Some(open) = &self.open else { return "docdb> ".to_owned() };
        let mut prompt = format!("docdb:{}", shown_text(open.name.as_str()));
        if open.collection != CollectionName::default_collection() {
            prompt.push_str(&format!("/{}", shown_text(open.collection.as_str())));
        }
        if let Some(transaction) = &open.transaction {
            prompt.push_str(&format!(" [transaction: {}]", transaction.writes()));
        }
        if open.id.is_some_and(|id| self.backend.is_read_only(id)) {
            prompt.push_str(" [read-only]");
        }
        prompt + "> "
    }

    /// Runs one line and prints what became of it.
    pub(crate) fn run(&mut self, line: &[u8]) -> Next {
        let began = Instant::now();
        self.remember(line);
        self.output.begin(line);
        let next = self.run_begun(line);
        if let Err(error) = self.output.end() {
            self.output.error(&error);
        }
        if self.is_timed {
            self.output.note(&format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3));
        }
        // Where nobody reads the results any more, there is no reason to run the rest.
        if self.output.closed { Next::Exit } else { next }
    }

    fn run_begun(&mut self, line: &[u8]) -> Next {
        match command::parse(line).and_then(|command| self.execute(command)) {
            Ok(next) => next,
            Err(error) => {
                if command::opens(line) && !self.in_transaction() {
                    self.open = None;
                }
                self.output.error(&error);
                self.spoil_transaction();
                Next::Command
            }
        }
    }

    /// Tells of what went wrong outside of any command, as one that failed.
    pub fn fail(&mut self, error: &Error) {
        self.output.error(error);
        self.spoil_transaction();
    }

    /// How many commands failed so far.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.output.failures
    }

    /// Ends the session in order and says how many commands failed; an end out of order counts as one.
    #[must_use]
    pub fn finish(mut self) -> u64 {
        self.leave_transaction();
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
            Some(Command::Help(entry)) => {
                let help = entry.map_or_else(help_of_all, Entry::help);
                self.output.line(help.as_bytes())?;
            }
            Some(Command::Open(name)) => self.open_database(name)?,
            Some(Command::Close) => self.close_database()?,
            Some(Command::Ls) => self.list_databases()?,
            Some(Command::Collections) => self.list_collections()?,
            Some(Command::Pwd) => {
                let name = self.opened()?.name.clone();
                self.output.line(name.as_str().as_bytes())?;
            }
            Some(Command::In(collection)) => {
                self.opened_mut()?.collection = collection.unwrap_or_else(CollectionName::default_collection);
            }
            Some(Command::Create(target, document)) => self.create(target, document)?,
            Some(Command::Put(target, document)) => self.put(target, document)?,
            Some(Command::Insert(collection, document)) => self.insert(collection, document)?,
            Some(Command::Update(target, document)) => self.update(target, document)?,
            Some(Command::Patch(target, patch)) => self.patch(target, &patch)?,
            Some(Command::Delete(target)) => self.delete(target)?,
            Some(Command::Read(target)) => self.read(target)?,
            Some(Command::List(list)) => self.list_documents(&list)?,
            Some(Command::Count(collection)) => self.count_documents(collection)?,
            Some(Command::Begin) => self.begin()?,
            Some(Command::Commit) => self.commit()?,
            Some(Command::Rollback) => self.roll_back()?,
            Some(Command::Source(file)) => return script::run_file(self, &file).map(|next| self.behind_source(next)),
            Some(Command::Output { file, force }) => self.output.redirect(file.as_deref(), force)?,
            Some(Command::Mode(mode)) => self.output.mode = mode,
            Some(Command::Pretty(pretty)) => self.output.pretty = pretty,
            Some(Command::Timer(is_timed)) => self.is_timed = is_timed,
            Some(Command::History) => self.print_history()?,
            Some(Command::Stats) => self.print_stats()?,
            Some(Command::Mem) => self.print_memory()?,
            Some(Command::Import { file, collection, ids, on_existing, ndjson }) => {
                self.import(&file, collection, &ids, on_existing, ndjson)?;
            }
            Some(Command::Export { file, collection, how }) => self.export(&file, collection.as_ref(), how)?,
        }
        Ok(Next::Command)
    }

    /// A file that ended early ends no session of a person.
    fn behind_source(&self, next: Next) -> Next {
        if self.interactive { Next::Command } else { next }
    }

    fn opened(&self) -> Result<&Open, Error> {
        self.open.as_ref().ok_or_else(none_open)
    }

    fn opened_mut(&mut self) -> Result<&mut Open, Error> {
        self.open.as_mut().ok_or_else(none_open)
    }

    /// The database to read from. One that is not there yet has nothing in it, as a person knows who was told so; a script
    /// that reads it was meant for another one.
    fn to_read(&self) -> Result<Option<DatabaseId>, Error> {
        let open = self.opened()?;
        if open.id.is_none() && !self.interactive {
            return Err(self.not_there(open));
        }
        Ok(open.id)
    }

    fn not_there(&self, open: &Open) -> Error {
        let detail = self
            .backend
            .unmade()
            .unwrap_or_else(|| "its first document makes it; .ls lists those that there are".to_owned());
        Error::new(ErrorCode::DbNotFound).database(open.name.as_str()).detail(detail)
    }

    /// The database to write to, which is created where these operations are the first.
    fn made(&mut self, operations: &[Operation]) -> Result<DatabaseId, Error> {
        let open = self.open.as_mut().ok_or_else(none_open)?;
        self.backend.check(operations)?;
        let id = match open.id {
            Some(id) => id,
            None => self.backend.open(&open.name, IfMissing::Create)?,
        };
        open.id = Some(id);
        Ok(id)
    }

    fn collection(&self, named: Option<CollectionName>) -> Result<CollectionName, Error> {
        let open = self.opened()?;
        Ok(named.unwrap_or_else(|| open.collection.clone()))
    }

    /// What a person is told of a write.
    fn say_written(&mut self, what: &str, id: &DocumentId, transaction: Option<TxId>) -> Result<(), Error> {
        if !self.interactive {
            return Ok(());
        }
        let transaction = transaction.map(|transaction| format!(", tx {}", transaction.0)).unwrap_or_default();
        self.output.line(format!("{what} {}{transaction}", entry::json(id)).as_bytes())
    }
}

fn none_open() -> Error {
    Error::new(ErrorCode::DbNotOpen).detail(".open NAME opens one")
}

/// A name as the next command takes it.
pub(crate) fn quoted(name: &str) -> String {
    let needs_marks = |character: char| character.is_whitespace() || character == ';';
    if name.contains(needs_marks) { format!("\"{name}\"") } else { name.to_owned() }
}
