//! The requests of the exhaustive run: nine operations over two documents, and when each is sent.
//!
//! A workload is a short text, so that a person can read it and a command can repeat it: `c1+u1,both~close` creates
//! document 1 and at once updates it, writes both documents when that is answered, and closes the database when
//! nothing is left to do. Contents name the place of their operation in the workload, so no two are equal.

use std::fmt;
use std::str::FromStr;

use docdb_protocol::{Action, Atomicity, CollectionName, Document, DocumentId, Operation, Request};

use crate::oracle::Tracked;

/// One operation. A closed list: the alphabet of all workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Creates a document; refused when it is there.
    Create(u64),
    /// Updates a document; refused when it is not there.
    Update(u64),
    /// Deletes a document; refused when it is not there.
    Delete(u64),
    /// One transaction that creates or updates both documents.
    Both,
    /// One transaction that deletes document 1 and creates or updates document 2; refused as a whole without document 1.
    Move,
    /// Closes the database; the next operation opens it again.
    Close,
}

impl Op {
    /// All of them.
    pub const ALL: [Op; 9] = [
        Op::Create(1),
        Op::Create(2),
        Op::Update(1),
        Op::Update(2),
        Op::Delete(1),
        Op::Delete(2),
        Op::Both,
        Op::Move,
        Op::Close,
    ];

    /// The request, as the `ordinal`-th of its workload.
    ///
    /// # Panics
    /// When the database was never opened: every workload begins with that.
    #[must_use]
    pub fn request(self, tracked: &Tracked, ordinal: usize) -> Request {
        let database = tracked.id.expect("a workload begins in an open database");
        let newest = tracked.model.state_after(tracked.model.newest()).expect("the newest state is in the history");
        let write = |id: u64| {
            let exists = newest.contains_key(&(CollectionName::DEFAULT.into(), DocumentId::Number(id)));
            let document = document(ordinal, id);
            operation(id, |id| if exists { Action::Update(id, document) } else { Action::Create(id, document) })
        };
        let (operations, atomicity) = match self {
            Op::Create(id) => {
                (vec![operation(id, |named| Action::Create(named, document(ordinal, id)))], Atomicity::EachAlone)
            }
            Op::Update(id) => {
                (vec![operation(id, |named| Action::Update(named, document(ordinal, id)))], Atomicity::EachAlone)
            }
            Op::Delete(id) => (vec![operation(id, Action::Delete)], Atomicity::EachAlone),
            Op::Both => (vec![write(1), write(2)], Atomicity::AllOrNothing),
            Op::Move => (vec![operation(1, Action::Delete), write(2)], Atomicity::AllOrNothing),
            Op::Close => return Request::CloseDatabase { database },
        };
        Request::Execute { database, operations, atomicity }
    }
}

fn document(ordinal: usize, id: u64) -> Document {
    Document::parse(format!("{{\"op\":{ordinal},\"id\":{id}}}").as_bytes()).expect("these documents are valid JSON")
}

fn operation(id: u64, action: impl FnOnce(DocumentId) -> Action) -> Operation {
    Operation { collection: CollectionName::default_collection(), action: action(DocumentId::Number(id)) }
}

impl fmt::Display for Op {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Create(id) => write!(formatter, "c{id}"),
            Op::Update(id) => write!(formatter, "u{id}"),
            Op::Delete(id) => write!(formatter, "d{id}"),
            Op::Both => formatter.write_str("both"),
            Op::Move => formatter.write_str("move"),
            Op::Close => formatter.write_str("close"),
        }
    }
}

/// When an operation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Together with the one before, which is not answered yet.
    AtOnce,
    /// When all before are answered, and something is still going on.
    Answered,
    /// When nothing is in flight and no timer is set.
    Quiet,
}

impl When {
    /// All of them, in the order in which they come up.
    pub const ALL: [When; 3] = [When::AtOnce, When::Answered, When::Quiet];

    const fn sign(self) -> char {
        match self {
            When::AtOnce => '+',
            When::Answered => ',',
            When::Quiet => '~',
        }
    }
}

/// Operations in their order, each with when it is sent; the first is always sent into a quiet world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload(pub Vec<(When, Op)>);

impl fmt::Display for Workload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (when, op)) in self.0.iter().enumerate() {
            if place > 0 {
                write!(formatter, "{}", when.sign())?;
            }
            write!(formatter, "{op}")?;
        }
        Ok(())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Workload, String> {
        let mut steps = Vec::new();
        let mut when = When::Quiet;
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(|sign| When::ALL.iter().any(|when| when.sign() == sign)).unwrap_or(rest.len());
            let op = Op::ALL.into_iter().find(|op| op.to_string() == rest[..end]);
            steps.push((when, op.ok_or_else(|| format!("{:?} is no operation", &rest[..end]))?));
            let Some(sign) = rest[end..].chars().next() else { break };
            when = When::ALL.into_iter().find(|when| when.sign() == sign).expect("found by this very sign");
            rest = &rest[end + sign.len_utf8()..];
            if rest.is_empty() {
                return Err(format!("{text:?} ends with {sign:?}"));
            }
        }
        Ok(Workload(steps))
    }
}
