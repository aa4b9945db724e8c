//! A file of documents cut into documents, exactly as they stand there.
//!
//! Two forms: one document a line, or one JSON array. The array is cut at its top level by a scanner that
//! knows strings, brackets and commas and nothing else; whether a piece is JSON, the validator decides. A
//! piece never grows beyond what a document may be, whatever the file holds.

use std::io::{self, BufRead};

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{Error, ErrorCode};

/// How a file holds its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One a line; blank lines are skipped.
    Lines,
    /// The elements of one array.
    Array,
}

/// One document and where it stood.
#[derive(Debug, PartialEq)]
pub(crate) struct Piece {
    /// The number of its line, or of its element, from 1.
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Cuts a file into pieces.
pub(crate) struct Splitter<R> {
    reader: R,
    form: Form,
    number: u64,
    /// Arrays only: whether the opening bracket is behind us, and the closing one.
    begun: bool,
    ended: bool,
}

/// Looks at the first byte that is not blank: `[` begins an array, all else is lines.
pub(crate) fn detect(reader: &mut impl BufRead) -> io::Result<Form> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Form::Lines);
        }
        let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if let Some(first) = buffer.get(blanks) {
            // The blanks stay where they are: they hold line ends, which are counted.
            return Ok(if *first == b'[' { Form::Array } else { Form::Lines });
        }
        // Nothing but blanks fills a whole buffer; no document is lost with them, only a line number.
        reader.consume(blanks);
    }
}

impl<R: BufRead> Splitter<R> {
    pub(crate) fn new(reader: R, form: Form) -> Splitter<R> {
        Splitter { reader, form, number: 0, begun: false, ended: false }
    }

    /// `line 7` or `element 7`.
    pub(crate) fn place(&self, number: u64) -> String {
        match self.form {
            Form::Lines => format!("line {number}"),
            Form::Array => format!("element {number}"),
        }
    }

    /// The piece that was being read when [`Splitter::next`] failed.
    pub(crate) fn current(&self) -> u64 {
        self.number
    }

    /// The next piece; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Error> {
        match self.form {
            Form::Lines => self.next_line(),
            Form::Array => self.next_element(),
        }
    }

    fn next_line(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            self.number += 1;
            let mut bytes = Vec::new();
            let mut ended = false;
            let mut any = false;
            while !ended {
                let buffer = self.reader.fill_buf().map_err(|error| unreadable(&error))?;
                if buffer.is_empty() {
                    break;
                }
                any = true;
                let end = buffer.iter().position(|byte| *byte == b'\n');
                let taken = end.unwrap_or(buffer.len());
                bytes.extend_from_slice(&buffer[..taken]);
                ended = end.is_some();
                self.reader.consume(taken + usize::from(ended));
                check_length(bytes.len())?;
            }
            if !any {
                return Ok(None);
            }
            let document = bytes.trim_ascii();
            if !document.is_empty() {
                return Ok(Some(Piece { number: self.number, bytes: document.to_vec() }));
            }
        }
    }

    fn next_element(&mut self) -> Result<Option<Piece>, Error> {
        if self.ended {
            return self.end_of_file();
        }
        if !self.begun {
            let opening = self.skip_blanks()?;
            debug_assert_eq!(opening, Some(b'['), "this form was detected by its bracket");
            self.reader.consume(1);
            self.begun = true;
        }
        self.number += 1;
        let mut bytes = Vec::new();
        let mut scan = Scan::default();
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return Err(invalid("the file ends within the array"));
            }
            let end = buffer.iter().position(|byte| scan.ends_at(*byte));
            bytes.extend_from_slice(&buffer[..end.unwrap_or(buffer.len())]);
            check_length(bytes.len())?;
            let Some(end) = end else {
                let taken = buffer.len();
                self.reader.consume(taken);
                continue;
            };
            let closing = buffer[end];
            self.reader.consume(end + 1);
            self.ended = closing == b']';
            let document = bytes.trim_ascii();
            if !document.is_empty() {
                return Ok(Some(Piece { number: self.number, bytes: document.to_vec() }));
            }
            // Nothing at all is legal in one place: between the two brackets of an empty array.
            if self.ended && self.number == 1 {
                return self.end_of_file();
            }
            return Err(invalid("an element is missing"));
        }
    }

    fn end_of_file(&mut self) -> Result<Option<Piece>, Error> {
        match self.skip_blanks()? {
            None => Ok(None),
            Some(_) => Err(invalid("something follows the array; --ndjson takes one document a line")),
        }
    }

    fn skip_blanks(&mut self) -> Result<Option<u8>, Error> {
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let blanks = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let first = buffer.get(blanks).copied();
            self.reader.consume(blanks);
            if first.is_some() {
                return Ok(first);
            }
        }
    }
}

/// What it takes to find the end of an element.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Whether this byte ends the element; else it belongs to it.
    fn ends_at(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'[' | b'{' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b']' | b'}' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

/// Blanks around a document are allowed for generously; they are not part of it.
fn check_length(bytes: usize) -> Result<(), Error> {
    if bytes <= 2 * DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(ErrorCode::PayloadTooLarge).detail(format!("at most {DOCUMENT_BYTES_MAX} bytes")))
}

fn invalid(detail: &str) -> Error {
    Error::new(ErrorCode::InvalidJson).detail(detail)
}

fn unreadable(error: &io::Error) -> Error {
    Error::new(ErrorCode::FileRead).detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn pieces(file: &str, capacity: usize) -> Result<Vec<(u64, String)>, Error> {
        let mut reader = BufReader::with_capacity(capacity, file.as_bytes());
        let form = detect(&mut reader).unwrap();
        let mut splitter = Splitter::new(reader, form);
        let mut pieces = Vec::new();
        while let Some(piece) = splitter.next()? {
            pieces.push((piece.number, String::from_utf8(piece.bytes).unwrap()));
        }
        Ok(pieces)
    }

    #[test]
    fn elements_are_cut_exactly_however_the_file_is_read() {
        let file = "\n [ {\"a\" : \"],}\\\"\\\\\"} ,[1,[2]],\"x,y\" , 1.0e2\n] \n";
        let expected = ["{\"a\" : \"],}\\\"\\\\\"}", "[1,[2]]", "\"x,y\"", "1.0e2"];
        for capacity in 1..=file.len() {
            let texts: Vec<String> = pieces(file, capacity).unwrap().into_iter().map(|(_, text)| text).collect();
            assert_eq!(texts, expected, "{capacity}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let got = pieces("{}\r\n\n  1 \n\"x\"", 64).unwrap();
        let expected = [(1, "{}"), (3, "1"), (4, "\"x\"")].map(|(number, text)| (number, text.to_owned()));
        assert_eq!(got, expected);
    }

    #[test]
    fn an_array_ends_where_it_ends() {
        assert_eq!(pieces("[]", 1).unwrap(), []);
        assert_eq!(pieces("", 1).unwrap(), []);
        for broken in ["[1", "[1,", "[1,]", "[,1]", "[1] 2", "[\"x]"] {
            assert_eq!(pieces(broken, 3).unwrap_err().code(), ErrorCode::InvalidJson, "{broken}");
        }
    }
}
