//! The files of a simulated disk as real files, and what the engine makes of them.
//!
//! A crash is captured while a run goes by (see [`crate::chronicle::Capture`]); here its files are written to a directory, for
//! the real disk to open, and recovered in the simulator, to compare.
//!
//! It writes to a directory that is empty or not there, and to no other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::Path;

use docdb_engine::{Alert, Driver, Engine, Input, Instant, Options, Outside, RequestId, View};
use docdb_protocol::{DatabaseId, DocumentId, IfMissing, Reply, Request, Response};

use crate::choice::Choices;
use crate::clock::SimClock;
use crate::disk::{Profile, SimDisk};

/// Writes all files and directories below `directory`.
///
/// # Errors
/// When the directory is not empty, or the machine's own file system refuses.
pub fn write(disk: &SimDisk, directory: &Path) -> io::Result<usize> {
    fs::create_dir_all(directory)?;
    if fs::read_dir(directory)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, "the directory is not empty"));
    }
    let contents = disk.contents();
    for (name, bytes) in &contents {
        let path = directory.join(name);
        match bytes {
            None => fs::create_dir_all(path)?,
            Some(bytes) => fs::write(path, bytes)?,
        }
    }
    Ok(contents.values().flatten().count())
}

/// What a database holds: each collection's documents, or the code of what opening it or reading it answered.
pub type Outcome = Result<BTreeMap<(String, Option<DocumentId>), Result<Vec<u8>, u16>>, u16>;

/// Opens everything that lies on a simulated disk, which fails no more, and reads all of it. By name of database; one
/// without a name stands for a directory that cannot be opened.
#[must_use]
pub fn recover(mut disk: SimDisk, options: Options) -> BTreeMap<String, Outcome> {
    disk.set_profile(Profile::CALM);
    disk.set_quota(None);
    // A real file has no sector that fails, so neither has the one that it is compared with.
    disk.repair();
    let mut recovery = Recovery {
        driver: Driver::new(Engine::new(options), disk, SimClock::default()),
        heard: Heard::default(),
        requests: 0,
    };
    recovery.driver.drain(&mut recovery.heard);
    let listed = match recovery.ask(Request::ListDatabases) {
        Ok(Reply::Databases(listed)) => listed,
        Ok(_) => unreachable!("a list is answered with a list"),
        // A directory that cannot be opened has no databases to show.
        Err(error) => return BTreeMap::from([(String::new(), Err(error.code().number()))]),
    };
    let mut found = BTreeMap::new();
    for info in listed {
        let name = info.name.clone();
        let opened = recovery.ask(Request::OpenDatabase { name, if_missing: IfMissing::Fail });
        let outcome = match opened {
            Ok(Reply::Database(id)) => Ok(recovery.heard.views.get(&id).map(contents_of).unwrap_or_default()),
            Ok(_) => unreachable!("an opening is answered with a database"),
            Err(error) => Err(error.code().number()),
        };
        found.insert(info.name.as_str().to_owned(), outcome);
    }
    found
}

/// All documents that readers see, by collection and id; of a damaged one the code of its error, and without an id that of
/// what nothing names.
#[must_use]
pub fn contents_of(view: &View) -> BTreeMap<(String, Option<DocumentId>), Result<Vec<u8>, u16>> {
    let mut contents = BTreeMap::new();
    for collection in view.collections().map(|name| name.as_str().to_owned()) {
        for scanned in view.scan(&collection, Bound::Unbounded) {
            let (id, outcome) = match scanned {
                Ok((id, document)) => (Some(id), Ok(document.bytes().to_vec())),
                Err(error) => {
                    (error.context().and_then(|context| context.document.clone()), Err(error.code().number()))
                }
            };
            contents.insert((collection.clone(), id), outcome);
        }
    }
    contents
}

#[derive(Default)]
struct Heard {
    answer: Option<Response>,
    views: BTreeMap<DatabaseId, View>,
    wake: Option<Instant>,
}

impl Outside for Heard {
    fn respond(&mut self, _: RequestId, response: Response) {
        self.answer = Some(response);
    }

    fn publish(&mut self, database: DatabaseId, view: Option<View>) {
        match view {
            Some(view) => drop(self.views.insert(database, view)),
            None => drop(self.views.remove(&database)),
        }
    }

    fn wake_at(&mut self, time: Instant) {
        self.wake = Some(time);
    }

    fn alert(&mut self, _: Alert) {}

    fn stopped(&mut self) {}
}

struct Recovery {
    driver: Driver<SimDisk, SimClock>,
    heard: Heard,
    requests: u64,
}

impl Recovery {
    /// Asks, and steps until the answer is there.
    fn ask(&mut self, request: Request) -> Response {
        self.requests += 1;
        self.heard.answer = None;
        self.driver.handle(Input::Request { id: RequestId(self.requests), request }, &mut self.heard);
        // A calm device makes no choice, so this source is never asked.
        let mut choices = Choices::odometer();
        loop {
            if let Some(answer) = self.heard.answer.take() {
                return answer;
            }
            if self.driver.disk.undelivered() > 0 {
                self.driver.deliver(&mut self.heard);
            } else if self.driver.disk.ready() > 0 {
                self.driver.disk.run(0, &mut choices);
            } else {
                let wake = self.heard.wake.take().expect("an engine that owes an answer waits for something");
                self.driver.clock.pass_until(wake);
                self.driver.handle(Input::Timer, &mut self.heard);
            }
        }
    }
}
