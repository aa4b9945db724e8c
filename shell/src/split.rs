//! A file of documents cut into pieces, exactly as they stand there.
//!
//! Two forms: JSON values, each beginning on a line of its own, or one JSON array. A value goes on over further lines
//! for as long as a bracket is open. Both are cut by a scanner that knows strings, brackets and commas and nothing
//! else; whether a piece is JSON, the validator decides. A piece never grows beyond what a document may be, whatever
//! the file holds, and one that cannot become JSON any more ends where a line begins as it did: the documents behind it count.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead};

use docdb_protocol::limits::DOCUMENT_BYTES_MAX;
use docdb_protocol::{Error, ErrorCode, json};

use crate::entry;

/// A value that is still open at the end of a line is looked at by the validator at this size first, and again whenever
/// it has doubled, so that a bracket nobody closes is found early and looking costs no more than reading.
pub(crate) const LOOK_AT_BYTES: usize = 4096;

/// How a file holds its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Values, at most one begins on a line; blank lines are skipped.
    Values,
    /// The elements of one array.
    Array,
}

/// Where a piece begins, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    /// In an array only.
    element: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            None => write!(formatter, "line {}", self.line),
            Some(element) => write!(formatter, "element {element} (line {})", self.line),
        }
    }
}

/// What may be one document, without the blanks around it.
#[derive(Debug, PartialEq)]
pub(crate) struct Piece {
    pub(crate) place: Place,
    pub(crate) bytes: Vec<u8>,
}

/// Cuts a file into pieces.
pub(crate) struct Splitter<R> {
    reader: R,
    form: Form,
    /// Of the piece that was read last.
    place: Place,
    /// The line that is being read.
    line: u64,
    /// Arrays only: whether the opening bracket was read, and the closing one.
    begun: bool,
    ended: bool,
    /// Lines that were read along with a document that is none: they are read again.
    again: VecDeque<u8>,
}

impl<R: BufRead> Splitter<R> {
    /// Takes the form as it is given, or else looks at the first byte that is not blank: `[` begins an array, all else
    /// is values.
    ///
    /// # Errors
    /// [`ErrorCode::FileRead`].
    pub(crate) fn new(reader: R, form: Option<Form>) -> Result<Splitter<R>, Error> {
        let mut splitter = Splitter {
            reader,
            form: Form::Values,
            place: Place::default(),
            line: 1,
            begun: false,
            ended: false,
            again: VecDeque::new(),
        };
        let detected = if splitter.skip_blanks()? == Some(b'[') { Form::Array } else { Form::Values };
        splitter.form = form.unwrap_or(detected);
        Ok(splitter)
    }

    /// The piece that was being read when [`Splitter::next`] failed.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    pub(crate) fn is_array(&self) -> bool {
        self.form == Form::Array
    }

    /// The next piece; `None` behind the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, Error> {
        match self.form {
            Form::Values => self.next_value(),
            Form::Array => self.next_element(),
        }
    }

    fn next_value(&mut self) -> Result<Option<Piece>, Error> {
        loop {
            self.place = Place { line: self.line, element: None };
            let mut bytes = Vec::new();
            let mut scan = Scan::default();
            let mut look_at = LOOK_AT_BYTES;
            let mut more = self.take_line(&mut bytes, &mut scan)?;
            // A string never holds a raw line end, so one that is open can never be closed.
            while more && scan.depth > 0 && !scan.in_string {
                if bytes.len() >= look_at {
                    look_at = 2 * bytes.len();
                    // The document of an exported line is looked at by itself: it may nest as deep as a document may.
                    let document = entry::head_of(&bytes).map_or(bytes.as_slice(), |(_, _, document)| document);
                    if cannot_go_on(&bytes) && cannot_go_on(document) {
                        break;
                    }
                }
                more = self.take_line(&mut bytes, &mut scan)?;
            }
            // Documents behind one that was not closed may be whole.
            if (scan.depth > 0 || scan.in_string)
                && let Some(end) = next_beginning(&bytes)
            {
                let behind = bytes.split_off(end);
                self.line = self.place.line + line_ends(&bytes);
                behind.into_iter().rev().for_each(|byte| self.again.push_front(byte));
            }
            let document = bytes.trim_ascii();
            if !document.is_empty() {
                return Ok(Some(Piece { place: self.place, bytes: document.to_vec() }));
            }
            if !more && self.again.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Appends a line with its end; answers whether it had one.
    fn take_line(&mut self, bytes: &mut Vec<u8>, scan: &mut Scan) -> Result<bool, Error> {
        while let Some(byte) = self.again.pop_front() {
            bytes.push(byte);
            if byte == b'\n' {
                self.line += 1;
                return Ok(true);
            }
            let _ = scan.ends_at(byte);
        }
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(buffer.len(), |end| end + 1);
            // In the form of values nothing but the end of a line ends a piece.
            for byte in &buffer[..taken - usize::from(end.is_some())] {
                let _ = scan.ends_at(*byte);
            }
            bytes.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken);
            check_length(bytes.len())?;
            if end.is_some() {
                self.line += 1;
                return Ok(true);
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
        let element = self.place.element.unwrap_or(0) + 1;
        self.place = Place { line: self.line, element: Some(element) };
        let _ = self.skip_blanks()?;
        self.place.line = self.line;
        let mut bytes = Vec::new();
        let mut scan = Scan::default();
        loop {
            let buffer = self.reader.fill_buf().map_err(|error| unreadable(&error))?;
            if buffer.is_empty() {
                return Err(invalid("the file ends within the array"));
            }
            let end = buffer.iter().position(|byte| scan.ends_at(*byte));
            let taken = &buffer[..end.unwrap_or(buffer.len())];
            self.line += line_ends(taken);
            bytes.extend_from_slice(taken);
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
                return Ok(Some(Piece { place: self.place, bytes: document.to_vec() }));
            }
            // Nothing at all is legal in one place: between the two brackets of an empty array.
            if self.ended && element == 1 {
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
            self.line += line_ends(&buffer[..blanks]);
            self.reader.consume(blanks);
            if first.is_some() {
                return Ok(first);
            }
        }
    }
}

/// How many line ends there are.
pub(crate) fn line_ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Where another document may begin in lines of which the first one begins a document: at a line that begins as that one does, with the same
/// blanks and byte. What stands within a document mostly has other blanks in front, and is never taken for one of its own.
fn next_beginning(lines: &[u8]) -> Option<usize> {
    let blanks = lines.len() - lines.trim_ascii_start().len();
    let beginning = lines.get(..=blanks)?;
    let ends = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    ends.filter(|at| *at > blanks).find(|at| lines[*at..].starts_with(beginning))
}

/// Whether there is a byte that cannot be, so that nothing behind it makes a document of this.
fn cannot_go_on(bytes: &[u8]) -> bool {
    json::validate(bytes).is_err_and(|error| error.context().and_then(|at| at.offset) != Some(bytes.len() as u64))
}

/// What it takes to find the end of a value.
#[derive(Default)]
pub(crate) struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Whether a bracket is open, and no string.
    pub(crate) fn is_open(&self) -> bool {
        self.depth > 0 && !self.in_string
    }

    /// Whether this byte ends the element of an array; else it belongs to it.
    pub(crate) fn ends_at(&mut self, byte: u8) -> bool {
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
        let mut splitter = Splitter::new(BufReader::with_capacity(capacity, file.as_bytes()), None)?;
        let mut pieces = Vec::new();
        while let Some(piece) = splitter.next()? {
            pieces.push((piece.place.line, String::from_utf8(piece.bytes).unwrap()));
        }
        Ok(pieces)
    }

    fn owned<const N: usize>(pieces: [(u64, &str); N]) -> [(u64, String); N] {
        pieces.map(|(line, text)| (line, text.to_owned()))
    }

    #[test]
    fn elements_are_cut_exactly_however_the_file_is_read() {
        let file = "\n [ {\"a\" : \"],}\\\"\\\\\"} ,[1,\n[2]],\"x,y\" , 1.0e2\n,\n3] \n";
        let expected =
            owned([(2, "{\"a\" : \"],}\\\"\\\\\"}"), (2, "[1,\n[2]]"), (3, "\"x,y\""), (3, "1.0e2"), (5, "3")]);
        for capacity in 1..=file.len() {
            assert_eq!(pieces(file, capacity).unwrap(), expected, "{capacity}");
        }
    }

    #[test]
    fn lines_keep_their_numbers() {
        let expected = owned([(1, "{}"), (3, "1"), (4, "\"x\"")]);
        assert_eq!(pieces("{}\r\n\n  1 \n\"x\"", 64).unwrap(), expected);
    }

    #[test]
    fn a_value_goes_on_over_lines_while_a_bracket_is_open() {
        let file = "{\"a\" :\n \"}\\\"{\",\n\n\"b\": [\r\n]}\n 2\n{\n}\n";
        let expected = owned([(1, "{\"a\" :\n \"}\\\"{\",\n\n\"b\": [\r\n]}"), (6, "2"), (7, "{\n}")]);
        for capacity in 1..=file.len() {
            assert_eq!(pieces(file, capacity).unwrap(), expected, "{capacity}");
        }
    }

    #[test]
    fn a_value_that_is_never_closed_takes_no_document_along() {
        let file = format!("{{\"a\":\n{}", "{}\n".repeat(100_000));
        let got = pieces(&file, 1024).unwrap();
        assert_eq!((got.len(), &got[0], &got[1]), (100_001, &(1, "{\"a\":".to_owned()), &(2, "{}".to_owned())));
        // Parts of the broken one are no documents, wherever they stand.
        let file = "{\"a\": [1,\n2\n {\"b\":3}\n{\"c\": \"x\n1\n{}";
        let cut = owned([(1, "{\"a\": [1,\n2\n {\"b\":3}"), (4, "{\"c\": \"x"), (5, "1"), (6, "{}")]);
        for capacity in 1..=file.len() {
            assert_eq!(pieces(file, capacity).unwrap(), cut, "{capacity}");
        }
        assert_eq!(pieces("[1,\n2\n[3]\n", 64).unwrap_err().code(), ErrorCode::InvalidJson, "an array is one");
        assert_eq!(pieces("\"x\n1\n", 64).unwrap(), owned([(1, "\"x"), (2, "1")]), "a string ends with its line");
        assert_eq!(pieces("}\n1\n{", 64).unwrap(), owned([(1, "}"), (2, "1"), (3, "{")]));
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
