//! A document, opened only where something in it changes.
//!
//! What is not opened is a slice of the document, blanks included; an opened array or object keeps the blanks between its parts.
//! All texts here have passed the validator, or are made of parts that did, so that cutting them needs no errors.

use std::borrow::Cow;

use crate::json::string_end;

/// A JSON value without the blanks around it.
pub(super) enum Value<'a> {
    /// With its height, once someone has asked for it.
    Text(Cow<'a, [u8]>, Option<u8>),
    Open(Box<Container<'a>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Object,
}

/// An array or object cut at its commas.
pub(super) struct Container<'a> {
    pub(super) kind: Kind,
    slots: Vec<Slot<'a>>,
    /// Known from when someone asks for it until something in here may change.
    height: Option<u8>,
    /// The blanks before the closing bracket.
    end: Cow<'a, [u8]>,
}

/// What stands between two commas.
enum Slot<'a> {
    /// With the height of its value, once someone has asked for it: a patch may ask a thousand times.
    Text(Cow<'a, [u8]>, Option<u8>),
    Open(Box<OpenSlot<'a>>),
}

struct OpenSlot<'a> {
    /// Blanks; of a member its name, the colon and the blanks around them too.
    head: Cow<'a, [u8]>,
    value: Value<'a>,
    tail: Cow<'a, [u8]>,
}

/// The blanks before, the value, the blanks behind.
pub(super) fn without_blanks(text: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (before, rest) = text.split_at(text.len() - text.trim_ascii_start().len());
    let (inner, behind) = rest.split_at(rest.trim_ascii_end().len());
    (before, inner, behind)
}

/// How many arrays and objects are around the innermost value of a text: no more than the validator lets through.
fn height_of(text: &[u8]) -> u8 {
    let (mut at, mut depth, mut height) = (0, 0, 0_u8);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'[' | b'{' => {
                depth += 1;
                height = height.max(depth);
            }
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    height
}

fn part<'a>(text: &Cow<'a, [u8]>, range: std::ops::Range<usize>) -> Cow<'a, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_vec()),
    }
}

/// What a name between quotation marks stands for.
pub(super) fn name_of(quoted: &[u8]) -> Cow<'_, str> {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains(&b'\\') {
        return String::from_utf8_lossy(inner);
    }
    serde_json::from_slice::<String>(quoted).expect("the validator has seen it").into()
}

/// The place of a member's name in its slot, and where its value begins.
fn member(slot: &[u8]) -> (std::ops::Range<usize>, usize) {
    let begin = slot.len() - slot.trim_ascii_start().len();
    let end = string_end(slot, begin);
    let colon = end + slot[end..].iter().position(|byte| *byte == b':').expect("a member has a colon");
    let rest = &slot[colon + 1..];
    (begin..end, colon + 1 + rest.len() - rest.trim_ascii_start().len())
}

/// The members of an object, each with its name and its value; `None` of all else.
pub(super) fn members(text: &[u8]) -> Option<Vec<(Cow<'_, str>, &[u8])>> {
    let parts = parts_of(text, b'{')?;
    Some(
        parts
            .into_iter()
            .map(|range| {
                let slot = &text[range];
                let (name, value) = member(slot);
                (name_of(&slot[name]), slot[value..].trim_ascii_end())
            })
            .collect(),
    )
}

/// The elements of an array; `None` of all else.
pub(super) fn elements(text: &[u8]) -> Option<Vec<&[u8]>> {
    Some(parts_of(text, b'[')?.into_iter().map(|range| text[range].trim_ascii()).collect())
}

/// What stands between the commas of an array or object, with its blanks. Nothing when it has no parts.
fn parts_of(text: &[u8], bracket: u8) -> Option<Vec<std::ops::Range<usize>>> {
    if text.first() != Some(&bracket) {
        return None;
    }
    let last = text.len() - 1;
    let mut parts = Vec::new();
    if text[1..last].trim_ascii().is_empty() {
        return Some(parts);
    }
    let (mut begin, mut at, mut depth) = (1, 1, 0_usize);
    while at < last {
        match text[at] {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(begin..at);
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(begin..last);
    Some(parts)
}

impl<'a> From<&'a [u8]> for Value<'a> {
    /// Of a text without blanks around it.
    fn from(text: &'a [u8]) -> Value<'a> {
        Value::Text(text.into(), None)
    }
}

impl<'a> Value<'a> {
    pub(super) fn empty_object() -> Value<'a> {
        Value::Text(Cow::Borrowed(b"{}"), Some(1))
    }

    /// How many arrays and objects are around its innermost value, itself included. Recurses as deep as it is opened.
    pub(super) fn height(&mut self) -> u8 {
        match self {
            Value::Text(text, height) => *height.get_or_insert_with(|| height_of(text)),
            Value::Open(container) => container.height(),
        }
    }

    /// Cut open, if it is an array or object.
    pub(super) fn open(&mut self) -> Option<&mut Container<'a>> {
        if let Value::Text(text, height) = self {
            let height = *height;
            let kind = match text.first()? {
                b'[' => Kind::Array,
                b'{' => Kind::Object,
                _ => return None,
            };
            let bracket = text[0];
            let parts = parts_of(text, bracket)?;
            let mut slots: Vec<Slot<'a>> =
                parts.iter().map(|range| Slot::Text(part(text, range.clone()), None)).collect();
            let mut end = 1..text.len() - 1;
            if let (Some(slot), Some(last)) = (slots.last_mut(), parts.last()) {
                let kept = text[last.clone()].trim_ascii_end().len();
                *slot = Slot::Text(part(text, last.start..last.start + kept), None);
                end = last.start + kept..last.end;
            }
            let end = part(text, end);
            *self = Value::Open(Box::new(Container { kind, slots, height, end }));
        }
        match self {
            Value::Open(container) => Some(container),
            Value::Text(..) => None,
        }
    }

    /// As it will stand in the result.
    pub(super) fn text(&self) -> Cow<'_, [u8]> {
        match self {
            Value::Text(text, _) => Cow::Borrowed(text),
            Value::Open(_) => {
                let mut text = Vec::new();
                self.write(&mut text);
                text.into()
            }
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let container = match self {
            Value::Text(text, _) => return out.extend_from_slice(text),
            Value::Open(container) => container,
        };
        let (open, close) = match container.kind {
            Kind::Array => (b'[', b']'),
            Kind::Object => (b'{', b'}'),
        };
        out.push(open);
        for (index, slot) in container.slots.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match slot {
                Slot::Text(text, _) => out.extend_from_slice(text),
                Slot::Open(slot) => {
                    out.extend_from_slice(&slot.head);
                    slot.value.write(out);
                    out.extend_from_slice(&slot.tail);
                }
            }
        }
        out.extend_from_slice(&container.end);
        out.push(close);
    }
}

impl<'a> Slot<'a> {
    /// All up to the value, or the whole of it.
    fn head(&self) -> &[u8] {
        match self {
            Slot::Text(text, _) => text,
            Slot::Open(slot) => &slot.head,
        }
    }

    fn open(&mut self, kind: Kind) -> &mut OpenSlot<'a> {
        if let Slot::Text(text, height) = self {
            let begin = match kind {
                Kind::Array => text.len() - text.trim_ascii_start().len(),
                Kind::Object => member(text).1,
            };
            let end = text.trim_ascii_end().len();
            *self = Slot::Open(Box::new(OpenSlot {
                head: part(text, 0..begin),
                value: Value::Text(part(text, begin..end), *height),
                tail: part(text, end..text.len()),
            }));
        }
        match self {
            Slot::Open(slot) => slot,
            Slot::Text(..) => unreachable!("it was opened above"),
        }
    }
}

impl<'a> Container<'a> {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    fn height(&mut self) -> u8 {
        let slots = &mut self.slots;
        *self.height.get_or_insert_with(|| {
            let heights = slots.iter_mut().map(|slot| match slot {
                Slot::Text(text, height) => *height.get_or_insert_with(|| height_of(text)),
                Slot::Open(slot) => slot.value.height(),
            });
            1 + heights.max().unwrap_or_default()
        })
    }

    /// The name of a member of an object.
    pub(super) fn name(&self, index: usize) -> Cow<'_, str> {
        let head = self.slots[index].head();
        name_of(&head[member_name(head)])
    }

    /// The place of the member of this name, the last one where there are several.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        (0..self.slots.len()).rev().find(|index| self.name(*index) == name)
    }

    /// All ways to what is in here lead through this, so that no height outlives a change further in.
    pub(super) fn value(&mut self, index: usize) -> &mut Value<'a> {
        self.height = None;
        &mut self.slots[index].open(self.kind).value
    }

    /// Behind the last element, with the blanks that stand before that one.
    pub(super) fn push(&mut self, value: Value<'a>) {
        let head = self.slots.last().map_or_else(Vec::new, |last| blanks(last.head()).to_vec());
        self.put(self.slots.len(), head, value);
    }

    /// Behind the last member, with the blanks that stand around the name of that one.
    pub(super) fn push_member(&mut self, name: &str, value: Value<'a>) {
        let quoted = serde_json::to_vec(name).expect("a text can be written");
        let head = match self.slots.last().map(Slot::head) {
            Some(last) => {
                let name = member_name(last);
                let colon = name.end + last[name.end..].iter().position(|byte| *byte == b':').unwrap_or_default() + 1;
                let behind = colon + blanks(&last[colon..]).len();
                [&last[..name.start], &quoted, &last[name.end..behind]].concat()
            }
            None => {
                self.end = Cow::Borrowed(b"");
                [&quoted, &b":"[..]].concat()
            }
        };
        self.put(self.slots.len(), head, value);
    }

    /// Before the element that is there now, with the blanks of that one.
    pub(super) fn insert(&mut self, index: usize, value: Value<'a>) {
        match self.slots.get(index) {
            Some(slot) => self.put(index, blanks(slot.head()).to_vec(), value),
            None => self.push(value),
        }
    }

    fn put(&mut self, index: usize, head: Vec<u8>, value: Value<'a>) {
        let slot = OpenSlot { head: head.into(), value, tail: Cow::Borrowed(b"") };
        self.height = None;
        self.slots.insert(index, Slot::Open(Box::new(slot)));
    }

    /// Takes one out. The first one's blanks go to the next, which is the first then.
    pub(super) fn remove(&mut self, index: usize) -> Value<'a> {
        self.height = None;
        let first = self.first_blanks();
        let mut removed = self.slots.remove(index);
        self.mend_blanks(&first);
        std::mem::replace(&mut removed.open(self.kind).value, Value::Text(Cow::Borrowed(b""), None))
    }

    /// Takes all out that are marked, in one pass however many they are. Of blanks as [`Container::remove`] does.
    pub(super) fn remove_all(&mut self, is_removed: &[bool]) {
        if !is_removed.contains(&true) {
            return;
        }
        self.height = None;
        let first = self.first_blanks();
        let mut marks = is_removed.iter();
        self.slots.retain(|_| marks.next() != Some(&true));
        self.mend_blanks(&first);
    }

    /// The blanks before the first part.
    fn first_blanks(&self) -> Vec<u8> {
        self.slots.first().map_or_else(Vec::new, |first| blanks(first.head()).to_vec())
    }

    /// After a removal: the first part gets the blanks that stood before the first one until then, and what is empty has none.
    fn mend_blanks(&mut self, first: &[u8]) {
        let kind = self.kind;
        match self.slots.first_mut() {
            Some(next) if blanks(next.head()) != first => {
                let next = next.open(kind);
                next.head = [first, &next.head[blanks(&next.head).len()..]].concat().into();
            }
            Some(_) => {}
            None => self.end = Cow::Borrowed(b""),
        }
    }
}

fn blanks(text: &[u8]) -> &[u8] {
    &text[..text.len() - text.trim_ascii_start().len()]
}

fn member_name(head: &[u8]) -> std::ops::Range<usize> {
    let begin = blanks(head).len();
    begin..string_end(head, begin)
}
