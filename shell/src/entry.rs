//! An exported document: `{"id":7,"doc":DOCUMENT}` or `{"id":"a text","doc":DOCUMENT}`, with the document's bytes exactly as they are stored.
//!
//! What was exported is read back to the byte, blanks around the document included: where the head stands as it was
//! written here, all between it and the last brace is the document. A line that somebody wrote or reordered by hand is
//! taken as well, if it has these two members and no other; the document is then without the blanks around it.
//!
//! Of a database with several collections each document says its own: `{"collection":"films","id":7,"doc":DOCUMENT}`. The last
//! line of an export, [`End`], says how much there was.
//!
//! Nothing is ever re-encoded.

use std::collections::BTreeMap;

use docdb_protocol::{CollectionName, Document, DocumentId, Error, ErrorCode};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What one value of a file is.
#[derive(Debug, PartialEq)]
pub(crate) enum Entry {
    /// A document, its id, and its collection where that is said.
    Exported(Option<CollectionName>, DocumentId, Document),
    /// How much there was before.
    End(End),
    /// A document alone.
    Plain(Document),
}

/// The last line of an export: `{"exported":{"documents":3,"collections":{"films":3},"crc32":"0badcafe"}}`. The checksum is that of
/// all lines before it, line ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) documents: u64,
    pub(crate) collections: BTreeMap<String, u64>,
    pub(crate) crc32: u32,
}

impl End {
    pub(crate) fn line(&self) -> String {
        let collections = serde_json::to_string(&self.collections).expect("names and numbers can be written");
        let (documents, crc32) = (self.documents, self.crc32);
        format!(
            "{{\"exported\":{{\"documents\":{documents},\"collections\":{collections},\"crc32\":\"{crc32:08x}\"}}}}\n"
        )
    }

    /// Only as it is written above: what looks otherwise is a document.
    fn parse(bytes: &[u8]) -> Option<End> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Line {
            exported: Figures,
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Figures {
            documents: u64,
            collections: BTreeMap<String, u64>,
            crc32: String,
        }
        if !bytes.starts_with(b"{\"exported\":{\"documents\":") {
            return None;
        }
        let Line { exported: Figures { documents, collections, crc32 } } = serde_json::from_slice(bytes).ok()?;
        Some(End { documents, collections, crc32: u32::from_str_radix(&crc32, 16).ok()? })
    }
}

/// What stands in front of an exported document.
pub(crate) fn head(collection: Option<&CollectionName>, id: &DocumentId) -> String {
    match collection {
        None => format!("{HEAD}{}{MIDDLE}", json(id)),
        Some(name) => format!("{COLLECTION}{}{BEHIND}{}{MIDDLE}", serde_json::Value::from(name.as_str()), json(id)),
    }
}

/// An id as JSON has it: a number, or a text in quotation marks.
pub(crate) fn json(id: &DocumentId) -> String {
    match id {
        DocumentId::Number(number) => number.to_string(),
        DocumentId::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
    }
}

/// What stands behind it.
pub(crate) const TAIL: &[u8] = b"}";

const HEAD: &str = "{\"id\":";
const COLLECTION: &str = "{\"collection\":";
const BEHIND: &str = ",\"id\":";
const MIDDLE: &str = ",\"doc\":";

/// The collection where it is said, the id, and the bytes of or behind it.
type Parts<'bytes> = (Option<CollectionName>, DocumentId, &'bytes [u8]);

/// The collection and id of a head as [`head`] writes it, and all that follows.
pub(crate) fn head_of(bytes: &[u8]) -> Option<Parts<'_>> {
    let (collection, rest) = match bytes.strip_prefix(COLLECTION.as_bytes()) {
        Some(rest) => {
            let (name, rest) = string_of(rest)?;
            (Some(CollectionName::parse(&name).ok()?), rest.strip_prefix(BEHIND.as_bytes())?)
        }
        None => (None, bytes.strip_prefix(HEAD.as_bytes())?),
    };
    let (id, rest) = if rest.starts_with(b"\"") { text_of(rest)? } else { number_of(rest)? };
    Some((collection, id, rest.strip_prefix(MIDDLE.as_bytes())?))
}

fn number_of(bytes: &[u8]) -> Option<(DocumentId, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(digits);
    // A number that JSON would not take, 007, is no id either.
    let canonical = digits == b"0" || !digits.starts_with(b"0");
    let number = std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()?;
    Some((DocumentId::Number(number), rest))
}

fn text_of(bytes: &[u8]) -> Option<(DocumentId, &[u8])> {
    let (text, rest) = string_of(bytes)?;
    Some((DocumentId::text(&text).ok()?, rest))
}

fn string_of(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut texts = serde_json::Deserializer::from_slice(bytes).into_iter::<String>();
    let text = texts.next()?.ok()?;
    Some((text, &bytes[texts.byte_offset()..]))
}

/// Reads one value of a file.
///
/// # Errors
/// Of [`Document::parse`], with the offset in `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Result<Entry, Error> {
    if let Some(end) = End::parse(bytes) {
        return Ok(Entry::End(end));
    }
    if let Some((collection, id, rest)) = head_of(bytes)
        && let Some(document) = rest.strip_suffix(TAIL)
        && let Ok(document) = Document::parse(document)
    {
        return Ok(Entry::Exported(collection, id, document));
    }
    let whole = Document::parse(bytes)?;
    match by_hand(bytes)? {
        Some((collection, id, document)) => Ok(Entry::Exported(collection, id, Document::parse(document)?)),
        None => Ok(Entry::Plain(whole)),
    }
}

/// The members in any order, with any blanks, and nothing else. `None` for another value.
///
/// # Errors
/// Where it has these members, and the id or the collection breaks a rule: taken for a document, it would be stored under another id.
fn by_hand(bytes: &[u8]) -> Result<Option<Parts<'_>>, Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Members<'a> {
        collection: Option<String>,
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow)]
        doc: &'a RawValue,
    }
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(None);
    }
    let Ok(members) = serde_json::from_slice::<Members<'_>>(bytes) else { return Ok(None) };
    let Some(id) = id_of(members.id.get()).map_err(|error| plain_takes_it(&error))? else { return Ok(None) };
    let collection = members.collection.map(|name| CollectionName::parse(&name)).transpose();
    let collection = collection.map_err(|error| plain_takes_it(&error))?;
    Ok(Some((collection, id, members.doc.get().as_bytes())))
}

/// The id that is written so; `None` for what is neither number nor text.
fn id_of(json: &str) -> Result<Option<DocumentId>, Error> {
    if json.starts_with('"') {
        let Ok(text) = serde_json::from_str::<String>(json) else { return Ok(None) };
        return DocumentId::text(&text).map(Some);
    }
    if !json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Ok(None);
    }
    let number = json.parse().map_err(|_| {
        let detail = format!("{json} is no id: a number is whole, from 0 to {}", u64::MAX);
        Error::new(ErrorCode::InvalidDocumentId).detail(detail)
    })?;
    Ok(Some(DocumentId::Number(number)))
}

fn plain_takes_it(error: &Error) -> Error {
    let why = error.context().and_then(|context| context.detail.clone()).unwrap_or_else(|| error.to_string());
    Error::new(error.code()).detail(format!("{why}; --plain takes the whole for a document"))
}

#[cfg(test)]
mod tests {
    use docdb_protocol::limits::{DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX};

    use super::*;

    fn exported(id: u64, document: &str) -> Vec<u8> {
        [head(None, &DocumentId::Number(id)).as_bytes(), document.as_bytes(), TAIL].concat()
    }

    #[test]
    fn what_was_exported_is_read_back_to_the_byte() {
        let deep = "[".repeat(JSON_DEPTH_MAX) + &"]".repeat(JSON_DEPTH_MAX);
        let large = format!("\"{}\"", "x".repeat(DOCUMENT_BYTES_MAX - 2));
        let texts = ["{}", " {\n\"a\" : 1.0e400,\t\"a\":2}\r\n ", "\"}\"", "1", deep.as_str(), large.as_str()];
        for (id, text) in [0, 1, 7, 1 << 53, u64::MAX, 20].into_iter().zip(texts) {
            let Entry::Exported(None, got, document) = parse(&exported(id, text)).unwrap() else { panic!("{id}") };
            assert_eq!(got, DocumentId::Number(id));
            assert!(document.bytes() == text.as_bytes(), "{id}");
        }
    }

    #[test]
    fn an_id_that_is_a_text_is_read_back() {
        for text in ["7", "a \"b\" \\ ä", "\u{10ffff}", " "] {
            let id = DocumentId::text(text).unwrap();
            let line = [head(None, &id).as_bytes(), b" {} ", TAIL].concat();
            assert_eq!(parse(&line).unwrap(), Entry::Exported(None, id, Document::parse(b" {} ").unwrap()));
        }
        let by_hand = parse(br#"{"doc": 1, "id": "\u0061"}"#).unwrap();
        assert_eq!(by_hand, Entry::Exported(None, DocumentId::text("a").unwrap(), Document::parse(b"1").unwrap()));
    }

    #[test]
    fn a_collection_and_the_last_line_are_read_back() {
        let (name, id) = (CollectionName::parse("old \"ones\"").unwrap(), DocumentId::Number(7));
        let line = [head(Some(&name), &id).as_bytes(), b" {} ", TAIL].concat();
        let expected = Entry::Exported(Some(name), id, Document::parse(b" {} ").unwrap());
        assert_eq!(parse(&line).unwrap(), expected);
        let end = End { documents: 3, collections: [("a".to_owned(), 3)].into(), crc32: 7 };
        assert_eq!(parse(end.line().trim_ascii().as_bytes()).unwrap(), Entry::End(end));
        assert!(matches!(parse(b"{\"exported\":{\"documents\":3}}").unwrap(), Entry::Plain(_)));
    }

    #[test]
    fn what_was_written_by_hand_is_taken_too() {
        let got = parse(b"{ \"doc\" : { \"a\": 1.0 } , \"id\" : 7 }").unwrap();
        assert_eq!(got, Entry::Exported(None, DocumentId::Number(7), Document::parse(b"{ \"a\": 1.0 }").unwrap()));
    }

    #[test]
    fn an_id_that_breaks_a_rule_is_no_document() {
        for text in [
            r#"{"id":-1,"doc":{}}"#,
            r#"{"id":1.0,"doc":{}}"#,
            r#"{"id":18446744073709551616,"doc":{}}"#,
            r#"{"id":"","doc":{}}"#,
            r#"{"id":"a\u0001","doc":{}}"#,
            r#"{"collection":"a.b","id":1,"doc":{}}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.ends_with("; --plain takes the whole for a document"), "{text}: {error}");
        }
    }

    #[test]
    fn all_else_is_a_document_of_its_own() {
        for text in [
            r#"{"id":1,"doc":{},"more":2}"#,
            r#"{"id":1,"doc":{},"doc":2}"#,
            r#"{"id":null,"doc":{}}"#,
            r#"{"id":1}"#,
            r#"{"doc":1}"#,
            "[1,{}]",
            "7",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                Entry::Plain(Document::parse(text.as_bytes()).unwrap()),
                "{text}"
            );
        }
        for broken in [r#"{"id":01,"doc":{}}"#, r#"{"id":1,"doc":{}"#, r#"{"id":1,"doc":}"#, r#"{"id":1,"doc":{a}}"#] {
            parse(broken.as_bytes()).unwrap_err();
        }
    }
}
