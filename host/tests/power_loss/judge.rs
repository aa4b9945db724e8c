//! What must be there after a power loss, and whether it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use docdb::DocDb;
use docdb::internals::Kernel;
use rustix::io::Errno;

use crate::record::{Changed, Entry, Word};
use crate::workload;

type Documents = BTreeMap<(String, u64), Vec<u8>>;

/// What was acknowledged, and what was only asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    databases: BTreeMap<&'static str, Documents>,
    asked: BTreeMap<usize, (&'static str, Vec<Changed>)>,
}

impl Expected {
    pub(crate) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Told(Word::Created { database }) => {
                self.databases.entry(database).or_default();
            }
            Entry::Told(Word::Asked { writer, database, changes }) => {
                self.asked.insert(*writer, (database, changes.clone()));
            }
            Entry::Told(Word::Answered { writer }) => {
                let (database, changes) = self.asked.remove(writer).unwrap();
                apply(self.databases.get_mut(database).unwrap(), &changes);
            }
            _ => {}
        }
    }
}

fn apply(documents: &mut Documents, changes: &[Changed]) {
    for ((collection, id), content) in changes {
        let key = ((*collection).to_owned(), *id);
        match content {
            Some(content) => documents.insert(key, content.clone()),
            None => documents.remove(&key),
        };
    }
}

fn has(documents: &Documents, changes: &[Changed]) -> bool {
    changes
        .iter()
        .all(|((collection, id), content)| documents.get(&((*collection).to_owned(), *id)) == content.as_ref())
}

/// Makes no sync: an image that is only looked at needs none.
#[derive(Debug)]
struct Careless;

impl Kernel for Careless {
    fn sync_file(&self, _file: std::os::fd::BorrowedFd<'_>) -> Result<(), Errno> {
        Ok(())
    }

    fn sync_directory(&self, _directory: std::os::fd::BorrowedFd<'_>) -> Result<(), Errno> {
        Ok(())
    }
}

/// Opens what a power loss left and compares.
pub(crate) fn judge(base: &Path, expected: &Expected) -> Result<(), String> {
    let data = base.join(workload::DATA);
    if !data.exists() && expected.databases.is_empty() {
        return Ok(());
    }
    if !data.exists() {
        return Err("the data directory is gone".to_owned());
    }
    let opened = docdb::internals::open_over(&data, workload::options(), Arc::new(Careless));
    let docdb = opened.map_err(|error| format!("cannot be opened: {error}"))?;
    let listed = docdb.databases().map_err(|error| format!("cannot be listed: {error}"))?;
    let listed: Vec<String> = listed.iter().map(|info| info.name.as_str().to_owned()).collect();
    for name in expected.databases.keys() {
        if !listed.iter().any(|listed| listed == name) {
            return Err(format!("database {name} is gone, there are {listed:?}"));
        }
    }
    for name in &listed {
        let found = documents(&docdb, name).map_err(|error| format!("database {name}: {error}"))?;
        let mut wanted = expected.databases.get(name.as_str()).cloned().unwrap_or_default();
        for (database, changes) in expected.asked.values() {
            if database == name && has(&found, changes) {
                apply(&mut wanted, changes);
            }
        }
        if found != wanted {
            let missing = wanted.iter().find(|(key, content)| found.get(*key) != Some(content));
            let surplus = found.iter().find(|(key, content)| wanted.get(*key) != Some(content));
            return Err(format!("database {name}: missing {missing:?}, never written {surplus:?}"));
        }
    }
    Ok(())
}

fn documents(docdb: &DocDb, name: &str) -> Result<Documents, docdb::Error> {
    let database = docdb.existing_database(name)?;
    let mut documents = Documents::new();
    for collection in database.collections()? {
        for entry in database.collection(&collection)?.scan()? {
            let (id, document) = entry?;
            let id = id.as_number().expect("all ids of the workload are numbers");
            documents.insert((collection.clone(), id), document.bytes().to_vec());
        }
    }
    Ok(documents)
}
