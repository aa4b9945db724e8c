//! One command as one object, for programs:
//! `{"command":".read 1","results":[{"a":1}],"ok":true}`, or with `"errors":[{"code":"DocNotFound","number":103,"text":"..."}]`.
//!
//! Results are written as they come, so that a long list takes no memory; only errors wait for the end. The bytes of numbers and
//! texts of a document stay as they are.

use docdb_protocol::Error;

/// The object of the running command.
#[derive(Default)]
pub(super) struct Object {
    /// Whether a command runs.
    is_open: bool,
    head: Vec<u8>,
    results: u64,
    errors: Vec<String>,
    notes: Vec<String>,
    is_interrupted: bool,
}

impl Object {
    pub(super) fn of(command: &[u8]) -> Object {
        let command = serde_json::Value::from(String::from_utf8_lossy(command.trim_ascii()));
        let head = format!("{{\"command\":{command}").into_bytes();
        Object { is_open: true, head, results: 0, errors: Vec::new(), notes: Vec::new(), is_interrupted: false }
    }

    /// What a further result adds.
    pub(super) fn result(&mut self, json: &[u8]) -> Vec<u8> {
        let head = std::mem::take(&mut self.head);
        self.results += 1;
        let between: &[u8] = if self.results == 1 { b",\"results\":[" } else { b"," };
        [head.as_slice(), between, json].concat()
    }

    /// `false` where no command runs that it could belong to.
    pub(super) fn takes_error(&mut self, error: &Error) -> bool {
        if self.is_open {
            let text = serde_json::Value::from(error.to_string());
            let (code, number) = (error.code().name(), error.code().number());
            self.errors.push(format!("{{\"code\":\"{code}\",\"number\":{number},\"text\":{text}}}"));
        }
        self.is_open
    }

    /// `false` where no command runs that it could belong to.
    pub(super) fn takes_note(&mut self, note: &str) -> bool {
        if self.is_open {
            self.notes.push(serde_json::Value::from(note).to_string());
        }
        self.is_open
    }

    /// Ctrl-C ended the command: what it has is not all.
    pub(super) fn interrupted(&mut self) {
        self.is_interrupted = true;
    }

    /// What ends it. Nothing where no command runs.
    pub(super) fn end(&mut self) -> Vec<u8> {
        if !std::mem::replace(&mut self.is_open, false) {
            return Vec::new();
        }
        let mut rest = std::mem::take(&mut self.head);
        if self.results > 0 {
            rest.push(b']');
        }
        if !self.notes.is_empty() {
            rest.extend_from_slice(format!(",\"notes\":[{}]", self.notes.join(",")).as_bytes());
        }
        if !self.errors.is_empty() {
            rest.extend_from_slice(format!(",\"errors\":[{}]", self.errors.join(",")).as_bytes());
        }
        let is_ok = self.errors.is_empty() && !self.is_interrupted;
        rest.extend_from_slice(format!(",\"ok\":{is_ok}}}\n").as_bytes());
        rest
    }
}
