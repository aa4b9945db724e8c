//! Documents: one by its id, or those of a collection.

use std::ops::Bound;

use docdb_protocol::{
    Action, Atomicity, CollectionName, DatabaseId, Document, DocumentId, Error, ErrorCode, Expectation, Operation,
    OperationReply, Patch,
};

use super::{Session, quoted};
use crate::backend::Range;
use crate::command::{List, Target};
use crate::entry;

/// How a list ended.
enum Listed {
    /// So many documents were all.
    All(u64),
    /// This one is the first that was asked for no more.
    Before(DocumentId),
    /// By Ctrl-C, behind so many.
    Interrupted(u64),
}

impl Session {
    pub(super) fn create(&mut self, target: Target, document: Document) -> Result<(), Error> {
        self.write("created", target, |id| Action::Create(id, document))
    }

    pub(super) fn put(&mut self, target: Target, document: Document) -> Result<(), Error> {
        self.write("put", target, |id| Action::Put(id, document))
    }

    pub(super) fn update(&mut self, target: Target, document: Document) -> Result<(), Error> {
        self.refuse_new(&target)?;
        self.write("updated", target, |id| Action::Update(id, document))
    }

    pub(super) fn delete(&mut self, target: Target) -> Result<(), Error> {
        self.refuse_new(&target)?;
        self.write("deleted", target, Action::Delete)
    }

    /// In a transaction the patch is applied at once, and the document expected to be the same at the commit.
    pub(super) fn patch(&mut self, target: Target, patch: &Patch) -> Result<(), Error> {
        self.refuse_new(&target)?;
        let collection = self.collection(target.collection)?;
        let missing = || Error::new(ErrorCode::DocNotFound).document(&target.id);
        let open = self.opened()?;
        let Some(pending) = &open.transaction else {
            let database = open.id.ok_or_else(missing)?;
            let written = self.backend.patch(database, &collection, &target.id, patch)?;
            return self.say_written("patched", &target.id, Some(written));
        };
        let (document, version) = match pending.newest(&collection, &target.id) {
            Some(document) => (document.cloned().ok_or_else(missing)?, None),
            None => {
                let database = open.id.ok_or_else(missing)?;
                let (document, version) =
                    self.backend.version(database, &collection, &target.id)?.ok_or_else(missing)?;
                (document, Some(version))
            }
        };
        let patched = patch.apply(&document).map_err(|error| error.document(&target.id))?;
        let expected = version.map(|version| Action::Expect(target.id.clone(), Expectation::Version(version)));
        let actions = expected.into_iter().chain([Action::Update(target.id.clone(), patched)]);
        self.gather_all("patched", actions.map(|action| Operation { collection: collection.clone(), action }).collect())
    }

    /// The number that the document was given is a result, which a script gets too.
    pub(super) fn insert(&mut self, collection: Option<CollectionName>, document: Document) -> Result<(), Error> {
        let operation = Operation { collection: self.collection(collection)?, action: Action::Insert(document) };
        let Some(operation) = self.gather("insert", operation)? else { return Ok(()) };
        match self.operate(operation)? {
            OperationReply::Inserted(number, transaction) if self.interactive => {
                self.say_written("inserted", &DocumentId::Number(number), Some(transaction))
            }
            OperationReply::Inserted(number, _) => self.output.value(number.to_string().as_bytes()),
            other => Err(Error::new(ErrorCode::InvalidFrame).detail(format!("not a number: {other:?}"))),
        }
    }

    pub(super) fn read(&mut self, target: Target) -> Result<(), Error> {
        let collection = self.collection(target.collection)?;
        let pending = self.opened()?.transaction.as_ref().and_then(|pending| pending.newest(&collection, &target.id));
        let document = match pending {
            Some(Some(document)) => document.clone(),
            Some(None) => return Err(Error::new(ErrorCode::DocNotFound).document(&target.id)),
            None => {
                if self.to_read()?.is_none() {
                    return Err(Error::new(ErrorCode::DocNotFound).document(&target.id));
                }
                match self.operate(Operation { collection, action: Action::Read(target.id) })? {
                    OperationReply::Document(document) => document,
                    OperationReply::Written(_) | OperationReply::Inserted(..) | OperationReply::AsExpected => {
                        return Err(Error::new(ErrorCode::InvalidFrame).detail("not a document"));
                    }
                }
            }
        };
        self.output.document(document.bytes())
    }

    /// In a database that is not there yet there is nothing to be changed.
    fn refuse_new(&self, target: &Target) -> Result<(), Error> {
        let open = self.opened()?;
        if open.transaction.is_none() && self.to_read()?.is_none() {
            return Err(Error::new(ErrorCode::DocNotFound).document(&target.id));
        }
        Ok(())
    }

    fn write(&mut self, done: &str, target: Target, action: impl FnOnce(DocumentId) -> Action) -> Result<(), Error> {
        let id = target.id.clone();
        let operation = Operation { collection: self.collection(target.collection)?, action: action(target.id) };
        let Some(operation) = self.gather(done, operation)? else { return Ok(()) };
        let reply = self.operate(operation)?;
        self.say_written(done, &id, reply.written())
    }

    fn operate(&mut self, operation: Operation) -> Result<OperationReply, Error> {
        let id = operation.action.document_id().cloned();
        let operations = vec![operation];
        let database = self.made(&operations)?;
        let mut results = self.backend.execute(database, operations, Atomicity::EachAlone)?;
        let missing = || Err(Error::new(ErrorCode::InvalidFrame).detail("no result"));
        results.pop().unwrap_or_else(missing).map_err(|error| match id {
            // Over the socket an error does not say which document it is about.
            Some(id) if !error.names_document() => error.document(id),
            Some(_) | None => error,
        })
    }

    pub(super) fn count_documents(&mut self, collection: Option<CollectionName>) -> Result<(), Error> {
        let collection = self.collection(collection)?;
        let count = match self.to_read()? {
            Some(database) => self.backend.count(database, &collection)?,
            None => 0,
        };
        self.output.value(count.to_string().as_bytes())
    }

    /// One document a line behind its id; a document with line ends in it takes more of them.
    pub(super) fn list_documents(&mut self, list: &List) -> Result<(), Error> {
        let collection = self.collection(list.collection.clone())?;
        let Some(database) = self.to_read()? else {
            self.output.note("no documents");
            return Ok(());
        };
        let listed = self.list_range(database, &collection, list);
        // However it ended, nothing of it is left for the next list.
        self.output.end_list()?;
        match listed? {
            Listed::Interrupted(count) => self.output.interrupted(&format!("{count} listed")),
            Listed::Before(id) => self.output.note(&format!("there are more: {}", self.rest_of(list, &id))),
            Listed::All(0) if list.from.is_none() && list.to.is_none() => self.output.note("no documents"),
            Listed::All(0) => self.output.note("no documents in this range"),
            Listed::All(_) => {}
        }
        Ok(())
    }

    fn list_range(&mut self, database: DatabaseId, collection: &CollectionName, list: &List) -> Result<Listed, Error> {
        let bound = |id: &Option<DocumentId>| id.clone().map_or(Bound::Unbounded, Bound::Included);
        let mut listed = 0;
        let mut next =
            Some(Range { from: bound(&list.from), to: bound(&list.to), descending: list.reverse, ids_only: list.ids });
        while let Some(range) = next {
            let page = self.backend.scan(database, collection, &range)?;
            next = page.next(range);
            for (id, document) in page.documents {
                if self.interrupt.is_set() {
                    return Ok(Listed::Interrupted(listed));
                }
                if listed == list.limit {
                    return Ok(Listed::Before(id));
                }
                listed += 1;
                match document {
                    Ok(_) if list.ids => self.output.value(entry::json(&id).as_bytes())?,
                    Ok(document) => self.output.listed(&id, &document)?,
                    Err(error) => self.output.error(&error.collection(collection.as_str()).document(id)),
                }
            }
            for why in page.missing {
                self.output.error(&why.error().collection(collection.as_str()));
            }
        }
        Ok(Listed::All(listed))
    }

    /// The command that lists what a list left out, from an id on.
    fn rest_of(&self, list: &List, id: &DocumentId) -> String {
        let mut command = ".list".to_owned();
        if let Some(collection) = &list.collection {
            command.push_str(&format!(" {}", quoted(collection.as_str())));
        }
        let (from, to) = if list.reverse { (list.from.as_ref(), Some(id)) } else { (Some(id), list.to.as_ref()) };
        for (flag, bound) in [("--from", from), ("--to", to)] {
            if let Some(bound) = bound {
                command.push_str(&format!(" {flag} {}", entry::json(bound)));
            }
        }
        for (flag, is_set) in [("--reverse", list.reverse), ("--ids", list.ids)] {
            if is_set {
                command.push_str(&format!(" {flag}"));
            }
        }
        command
    }
}
