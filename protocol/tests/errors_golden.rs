//! The list of errors is frozen: clients compare texts, logs and scripts compare numbers and names.
//! A line of the golden file may be added, never changed and never taken away.

use std::collections::HashSet;
use std::fmt::Write as _;

use docdb_protocol::{ErrorCode, json};

const GOLDEN: &str = include_str!("golden/errors.txt");

/// The texts that the ancestor's clients know.
const TEXTS_OF_THE_ANCESTOR: &[&str] = &[
    "document already exists",
    "document not found",
    "collection not found",
    "collection already exists",
    "collection is not empty",
    "cannot delete default collection",
    "payload must be valid JSON",
    "memory limit exceeded",
    "payload exceeds maximum size",
    "database not found",
    "database not open",
    "invalid database name",
    "invalid collection name",
    "invalid database ID",
    "invalid request",
    "request queue is full",
    "pool is stopped",
    "unknown operation type",
    "invalid patch operations",
    "invalid JSON path",
    "frame too large",
    "invalid frame",
];

#[test]
fn numbers_names_classes_and_texts_are_those_of_the_golden_file() {
    let mut listed = String::new();
    for code in ErrorCode::ALL {
        writeln!(listed, "{} {} {:?} {:?}", code.number(), code.name(), code.class(), code.text()).unwrap();
    }
    assert_eq!(listed, GOLDEN, "released errors never change; new ones are added to golden/errors.txt");
}

#[test]
fn numbers_names_and_texts_are_unique_and_lead_back() {
    let count = ErrorCode::ALL.len();
    assert_eq!(ErrorCode::ALL.iter().map(|code| code.text()).collect::<HashSet<_>>().len(), count);
    assert_eq!(ErrorCode::ALL.iter().map(|code| code.name()).collect::<HashSet<_>>().len(), count);
    assert!(ErrorCode::ALL.is_sorted_by_key(|code| code.number()));
    for &code in ErrorCode::ALL {
        assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        assert_eq!(ErrorCode::from_text(code.text()), Some(code));
    }
    assert_eq!(ErrorCode::from_number(0), None);
    assert_eq!(ErrorCode::from_text("Document not found"), None);
}

#[test]
fn every_text_the_ancestors_clients_know_is_there() {
    for text in TEXTS_OF_THE_ANCESTOR {
        assert!(ErrorCode::from_text(text).is_some(), "{text}");
    }
}

/// Without this a client could not tell the document a read answers from the error it answers.
#[test]
fn no_text_is_a_document() {
    for code in ErrorCode::ALL {
        assert!(!code.text().is_empty());
        assert!(json::validate(code.text().as_bytes()).is_err(), "{code:?}");
        // Nor with a reason behind it.
        assert!(json::validate(format!("{}: 1", code.text()).as_bytes()).is_err(), "{code:?}");
    }
}
