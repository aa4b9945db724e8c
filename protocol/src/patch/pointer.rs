//! JSON Pointer (RFC 6901): the way to a place in a document.

use std::borrow::Cow;

use crate::error::{Error, ErrorCode};
use crate::limits::JSON_DEPTH_MAX;

use super::tree::{Container, Kind, Value};

/// The names and indexes on the way, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

/// Where in an array or object.
pub(super) enum Place {
    /// What is there.
    At(usize),
    /// Behind the last element of an array, or a member that is not there.
    New,
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidPath).detail(detail)
}

/// Characters of a client's text that an error quotes: enough to know it by, however long the client made it.
const QUOTED_CHARACTERS_MAX: usize = 100;

/// As much of a text as an error quotes.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]).into(),
        None => text.into(),
    }
}

impl Pointer {
    /// Bounded in its length, since each step may open a level of the document.
    pub(super) fn parse(text: &str) -> Result<Pointer, Error> {
        if text.is_empty() {
            return Ok(Pointer(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(invalid(format!("{:?}: a path is empty or begins with /", shortened(text))));
        };
        if rest.matches('/').count() >= JSON_DEPTH_MAX {
            return Err(invalid(format!("a path of more than {JSON_DEPTH_MAX} steps")));
        }
        rest.split('/').map(step).collect::<Result<_, _>>().map(Pointer)
    }

    /// Whether this leads to the other, or to something around it.
    pub(super) fn is_around(&self, other: &Pointer) -> bool {
        other.0.starts_with(&self.0)
    }

    /// How many containers are around what this leads to.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The last step, and the way to where it is taken; `None` of the whole document.
    pub(super) fn split_last(&self) -> Option<(&[String], &str)> {
        self.0.split_last().map(|(last, before)| (before, last.as_str()))
    }

    /// The value that is there.
    pub(super) fn walk<'v, 'a>(&self, root: &'v mut Value<'a>) -> Result<&'v mut Value<'a>, Error> {
        walk(&self.0, root)
    }
}

fn step(text: &str) -> Result<String, Error> {
    let mut decoded = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        decoded.push(match (character, character == '~') {
            (other, false) => other,
            (_, true) => match characters.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(invalid(format!("{:?}: ~ is written ~0, and / is written ~1", shortened(text)))),
            },
        });
    }
    Ok(decoded)
}

/// The value at the end of these steps.
pub(super) fn walk<'v, 'a>(steps: &[String], root: &'v mut Value<'a>) -> Result<&'v mut Value<'a>, Error> {
    let mut value = root;
    for step in steps {
        let container = value
            .open()
            .ok_or_else(|| invalid(format!("there is nothing in a value that {:?} could be", shortened(step))))?;
        match place(container, step)? {
            Place::At(index) => value = container.value(index),
            Place::New => return Err(missing(container.kind, step)),
        }
    }
    Ok(value)
}

/// Where a step leads.
pub(super) fn place(container: &Container<'_>, step: &str) -> Result<Place, Error> {
    match container.kind {
        Kind::Object => Ok(container.find(step).map_or(Place::New, Place::At)),
        Kind::Array if step == "-" => Ok(Place::New),
        Kind::Array => {
            let is_number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
            let is_canonical = is_number && (step == "0" || !step.starts_with('0'));
            let index = step.parse::<usize>().ok().filter(|_| is_canonical);
            match index {
                None => Err(invalid(format!("{:?} is no index of an array", shortened(step)))),
                Some(index) if index < container.len() => Ok(Place::At(index)),
                Some(index) if index == container.len() => Ok(Place::New),
                Some(index) => Err(invalid(format!("an array of {} has no element {index}", container.len()))),
            }
        }
    }
}

/// The error for a place where nothing is.
pub(super) fn missing(kind: Kind, step: &str) -> Error {
    let step = shortened(step);
    match kind {
        Kind::Object => invalid(format!("there is no member {step:?}")),
        Kind::Array => invalid(format!("there is no element {step}")),
    }
}
