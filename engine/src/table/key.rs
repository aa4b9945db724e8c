//! Keys: a document within its database, as bytes whose order is the order of documents.
//!
//! ```text
//! collection, u32 big-endian | 1 | number, u64 big-endian
//! collection, u32 big-endian | 2 | bytes of the text
//! ```
//!
//! Invariants: a [`Key`] is at most [`KEY_BYTES_MAX`] long. Two keys compare as their bytes do, and so as
//! (collection, id) does. Other tags are reserved for later: [`KeyParts::decode`] refuses them.
//!
//! A key that is only compared need not decode: bounds of scans and separators of an index are any bytes.

use std::fmt;
use std::ops::Deref;

use docdb_protocol::limits::DOCUMENT_ID_BYTES_MAX;
use docdb_protocol::{CollectionId, DocumentId};

/// The longest key: a collection, a tag and the longest text.
pub const KEY_BYTES_MAX: usize = COLLECTION_BYTES + 1 + DOCUMENT_ID_BYTES_MAX;

/// A bound may stand directly behind the longest key: one byte more.
const BOUND_BYTES_MAX: usize = KEY_BYTES_MAX + 1;

const COLLECTION_BYTES: usize = 4;
const NUMBER_TAG: u8 = 1;
const TEXT_TAG: u8 = 2;

/// The bytes of a key, or of a bound between keys, held in place: making one allocates nothing.
#[derive(Clone, Copy)]
pub struct Key {
    bytes: [u8; BOUND_BYTES_MAX],
    length: u16,
}

impl Key {
    /// The key of a document.
    #[must_use]
    pub fn new(collection: CollectionId, id: &DocumentId) -> Key {
        let mut key = Key::first_of(collection);
        match id {
            DocumentId::Number(number) => {
                key.push(&[NUMBER_TAG]);
                key.push(&number.to_be_bytes());
            }
            DocumentId::Text(text) => {
                key.push(&[TEXT_TAG]);
                key.push(text.as_str().as_bytes());
            }
        }
        key
    }

    /// A bound at or below every key of a collection and above every key of the ones before it.
    #[must_use]
    pub fn first_of(collection: CollectionId) -> Key {
        let mut key = Key { bytes: [0; BOUND_BYTES_MAX], length: 0 };
        key.push(&collection.0.to_be_bytes());
        key
    }

    /// The bound directly behind a key: no key is between the two. `None` where these bytes are longer than a key.
    #[must_use]
    pub fn directly_behind(key: &[u8]) -> Option<Key> {
        let mut bound = Key::from_bytes(key).filter(|_| key.len() <= KEY_BYTES_MAX)?;
        bound.push(&[0]);
        Some(bound)
    }

    /// These bytes, whatever they are; `None` where they are more than any bound has.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Key> {
        let mut key = Key { bytes: [0; BOUND_BYTES_MAX], length: 0 };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        key.length = u16::try_from(bytes.len()).ok()?;
        Some(key)
    }

    fn push(&mut self, bytes: &[u8]) {
        let at = usize::from(self.length);
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.length += u16::try_from(bytes.len()).expect("an id is at most 255 bytes long");
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        (**self).cmp(&**other)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KeyParts::decode(self) {
            Some(parts) => write!(formatter, "{}/{:?}", parts.collection, parts.id),
            None => write!(formatter, "{:02x?}", &**self),
        }
    }
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyParts<'key> {
    /// The collection.
    pub collection: CollectionId,
    /// The document within it.
    pub id: IdParts<'key>,
}

/// A document's id that lies within a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdParts<'key> {
    /// A number.
    Number(u64),
    /// A text that has passed the rules for texts.
    Text(&'key str),
}

impl<'key> KeyParts<'key> {
    /// Reads a key; `None` where the bytes are none: another tag, another length, a text that breaks a rule, or the collection
    /// that is never given.
    #[must_use]
    pub fn decode(key: &'key [u8]) -> Option<KeyParts<'key>> {
        let (collection, rest) = key.split_first_chunk()?;
        let collection = CollectionId(u32::from_be_bytes(*collection));
        let (tag, id) = rest.split_first()?;
        let id = match *tag {
            NUMBER_TAG => IdParts::Number(u64::from_be_bytes(id.try_into().ok()?)),
            TEXT_TAG => IdParts::Text(text(id)?),
            _ => return None,
        };
        (collection.0 < u32::MAX).then_some(KeyParts { collection, id })
    }

    /// The id as the rest of the product has it. A text is copied.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        match self.id {
            IdParts::Number(number) => DocumentId::Number(number),
            IdParts::Text(text) => DocumentId::text(text).expect("the text has passed the rules when it was decoded"),
        }
    }
}

/// A text that may be an id.
fn text(bytes: &[u8]) -> Option<&str> {
    let fits = (1..=DOCUMENT_ID_BYTES_MAX).contains(&bytes.len());
    let text = std::str::from_utf8(bytes).ok().filter(|_| fits)?;
    (!text.contains(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_order_of_documents() {
        let texts = [" ", "10", "9", "a", "a ", "ä"].map(|text| DocumentId::text(text).unwrap());
        let numbers = [0, 1, 255, 256, u64::MAX].map(DocumentId::Number);
        let ids = numbers.into_iter().chain(texts).collect::<Vec<_>>();
        let collections = [0, 1, 256, u32::MAX - 1].map(CollectionId);
        let keys: Vec<Key> =
            collections.iter().flat_map(|collection| ids.iter().map(|id| Key::new(*collection, id))).collect();
        assert!(keys.is_sorted_by(|one, next| one < next));
        for (collection, chunk) in collections.iter().zip(keys.chunks(ids.len())) {
            for (key, id) in chunk.iter().zip(&ids) {
                let parts = KeyParts::decode(key).expect("it is a key");
                assert_eq!((parts.collection, &parts.document_id()), (*collection, id));
                assert!(Key::first_of(*collection) < *key);
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let key = Key::new(CollectionId(7), &DocumentId::Number(1));
        for cut in 0..key.len() {
            assert_eq!(KeyParts::decode(&key[..cut]), None);
        }
        assert_eq!(KeyParts::decode(b"\0\0\0\x07\x01\0\0\0\0\0\0\0\x01\0"), None, "too long");
        assert_eq!(KeyParts::decode(b"\0\0\0\x07\x03\0\0\0\0\0\0\0\x01"), None, "a tag of later");
        assert_eq!(KeyParts::decode(b"\0\0\0\x07\x02"), None, "a text has one byte at least");
        assert_eq!(KeyParts::decode(b"\0\0\0\x07\x02a\n"), None, "a control character");
        assert_eq!(KeyParts::decode(b"\0\0\0\x07\x02\xff"), None, "no UTF-8");
        assert_eq!(KeyParts::decode(b"\xff\xff\xff\xff\x02a"), None, "a collection that is never given");
        assert_eq!(Key::from_bytes(&[0; KEY_BYTES_MAX + 2]), None);
        assert_eq!(Key::from_bytes(&key), Some(key));
    }
}
