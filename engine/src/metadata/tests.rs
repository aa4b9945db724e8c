//! Metadata as bytes: whole, damaged, of another version.

use std::sync::atomic::{AtomicU32, Ordering};

use arbitrary::{Arbitrary, Unstructured};

use super::*;
use crate::log::DirectoryId;
use crate::log::file_header::tests::{TO_READ_AT, TO_WRITE_AT, VERSION_AT, change, set};
use crate::log::tests::{assert_example, example};
use crate::table::tests::{DIRECTORY, build, thirty};
use crate::table::{BuilderOptions, Key};

fn metadata() -> Metadata {
    let table = build(&thirty(), &[], BuilderOptions::SMALL);
    let collection = |id: u32, name: &str, documents: u64| CollectionState {
        id: CollectionId(id),
        name: CollectionName::parse(name).unwrap(),
        next_number: 8,
        documents,
        tombstones: 1,
        is_exact: id == 0,
    };
    Metadata {
        database: DatabaseId::FIRST,
        generation: 4,
        tx: TxId(200),
        snapshot_offset: Lsn(4096),
        index_consistent: true,
        next_collection: CollectionId(5),
        collections: vec![collection(0, "_default", 0), collection(4, "notes", 23)],
        tables: vec![LiveTable::new(0, &table.built)],
    }
}

fn decoded(file: &[u8]) -> DecodedMetadata {
    Manifest::decode(DIRECTORY, DatabaseId::FIRST, file)
}

fn whole(metadata: Metadata) -> DecodedMetadata {
    DecodedMetadata::Whole { metadata: Box::new(metadata), is_writable: true }
}

/// A body with a change and a checksum that is right.
fn changed(body: &[u8], at: usize, value: u8) -> DecodedMetadata {
    let mut body = body[..body.len() - 4].to_vec();
    body[at] = value;
    let crc32 = crc32fast::hash(&body).to_le_bytes();
    body.extend_from_slice(&crc32);
    Metadata::decode(DatabaseId::FIRST, &body)
}

#[test]
fn metadata_reads_back_as_it_was_written() {
    let metadata = metadata();
    let file = Manifest::encode(DIRECTORY, &metadata);
    assert_eq!(decoded(&file), whole(metadata.clone()));
    let body = metadata.encode();
    assert_eq!(file[MANIFEST_HEADER_BYTES..], body);
    assert_eq!(Metadata::decode(DatabaseId::FIRST, &body), whole(metadata));
    let header = Manifest::decode_header(&file[..MANIFEST_HEADER_BYTES]).expect("the header alone says it");
    assert_eq!((header.generation, header.body_bytes as usize), (4, body.len()));
}

#[test]
fn one_turned_bit_or_one_missing_byte_is_damage() {
    let file = Manifest::encode(DIRECTORY, &metadata());
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut turned = file.clone();
            turned[at] ^= 1 << bit;
            assert_eq!(decoded(&turned), DecodedMetadata::Damaged, "byte {at}");
        }
        assert_eq!(decoded(&file[..at]), DecodedMetadata::Damaged, "cut at {at}");
    }
    let longer = [&file[..], &[0]].concat();
    assert_eq!(decoded(&longer), DecodedMetadata::Damaged, "a byte too many");
}

#[test]
fn metadata_of_another_database_or_directory_is_damage() {
    let file = Manifest::encode(DIRECTORY, &metadata());
    let other = DatabaseId::FIRST.next().unwrap();
    assert_eq!(Manifest::decode(DIRECTORY, other, &file), DecodedMetadata::Damaged);
    assert_eq!(Manifest::decode(DirectoryId(9), DatabaseId::FIRST, &file), DecodedMetadata::Damaged);
    assert_eq!(Metadata::decode(other, &metadata().encode()), DecodedMetadata::Damaged);
}

#[test]
fn other_versions_are_told_from_damage() {
    let file = Manifest::encode(DIRECTORY, &metadata());
    let with = |at: usize| {
        let mut file = file.clone();
        change(&mut file, at);
        decoded(&file)
    };
    assert_eq!(with(VERSION_AT), DecodedMetadata::Newer);
    assert_eq!(with(TO_READ_AT), DecodedMetadata::Newer);
    assert!(matches!(with(TO_WRITE_AT), DecodedMetadata::Whole { is_writable: false, .. }));
    let mut older = file.clone();
    set(&mut older, VERSION_AT, 0);
    assert_eq!(decoded(&older), DecodedMetadata::Older { version: 0 }, "a version made for this test");
    // The body says so too, for a record of the log has no header.
    let body = metadata().encode();
    assert_eq!(changed(&body, 0, 2), DecodedMetadata::Newer);
    assert_eq!(changed(&body, 4, 1), DecodedMetadata::Newer);
    assert!(matches!(changed(&body, 12, 1), DecodedMetadata::Whole { is_writable: false, .. }));
    assert_eq!(changed(&body, 0, 0), DecodedMetadata::Older { version: 0 });
}

#[test]
fn what_breaks_a_rule_is_not_read_whatever_its_checksum_says() {
    let body = metadata().encode();
    assert_eq!(changed(&body, 52, 2), DecodedMetadata::Damaged, "a flag that is neither");
    assert_eq!(changed(&body, 53, 4), DecodedMetadata::Damaged, "a collection that the next one would be");
    assert_eq!(changed(&body, 36, 100), DecodedMetadata::Damaged, "a table that is newer than the metadata");
    assert_eq!(changed(&body, 60, 0xff), DecodedMetadata::Damaged, "more collections than there are");
    for at in 0..body.len() - 4 {
        for value in [0, 1, 0x7f, 0xff] {
            let _ = changed(&body, at, value);
        }
    }
}

/// Any metadata that keeps the rules.
fn any_metadata(from: &mut Unstructured<'_>) -> arbitrary::Result<Metadata> {
    let number = |from: &mut Unstructured<'_>| from.int_in_range(0..=(1_u64 << 63) - 1);
    let tx = TxId(number(from)?);
    let names = ["_default", "a", "notes", "Ärger"];
    let mut collections = Vec::new();
    for (id, name) in (0..).zip(names).take(from.int_in_range(0..=4)?) {
        collections.push(CollectionState {
            id: CollectionId(id),
            name: CollectionName::parse(name).expect("a name"),
            next_number: number(from)?,
            documents: number(from)?,
            tombstones: number(from)?,
            is_exact: bool::arbitrary(from)?,
        });
    }
    let mut tables = Vec::new();
    for table_number in 1..=from.int_in_range(0..=3)? {
        let key = |id: u64| Key::new(CollectionId(1), &docdb_protocol::DocumentId::Number(id)).to_vec().into();
        let (first, last) = (u64::arbitrary(from)?, u64::arbitrary(from)?);
        tables.push(LiveTable {
            level: u8::arbitrary(from)?,
            number: table_number,
            identity: TableIdentity { database: DatabaseId::FIRST, number: number(from)? },
            first_key: key(first.min(last)),
            last_key: key(first.max(last)),
            first_tx: TxId(from.int_in_range(0..=tx.0)?),
            last_tx: tx,
            entries: number(from)?,
            file_bytes: (1 << 63) - 1,
            footer: FooterPlace {
                offset: from.int_in_range(0..=1 << 40)?,
                bytes: u32::arbitrary(from)?,
                crc32: u32::arbitrary(from)?,
            },
            has_damaged_ranges: bool::arbitrary(from)?,
        });
    }
    Ok(Metadata {
        database: DatabaseId::FIRST,
        generation: number(from)?,
        tx,
        snapshot_offset: Lsn(number(from)?),
        index_consistent: bool::arbitrary(from)?,
        next_collection: CollectionId(9),
        collections,
        tables,
    })
}

#[test]
fn any_metadata_reads_back_as_it_was_written() {
    let with_tables = AtomicU32::new(0);
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let mut from = Unstructured::new(bytes);
        let Ok(metadata) = any_metadata(&mut from) else { return };
        with_tables.fetch_add(u32::from(!metadata.tables.is_empty()), Ordering::Relaxed);
        assert_eq!(decoded(&Manifest::encode(DIRECTORY, &metadata)), whole(metadata));
    });
    let with_tables = with_tables.into_inner();
    assert!(with_tables > 200, "metadata with tables comes up: {with_tables}");
}

/// A real manifest, with a fuzzer's changes and checksums that are right.
#[test]
fn any_bytes_of_a_manifest_are_decoded_or_refused() {
    let real = Manifest::encode(DIRECTORY, &metadata());
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let _ = decoded(bytes);
        let mut file = real.clone();
        let (chunks, _) = bytes.as_chunks::<3>();
        for [low, high, value] in chunks.iter().take(3) {
            let at = usize::from(u16::from_le_bytes([*low, *high])) % file.len();
            file[at] = *value;
        }
        let _ = decoded(&file);
        let body = &mut file[MANIFEST_HEADER_BYTES..];
        let covered = body.len() - 4;
        let crc32 = crc32fast::hash(&body[..covered]).to_le_bytes();
        body[covered..].copy_from_slice(&crc32);
        let _ = Metadata::decode(DatabaseId::FIRST, body);
    });
}

/// FORMAT.md's example of a manifest is what is written, and says what it says there.
#[test]
fn the_example_of_a_manifest_is_true() {
    let collection = CollectionState {
        id: CollectionId::DEFAULT,
        name: CollectionName::default_collection(),
        next_number: 8,
        documents: 1,
        tombstones: 1,
        is_exact: true,
    };
    let table = LiveTable {
        level: 0,
        number: 3,
        identity: crate::table::tests::IDENTITY,
        first_key: (*crate::table::tests::number(0, 7)).into(),
        last_key: (*crate::table::tests::text(0, "momo")).into(),
        first_tx: TxId(1),
        last_tx: TxId(2),
        entries: 3,
        file_bytes: 2560,
        footer: FooterPlace { offset: 1723, bytes: 237, crc32: 0x90d7_af9a },
        has_damaged_ranges: false,
    };
    let metadata = Metadata {
        database: DatabaseId::FIRST,
        generation: 1,
        tx: TxId(2),
        snapshot_offset: Lsn(1024),
        index_consistent: true,
        next_collection: CollectionId(1),
        collections: vec![collection],
        tables: vec![table],
    };
    assert_example("example of a manifest", &Manifest::encode(DIRECTORY, &metadata));
    assert_eq!(decoded(&example("example of a manifest")), whole(metadata));
}
