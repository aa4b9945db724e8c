//! The answer to Scan, which the ancestor does not know: a page of a collection, in the order of document ids.
//!
//! A page holds about 1 MiB, yet always one document if there is one, so a reader always gets on. The next page begins at
//! the last id of this one plus one. Of ids that are texts it says only that there are some. A document that is damaged,
//! or too long for a frame, stands in its place without its bytes: the page names it, and goes on behind it.
//!
//! It never orders or filters: the documents are those it was given, as they were given.

use crate::error::Error;
use crate::limits::{FRAME_BODY_BYTES_MAX, SCAN_REPLY_BYTES_MAX};
use crate::wire::read::Cursor;
use crate::wire::response::HEADER_BYTES as RESPONSE_HEADER_BYTES;

/// There are documents behind the page's last one.
const MORE: u8 = 1;
/// At the end: documents may be missing that nothing names.
const LOST: u8 = 2;
/// At the end: documents are withheld until there is space to make them durable.
const WITHHELD: u8 = 8;
/// At the end: documents follow whose ids are texts, for which this protocol has no words.
const TEXTS: u8 = 4;

/// End, count.
const HEADER_BYTES: usize = 1 + 4;

/// Document id, length.
const DOCUMENT_HEADER_BYTES: usize = 8 + 4;

/// Stands for the length of a damaged document; no document is as long.
const DAMAGED: u32 = u32::MAX;

/// Stands for the length of a document that a frame cannot hold.
const TOO_LONG: u32 = u32::MAX - 1;

/// The longest document that a page can hold, alone.
const DOCUMENT_BYTES_MAX: usize = FRAME_BODY_BYTES_MAX - RESPONSE_HEADER_BYTES - HEADER_BYTES - DOCUMENT_HEADER_BYTES;

/// What a page has of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scanned<'a> {
    /// Its bytes.
    Document(&'a [u8]),
    /// It is damaged.
    Damaged,
    /// It is there, and too long for a frame.
    TooLong,
}

/// A page, its documents borrowed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanReply<'a> {
    /// Whether there are documents behind the last one.
    pub more: bool,
    /// Whether documents may be missing from the collection that nothing names: a part of the log is lost.
    pub lost: bool,
    /// Whether documents follow whose ids are texts.
    pub texts: bool,
    /// Whether documents are withheld until there is space to make them durable.
    pub withheld: bool,
    /// The documents.
    pub documents: Vec<(u64, Scanned<'a>)>,
}

impl<'a> ScanReply<'a> {
    /// Reads the data of a response.
    ///
    /// # Errors
    /// [`crate::ErrorCode::InvalidFrame`] when it is no page.
    pub fn decode(data: &'a [u8]) -> Result<ScanReply<'a>, Error> {
        let mut cursor = Cursor::new(data);
        let end = cursor.u8()?;
        if end != MORE && end & !(LOST | TEXTS | WITHHELD) != 0 {
            return Err(cursor.invalid("`end` is neither 1 nor a sum of 2, 4 and 8"));
        }
        let has = |bit: u8| end & bit != 0;
        let (more, lost, texts, withheld) = (has(MORE), has(LOST), has(TEXTS), has(WITHHELD));
        let count = cursor.count(DOCUMENT_HEADER_BYTES)?;
        let mut documents = Vec::with_capacity(count);
        for _ in 0..count {
            let id = cursor.u64()?;
            let scanned = match cursor.u32()? {
                DAMAGED => Scanned::Damaged,
                TOO_LONG => Scanned::TooLong,
                length => Scanned::Document(cursor.bytes(usize::try_from(length).unwrap_or(usize::MAX))?),
            };
            documents.push((id, scanned));
        }
        cursor.end()?;
        Ok(ScanReply { more, lost, texts, withheld, documents })
    }
}

/// Gathers a page, document by document, until it is full.
#[derive(Debug)]
pub struct ScanReplyBuilder {
    data: Vec<u8>,
    count: u32,
    more: bool,
    lost: bool,
    texts: bool,
    withheld: bool,
}

impl Default for ScanReplyBuilder {
    fn default() -> ScanReplyBuilder {
        ScanReplyBuilder::new()
    }
}

impl ScanReplyBuilder {
    /// An empty page.
    #[must_use]
    pub fn new() -> ScanReplyBuilder {
        ScanReplyBuilder {
            data: vec![0; HEADER_BYTES],
            count: 0,
            more: false,
            lost: false,
            texts: false,
            withheld: false,
        }
    }

    /// Adds the next document, `None` when it is damaged, and answers true; or, when the page is full, notes that
    /// there are more and answers false, from then on always.
    ///
    /// # Panics
    /// Never: what a frame cannot hold has a length that can be written.
    pub fn push(&mut self, id: u64, document: Option<&[u8]>) -> bool {
        let is_too_long = document.is_some_and(|bytes| bytes.len() > DOCUMENT_BYTES_MAX);
        let bytes = document.filter(|_| !is_too_long).unwrap_or_default();
        let full = self.data.len() + DOCUMENT_HEADER_BYTES + bytes.len() > SCAN_REPLY_BYTES_MAX;
        if self.more || (full && self.count > 0) {
            self.more = true;
            return false;
        }
        let length = match document {
            None => DAMAGED,
            Some(_) if is_too_long => TOO_LONG,
            Some(bytes) => u32::try_from(bytes.len()).expect("what fits into a frame has a length that fits"),
        };
        self.data.extend_from_slice(&id.to_le_bytes());
        self.data.extend_from_slice(&length.to_le_bytes());
        self.data.extend_from_slice(bytes);
        self.count += 1;
        true
    }

    /// Notes, behind the last document, that others may be missing that nothing names.
    pub fn lost(&mut self) {
        self.lost = true;
    }

    /// Notes, behind the last document, that others follow whose ids are texts.
    pub fn texts(&mut self) {
        self.texts = true;
    }

    /// Notes, behind the last document, that others are withheld for want of space.
    pub fn withheld(&mut self) {
        self.withheld = true;
    }

    /// The data of the response.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        // A client learns of losses with the last page, when it has had all that is there.
        let bit = |bit: u8, is_set: bool| if is_set { bit } else { 0 };
        let end = bit(LOST, self.lost) | bit(TEXTS, self.texts) | bit(WITHHELD, self.withheld);
        self.data[0] = if self.more { MORE } else { end };
        self.data[1..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_at_its_limit_and_says_that_there_is_more() {
        let document = vec![b'1'; 100_000];
        let mut page = ScanReplyBuilder::new();
        let taken = (0..20).take_while(|&id| page.push(id, Some(&document))).count();
        assert_eq!(taken, 10);
        assert!(!page.push(99, Some(b"1")), "a page that is full stays so, lest a document be skipped");
        let data = page.finish();
        assert!(data.len() <= SCAN_REPLY_BYTES_MAX);
        let reply = ScanReply::decode(&data).unwrap();
        assert!(reply.more);
        assert_eq!(reply.documents.len(), 10);
        assert_eq!(reply.documents[9], (9, Scanned::Document(&document)));
    }

    #[test]
    fn a_document_larger_than_a_page_is_a_page_of_its_own() {
        let large = vec![b'1'; SCAN_REPLY_BYTES_MAX + 1];
        let mut page = ScanReplyBuilder::new();
        assert!(page.push(0, Some(&large)));
        assert!(!page.push(1, Some(b"1")));
        let data = page.finish();
        let reply = ScanReply::decode(&data).unwrap();
        assert_eq!((reply.more, reply.documents.len()), (true, 1));
    }

    #[test]
    fn an_empty_page_is_five_bytes() {
        assert_eq!(ScanReplyBuilder::new().finish(), [0; 5]);
        assert_eq!(
            ScanReply::decode(&[0; 5]).unwrap(),
            ScanReply { more: false, lost: false, texts: false, withheld: false, documents: Vec::new() }
        );
    }

    #[test]
    fn a_damaged_document_is_named_and_the_page_goes_on_behind_it() {
        let mut page = ScanReplyBuilder::new();
        let documents = [(1, Some(&b"1"[..])), (2, None), (3, Some(b"3"))];
        for (id, document) in documents {
            assert!(page.push(id, document));
        }
        page.lost();
        page.texts();
        page.withheld();
        let data = page.finish();
        assert_eq!(data[HEADER_BYTES + 13 + 8..][..4], [0xff; 4]);
        let documents = vec![(1, Scanned::Document(b"1")), (2, Scanned::Damaged), (3, Scanned::Document(b"3"))];
        let expected = ScanReply { more: false, lost: true, texts: true, withheld: true, documents };
        assert_eq!(ScanReply::decode(&data).unwrap(), expected);
    }

    /// Such a document once made its page an error, and kept every document behind it from a reader.
    #[test]
    fn a_document_too_long_for_a_frame_is_named_and_the_page_goes_on_behind_it() {
        let mut page = ScanReplyBuilder::new();
        let long = vec![b'1'; DOCUMENT_BYTES_MAX + 1];
        for (id, document) in [(1, &b"1"[..]), (2, &long), (3, b"3")] {
            assert!(page.push(id, Some(document)));
        }
        let data = page.finish();
        let documents = vec![(1, Scanned::Document(b"1")), (2, Scanned::TooLong), (3, Scanned::Document(b"3"))];
        let expected = ScanReply { more: false, lost: false, texts: false, withheld: false, documents };
        assert_eq!(ScanReply::decode(&data).unwrap(), expected);
        // The longest that fits, fits.
        let mut page = ScanReplyBuilder::new();
        assert!(page.push(1, Some(&long[1..])));
        let mut frame = Vec::new();
        crate::wire::encode_ok(1, &page.finish(), &mut frame);
        assert_eq!(frame.len(), 4 + FRAME_BODY_BYTES_MAX);
        let response = crate::wire::WireResponse::decode(&frame[4..]).unwrap();
        let reply = ScanReply::decode(response.outcome().unwrap()).unwrap();
        assert_eq!(reply.documents, [(1, Scanned::Document(&long[1..]))]);
    }
}
