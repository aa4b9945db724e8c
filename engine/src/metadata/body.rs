//! The body: what manifest and record both hold.
//!
//! ```text
//! u32 version | u64 features to read | u64 features to write | u64 database | u64 generation | u64 tx_id | u64 snapshot_offset
//! u8 index_consistent | u32 next collection id
//! u32 collections, each: u32 id | u8 length, name | u64 next number | u64 documents | u64 tombstones | u8 exact
//! u32 tables, each:      u8 level | u64 number | u64 database and u64 number it was written under
//!                        u16 length, first key | u16 length, last key | u64 oldest TxId | u64 newest TxId
//!                        u64 entries | u64 file's length | u64 offset, u32 bytes, u32 CRC32 of the footer | u8 has damaged ranges
//! u32 CRC32 of all before it
//! ```
//!
//! Invariants: nothing is set aside for a count that was read, and nothing is believed before the checksum.

use docdb_protocol::limits::COLLECTIONS_PER_DATABASE_MAX;
use docdb_protocol::{CollectionId, DatabaseId, TxId};

use super::{CollectionState, DecodedMetadata, LiveTable, METADATA_BYTES_MAX, Metadata, TABLES_MAX};
use crate::log::{FORMAT_VERSION, Fields, Lsn, put_u32, put_u64};
use crate::table::{FooterPlace, TableIdentity, put_key, put_name, take_key, take_name};

const CRC_BYTES: usize = 4;

impl Metadata {
    /// The body: the payload of a record in the log, and what follows a manifest's header.
    ///
    /// # Panics
    /// When it breaks a rule of what may be decoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(self.is_consistent(), "metadata is written as it is read");
        let mut body = Vec::new();
        let out = &mut body;
        put_u32(out, FORMAT_VERSION);
        // No feature so far.
        put_u64(out, 0);
        put_u64(out, 0);
        put_u64(out, self.database.get());
        put_u64(out, self.generation);
        put_u64(out, self.tx.0);
        put_u64(out, self.snapshot_offset.0);
        out.push(u8::from(self.index_consistent));
        put_u32(out, self.next_collection.0);
        put_count(out, self.collections.len());
        for collection in &self.collections {
            put_u32(out, collection.id.0);
            put_name(out, &collection.name);
            put_u64(out, collection.next_number);
            put_u64(out, collection.documents);
            put_u64(out, collection.tombstones);
            out.push(u8::from(collection.is_exact));
        }
        put_count(out, self.tables.len());
        for table in &self.tables {
            put_table(out, table);
        }
        let crc32 = crc32fast::hash(out);
        put_u32(out, crc32);
        assert!(body.len() <= METADATA_BYTES_MAX, "collections and tables are bounded");
        body
    }

    /// What a body of this database says.
    #[must_use]
    pub fn decode(database: DatabaseId, body: &[u8]) -> DecodedMetadata {
        Metadata::read(database, body).unwrap_or(DecodedMetadata::Damaged)
    }

    fn read(database: DatabaseId, body: &[u8]) -> Option<DecodedMetadata> {
        let (covered, crc32) = body.split_last_chunk::<CRC_BYTES>()?;
        if body.len() > METADATA_BYTES_MAX || crc32fast::hash(covered) != u32::from_le_bytes(*crc32) {
            return None;
        }
        let mut fields = Fields::new(covered);
        let (version, to_read) = (fields.u32()?, fields.u64()?);
        if version > FORMAT_VERSION || (version == FORMAT_VERSION && to_read != 0) {
            return Some(DecodedMetadata::Newer);
        }
        if version < FORMAT_VERSION {
            return Some(DecodedMetadata::Older { version });
        }
        let is_writable = fields.u64()? == 0;
        let metadata = Box::new(take_metadata(fields)?);
        let is_whole = metadata.database == database && metadata.is_consistent();
        is_whole.then_some(DecodedMetadata::Whole { metadata, is_writable })
    }

    /// Whether the rules hold by which it is read.
    fn is_consistent(&self) -> bool {
        let collections = &self.collections;
        let mut names: Vec<&str> = collections.iter().map(|collection| collection.name.as_str()).collect();
        names.sort_unstable();
        collections.len() <= COLLECTIONS_PER_DATABASE_MAX
            && self.tables.len() <= TABLES_MAX
            && collections.is_sorted_by(|one, next| one.id < next.id)
            && names.is_sorted_by(|one, next| one < next)
            && collections.iter().all(|collection| collection.id < self.next_collection)
            && self.tables.is_sorted_by(|one, next| one.number < next.number)
            && self.tables.iter().all(|table| table.is_consistent() && table.last_tx <= self.tx)
    }
}

impl LiveTable {
    fn is_consistent(&self) -> bool {
        let footer_end = self.footer.offset.checked_add(u64::from(self.footer.bytes));
        self.first_key <= self.last_key
            && self.first_tx <= self.last_tx
            && footer_end.is_some_and(|end| end <= self.file_bytes)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    put_u32(out, u32::try_from(count).expect("bounded by what is consistent"));
}

fn put_table(out: &mut Vec<u8>, table: &LiveTable) {
    out.push(table.level);
    put_u64(out, table.number);
    put_u64(out, table.identity.database.get());
    put_u64(out, table.identity.number);
    put_key(out, &table.first_key);
    put_key(out, &table.last_key);
    put_u64(out, table.first_tx.0);
    put_u64(out, table.last_tx.0);
    put_u64(out, table.entries);
    put_u64(out, table.file_bytes);
    put_u64(out, table.footer.offset);
    put_u32(out, table.footer.bytes);
    put_u32(out, table.footer.crc32);
    out.push(u8::from(table.has_damaged_ranges));
}

/// All behind the features.
fn take_metadata(mut fields: Fields<'_>) -> Option<Metadata> {
    let from = &mut fields;
    let database = DatabaseId::new(from.u64()?)?;
    let (generation, tx, snapshot_offset) = (from.count()?, TxId(from.count()?), Lsn(from.count()?));
    let index_consistent = take_flag(from)?;
    let next_collection = CollectionId(from.u32()?);
    let mut collections = Vec::new();
    for _ in 0..from.u32()? {
        let collection = take_collection(from).filter(|_| collections.len() < COLLECTIONS_PER_DATABASE_MAX)?;
        collections.push(collection);
    }
    let mut tables = Vec::new();
    for _ in 0..from.u32()? {
        let table = take_table(from).filter(|_| tables.len() < TABLES_MAX)?;
        tables.push(table);
    }
    fields.is_at_end().then_some(Metadata {
        database,
        generation,
        tx,
        snapshot_offset,
        index_consistent,
        next_collection,
        collections,
        tables,
    })
}

fn take_flag(from: &mut Fields<'_>) -> Option<bool> {
    Some(from.u8().filter(|flag| *flag <= 1)? == 1)
}

fn take_collection(from: &mut Fields<'_>) -> Option<CollectionState> {
    Some(CollectionState {
        id: CollectionId(from.u32()?),
        name: take_name(from)?,
        next_number: from.count()?,
        documents: from.count()?,
        tombstones: from.count()?,
        is_exact: take_flag(from)?,
    })
}

fn take_table(from: &mut Fields<'_>) -> Option<LiveTable> {
    Some(LiveTable {
        level: from.u8()?,
        number: from.count()?,
        identity: TableIdentity { database: DatabaseId::new(from.u64()?)?, number: from.count()? },
        first_key: take_key(from)?,
        last_key: take_key(from)?,
        first_tx: TxId(from.count()?),
        last_tx: TxId(from.count()?),
        entries: from.count()?,
        file_bytes: from.count()?,
        footer: FooterPlace { offset: from.count()?, bytes: from.u32()?, crc32: from.u32()? },
        has_damaged_ranges: take_flag(from)?,
    })
}
