//! What a checkpoint writes: its tables hold the state that the model has at its transaction, its manifest says so, and the
//! record in the log says the same.
//!
//! Tables are read by the engine's own reader of bytes, whose every byte is held to FORMAT.md by tests of its own; which of them
//! a manifest names, and what they hold together, is judged here, when the manifest is written: what is wrong then would be
//! seen only after a crash that comes to need it.

use std::collections::BTreeMap;
use std::sync::Arc;

use docdb_engine::DirectoryId;
use docdb_engine::metadata::{DecodedMetadata, LiveTable, MANIFEST_HEADER_BYTES, Manifest, Metadata};
use docdb_engine::table::{
    JudgedFrame, KeyParts, TABLE_HEADER_BYTES, TableHeader, TableIdentity, Version, Walk, WalkStep, judge_frame,
};
use docdb_models::{Database, Key, State};
use docdb_protocol::DatabaseId;

use super::log::Log;
use crate::disk::SimDisk;
use crate::oracle::{Violation, violation};
use crate::refine::written::{Header, SEGMENT_HEADER_BYTES, whole_header};

/// What is known of the tables of one database.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    /// The highest generation of any manifest that was written.
    generation: u64,
    /// The last transaction of all that any manifest stood for, whether its name came to be durable or not.
    pub(super) last_tx: u64,
    /// What the manifest says that was given its name last.
    pub(super) named: Option<Vec<u8>>,
    /// What the one says that is being written.
    written: Option<Vec<u8>>,
    /// The tables that it names.
    tables: Vec<u64>,
    /// The last checkpoint behind which this process removed what is superfluous.
    whole: Option<Box<Metadata>>,
}

/// What a manifest has to be true of.
pub(super) struct Known<'known> {
    pub(super) folder: &'known str,
    pub(super) directory: u128,
    pub(super) disk: &'known SimDisk,
    pub(super) model: Option<&'known Database>,
    pub(super) log: Option<&'known Log>,
    /// What the disk holds may be damaged.
    pub(super) is_in_doubt: bool,
    /// So many of the segments that are superfluous stay.
    pub(super) segments_kept: usize,
}

impl Store {
    /// A manifest is written.
    pub(super) fn manifest(&mut self, bytes: &[u8], known: &Known<'_>) -> Result<(), Violation> {
        let directory = DirectoryId(known.directory);
        let header = Manifest::decode_header(bytes);
        let Some(header) = header else { return violation!("a manifest has no header that can be read") };
        let DecodedMetadata::Whole { metadata, is_writable: true } =
            Manifest::decode(directory, header.database, bytes)
        else {
            return violation!("a manifest cannot be read again: {header:?}");
        };
        if metadata.generation <= self.generation {
            return violation!("generation {} is given, behind {}", metadata.generation, self.generation);
        }
        self.generation = metadata.generation;
        self.last_tx = self.last_tx.max(metadata.tx.0);
        self.tables = metadata.tables.iter().map(|table| table.number).collect();
        self.written = bytes.get(MANIFEST_HEADER_BYTES..).map(<[u8]>::to_vec);
        if known.is_in_doubt {
            return Ok(());
        }
        self.none_is_left(&metadata, known)?;
        let mut state = State::default();
        for table in &metadata.tables {
            contents_of(table, &metadata, known, &mut state)?;
        }
        if let Some(log) = known.log {
            log.has_snapshot(metadata.snapshot_offset.0, metadata.tx.0)?;
        }
        let Some(model) = known.model else { return Ok(()) };
        let Some(expected) = model.state_after(metadata.tx.0) else {
            return violation!("a checkpoint of transaction {}, which nobody asked for", metadata.tx);
        };
        if state != *expected {
            return violation!("the tables hold {state:?} at {}, and the database {expected:?}", metadata.tx);
        }
        for collection in &metadata.collections {
            let held = state.keys().filter(|(name, _)| **name == *collection.name.as_str()).count() as u64;
            if collection.documents != held || !collection.is_exact || collection.tombstones != 0 {
                return violation!("{collection:?} holds {held} documents");
            }
            let next = model.next_number_after(collection.name.as_str(), metadata.tx.0);
            if collection.next_number != next {
                return violation!("{collection:?} has {next} as its next number");
            }
        }
        Ok(())
    }

    /// What a checkpoint made superfluous is gone before the next one names its tables, as long as no operation fails.
    fn none_is_left(&self, metadata: &Metadata, known: &Known<'_>) -> Result<(), Violation> {
        let Some(before) = self.whole.as_ref().filter(|_| known.disk.injected() == 0) else { return Ok(()) };
        let prefix = format!("db/{0}/{0}.data.", known.folder);
        for path in known.disk.listing().keys() {
            let Some(number) = path.strip_prefix(&prefix).and_then(|number| number.parse::<u64>().ok()) else {
                continue;
            };
            let is_named = |tables: &[LiveTable]| tables.iter().any(|table| table.number == number);
            if !is_named(&before.tables) && !is_named(&metadata.tables) {
                return violation!("{path} is left, and no manifest names it");
            }
        }
        let prefix = format!("db/{0}/{0}.wal", known.folder);
        let of_log = known.disk.beginnings(SEGMENT_HEADER_BYTES).filter(|(path, _)| path.starts_with(&prefix));
        let mut headers: Vec<Header> = of_log.filter_map(|(_, beginning)| whole_header(&beginning)).collect();
        headers.sort_by_key(|header| header.epoch);
        let is_below = |pair: &&[Header]| pair[1].start_lsn <= before.snapshot_offset.0;
        let below = headers.windows(2).filter(is_below).count();
        if below > known.segments_kept {
            return violation!("{below} segments lie below {}: {headers:?}", before.snapshot_offset.0);
        }
        Ok(())
    }

    /// The folder is listed: to remove what the checkpoint has made superfluous that was named last, or by an opening.
    pub(super) fn listed(&mut self, database: Option<DatabaseId>, is_open: bool) {
        self.whole = None;
        let named = self.named.as_deref().zip(database).filter(|_| is_open);
        self.whole = named.and_then(|(body, database)| match Metadata::decode(database, body) {
            DecodedMetadata::Whole { metadata, .. } => Some(metadata),
            DecodedMetadata::Newer | DecodedMetadata::Older { .. } | DecodedMetadata::Damaged => None,
        });
    }

    /// The process died.
    pub(super) fn crashed(&mut self) {
        // A power loss may bring an older manifest back.
        (self.named, self.whole) = (None, None);
    }

    /// The tables that the manifest names which is being written.
    pub(super) fn written_tables(&self) -> Vec<u64> {
        self.tables.clone()
    }

    /// The manifest that was written gets its name.
    pub(super) fn renamed(&mut self) -> Result<(), Violation> {
        match self.written.take() {
            Some(written) => self.named = Some(written),
            None => return violation!("a manifest is named that nobody wrote"),
        }
        Ok(())
    }
}

/// Where a replay begins, by these bytes of metadata.
pub(super) fn floor_of(database: u64, body: &[u8]) -> Option<u64> {
    match Metadata::decode(DatabaseId::new(database)?, body) {
        DecodedMetadata::Whole { metadata, .. } => Some(metadata.snapshot_offset.0),
        DecodedMetadata::Newer | DecodedMetadata::Older { .. } | DecodedMetadata::Damaged => None,
    }
}

/// Adds what a table holds; keys ascend over all tables.
fn contents_of(table: &LiveTable, metadata: &Metadata, known: &Known<'_>, state: &mut State) -> Result<(), Violation> {
    let path = format!("db/{0}/{0}.data.{1}", known.folder, table.number);
    let Some(bytes) = known.disk.content_of(&path) else {
        return violation!("{path} is named, and is not there");
    };
    let header = TableHeader::decode(&bytes[..TABLE_HEADER_BYTES.min(bytes.len())]);
    let is_header =
        matches!(header, TableHeader::Readable { identity, is_writable: true, .. } if identity == table.identity);
    if !is_header || table.identity.number != table.number || table.identity.database != metadata.database {
        return violation!("{path} is {header:?}, and is named as {table:?}");
    }
    frames_are_verified(table.identity, &path, &bytes)?;
    let names: BTreeMap<u32, Arc<str>> =
        metadata.collections.iter().map(|collection| (collection.id.0, collection.name.as_str().into())).collect();
    let mut walk = Walk::new(table.identity, TABLE_HEADER_BYTES as u64, table.footer.offset);
    let (mut entries, mut first, mut last) = (0, None, None);
    loop {
        match walk.step() {
            WalkStep::Need { offset, bytes: wanted } => {
                let from = usize::try_from(offset).expect("a file in memory").min(bytes.len());
                let to = (from + wanted as usize).min(bytes.len());
                walk.feed(&bytes[from..to]);
            }
            WalkStep::Lost { from, .. } => return violation!("{path} cannot be read at {from}"),
            WalkStep::End => break,
            WalkStep::Block { block, .. } => {
                for index in 0..block.len() {
                    let entry = block.entry(index).map_err(|error| Violation(format!("{path}: {error:?}")))?;
                    let Version::Value { document, crc32 } = entry.version else {
                        return violation!("{path} holds {entry:?}");
                    };
                    let Some(parts) = KeyParts::decode(entry.key) else { return violation!("{path} has no key") };
                    let Some(name) = names.get(&parts.collection.0) else {
                        return violation!("{path} has documents of {}, which is no collection", parts.collection);
                    };
                    if crc32fast::hash(document) != crc32 || entry.tx > metadata.tx {
                        return violation!("{path} holds {entry:?}, of a checkpoint at {}", metadata.tx);
                    }
                    let key: Key = (Arc::clone(name), parts.document_id());
                    if state.insert(key, document.into()).is_some() {
                        return violation!("{path} holds a key again: {entry:?}");
                    }
                    entries += 1;
                    first.get_or_insert_with(|| entry.key.to_vec());
                    last = Some(entry.key.to_vec());
                }
            }
        }
    }
    let fences = (Some(table.first_key.to_vec()), Some(table.last_key.to_vec()));
    if (first, last) != fences || entries != table.entries || bytes.len() as u64 != table.file_bytes {
        return violation!("{path} has {entries} entries in {} bytes, and is named as {table:?}", bytes.len());
    }
    Ok(())
}

/// Every frame vouches for itself.
fn frames_are_verified(identity: TableIdentity, path: &str, bytes: &[u8]) -> Result<(), Violation> {
    let mut at = TABLE_HEADER_BYTES as u64;
    while at < bytes.len() as u64 {
        match judge_frame(identity, at, &bytes[usize::try_from(at).expect("a file in memory")..]) {
            JudgedFrame::Whole { bytes, is_verified: true } => at += bytes,
            other => return violation!("{path} has a frame at {at} that is {other:?}"),
        }
    }
    Ok(())
}
