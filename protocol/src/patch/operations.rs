//! The JSON patch of RFC 6902, and the ancestor's three operations: one after the other, all or nothing.
//!
//! The names of an operation's members are taken without regard to case, as the ancestor does.

use crate::error::{Error, ErrorCode};
use crate::limits::{DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX, PATCH_OPERATIONS_MAX};

use super::equal::equal;
use super::pointer::{Place, Pointer, missing, place, shortened, walk};
use super::tree::{Kind, Value, elements, members};

/// The operations of a patch, in their order.
pub(super) struct Operations<'a>(Vec<Operation<'a>>);

enum Operation<'a> {
    Add(Pointer, &'a [u8]),
    Remove(Pointer),
    Replace(Pointer, &'a [u8]),
    Move {
        from: Pointer,
        to: Pointer,
    },
    Copy {
        from: Pointer,
        to: Pointer,
    },
    Test(Pointer, &'a [u8]),
    /// The ancestor's: makes the objects on the way that are not there.
    Set(Pointer, &'a [u8]),
    /// The ancestor's: into an array alone.
    Insert(Pointer, &'a [u8]),
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorCode::InvalidPatch).detail(detail)
}

impl<'a> Operations<'a> {
    pub(super) fn parse(patch: &'a [u8]) -> Result<Operations<'a>, Error> {
        let operations = elements(patch.trim_ascii()).unwrap_or_default();
        if operations.len() > PATCH_OPERATIONS_MAX {
            let detail = format!("a patch of {} operations, at most {PATCH_OPERATIONS_MAX}", operations.len());
            return Err(Error::new(ErrorCode::LimitExceeded).detail(detail));
        }
        let parsed = operations
            .into_iter()
            .enumerate()
            .map(|(index, text)| Operation::parse(text).map_err(|error| error.operation(index)));
        parsed.collect::<Result<_, _>>().map(Operations)
    }

    pub(super) fn apply(self, root: &mut Value<'a>) -> Result<(), Error> {
        let mut copied_bytes = 0;
        for (index, operation) in self.0.into_iter().enumerate() {
            operation.apply(root, &mut copied_bytes).map_err(|error| error.operation(index))?;
        }
        Ok(())
    }
}

impl<'a> Operation<'a> {
    fn parse(text: &'a [u8]) -> Result<Operation<'a>, Error> {
        let members =
            members(text).ok_or_else(|| invalid("an operation is an object with op, path and mostly value"))?;
        let member = |name: &str| {
            let found = members.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| *value).ok_or_else(|| invalid(format!("{name} is missing")))
        };
        let text = |name: &str| {
            serde_json::from_slice::<String>(member(name)?).map_err(|_| invalid(format!("{name} is no text")))
        };
        let pointer = |name: &str| Pointer::parse(&text(name)?);
        let (op, path) = (text("op")?, pointer("path"));
        Ok(match op.as_str() {
            "add" => Operation::Add(path?, member("value")?),
            "remove" | "delete" => Operation::Remove(path?),
            "replace" => Operation::Replace(path?, member("value")?),
            "move" => Operation::Move { from: pointer("from")?, to: path? },
            "copy" => Operation::Copy { from: pointer("from")?, to: path? },
            "test" => Operation::Test(path?, member("value")?),
            "set" => Operation::Set(path?, member("value")?),
            "insert" => Operation::Insert(path?, member("value")?),
            other => {
                let known = "add, remove, replace, move, copy, test, set, delete, insert";
                let detail = format!("{:?} is none of {known}", shortened(other));
                return Err(Error::new(ErrorCode::UnknownOperation).detail(detail));
            }
        })
    }

    fn apply(self, root: &mut Value<'a>, copied_bytes: &mut usize) -> Result<(), Error> {
        match self {
            Operation::Add(to, value) => add(root, &to, fitting(&to, value.into())?),
            Operation::Remove(from) => remove(root, &from).map(drop),
            Operation::Replace(at, value) => {
                *at.walk(root)? = fitting(&at, value.into())?;
                Ok(())
            }
            Operation::Move { from, to } => {
                if from == to {
                    return from.walk(root).map(drop);
                }
                if from.is_around(&to) {
                    return Err(invalid("a value is not moved into itself"));
                }
                let mut value = remove(root, &from)?;
                // What does not come to stand deeper than it stood is as deep as it was allowed to be.
                if to.len() > from.len() {
                    value = fitting(&to, value)?;
                }
                add(root, &to, value)
            }
            Operation::Copy { from, to } => {
                let value = from.walk(root)?.text().into_owned();
                *copied_bytes += value.len();
                if *copied_bytes > DOCUMENT_BYTES_MAX {
                    let detail = format!("a patch copies at most {DOCUMENT_BYTES_MAX} bytes");
                    return Err(Error::new(ErrorCode::PayloadTooLarge).detail(detail));
                }
                add(root, &to, fitting(&to, Value::Text(value.into(), None))?)
            }
            Operation::Test(at, expected) => {
                if equal(&at.walk(root)?.text(), expected) {
                    return Ok(());
                }
                Err(Error::new(ErrorCode::Conflict).detail("the value is not the one that the patch tests for"))
            }
            Operation::Set(to, value) => set(root, &to, fitting(&to, value.into())?),
            Operation::Insert(to, value) => {
                let (way, last) = to.split_last().ok_or_else(|| invalid("insert needs a place in an array"))?;
                match walk(way, root)?.open() {
                    Some(container) if container.kind == Kind::Array => {}
                    Some(_) | None => return Err(missing(Kind::Array, last)),
                }
                add(root, &to, fitting(&to, value.into())?)
            }
        }
    }
}

/// The value, if it may stand there. Asked before an operation puts it there: what writes a value and what drops it recurse as deep
/// as it nests, and many operations could together nest it as deep as no stack reaches.
fn fitting<'a>(to: &Pointer, mut value: Value<'a>) -> Result<Value<'a>, Error> {
    if to.len() + usize::from(value.height()) > JSON_DEPTH_MAX {
        let detail = format!("nested more than {JSON_DEPTH_MAX} deep");
        return Err(Error::new(ErrorCode::InvalidJson).detail(detail));
    }
    Ok(value)
}

fn add<'a>(root: &mut Value<'a>, to: &Pointer, value: Value<'a>) -> Result<(), Error> {
    let Some((way, last)) = to.split_last() else {
        *root = value;
        return Ok(());
    };
    let container = walk(way, root)?.open().ok_or_else(|| missing(Kind::Object, last))?;
    match (place(container, last)?, container.kind) {
        (Place::At(index), Kind::Object) => *container.value(index) = value,
        (Place::At(index), Kind::Array) => container.insert(index, value),
        (Place::New, Kind::Object) => container.push_member(last, value),
        (Place::New, Kind::Array) => container.push(value),
    }
    Ok(())
}

fn remove<'a>(root: &mut Value<'a>, from: &Pointer) -> Result<Value<'a>, Error> {
    let (way, last) = from.split_last().ok_or_else(|| invalid("a document is not removed by a patch"))?;
    let container = walk(way, root)?.open().ok_or_else(|| missing(Kind::Object, last))?;
    let Place::At(index) = place(container, last)? else { return Err(missing(container.kind, last)) };
    let removed = container.remove(index);
    // Of a name that is there twice nothing is left.
    if container.kind == Kind::Object {
        let is_removed: Vec<bool> = (0..container.len()).map(|index| container.name(index) == last).collect();
        container.remove_all(&is_removed);
    }
    Ok(removed)
}

/// As the ancestor's clients mean it: what is there is replaced, and objects that are missing on the way are made.
fn set<'a>(root: &mut Value<'a>, to: &Pointer, value: Value<'a>) -> Result<(), Error> {
    let Some((way, last)) = to.split_last() else {
        *root = value;
        return Ok(());
    };
    let mut at = root;
    for step in way {
        let container = at.open().ok_or_else(|| missing(Kind::Object, step))?;
        let index = match place(container, step)? {
            Place::At(index) => index,
            Place::New => {
                let empty = Value::empty_object();
                match container.kind {
                    Kind::Object => container.push_member(step, empty),
                    Kind::Array => container.push(empty),
                }
                container.len() - 1
            }
        };
        at = container.value(index);
    }
    let container = at.open().ok_or_else(|| missing(Kind::Object, last))?;
    match (place(container, last)?, container.kind) {
        (Place::At(index), _) => *container.value(index) = value,
        (Place::New, Kind::Object) => container.push_member(last, value),
        (Place::New, Kind::Array) => container.push(value),
    }
    Ok(())
}
