//! Whole tables, built in memory and read back: what is written, what is damaged, what is made again.

use std::collections::BTreeMap;

use docdb_protocol::{CollectionId, CollectionName, DatabaseId, DocumentId, TxId};

use super::*;
use crate::log::DirectoryId;
use crate::log::tests::{assert_example, example};

pub(crate) const IDENTITY: TableIdentity = TableIdentity { database: DatabaseId::FIRST, number: 3 };
pub(crate) const DIRECTORY: DirectoryId = DirectoryId(0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100);

/// A version that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owned {
    Value(Vec<u8>),
    Tombstone,
    Damaged,
}

pub(crate) type Model = BTreeMap<Key, (TxId, Owned)>;

/// What every damaged document of these tests was.
pub(crate) const LOST: Version<'_> = Version::Damaged { length: 9, crc32: 77 };

impl Owned {
    pub(crate) fn version(&self) -> Version<'_> {
        match self {
            Owned::Value(document) => Version::Value { document, crc32: crc32fast::hash(document) },
            Owned::Tombstone => Version::Tombstone,
            Owned::Damaged => LOST,
        }
    }

    pub(crate) fn of(version: Version<'_>) -> Owned {
        match version {
            Version::Value { document, crc32 } => {
                assert_eq!(crc32, crc32fast::hash(document));
                Owned::Value(document.to_vec())
            }
            Version::Tombstone => Owned::Tombstone,
            Version::Damaged { .. } => {
                assert_eq!(version, LOST);
                Owned::Damaged
            }
        }
    }
}

pub(crate) fn number(collection: u32, number: u64) -> Key {
    Key::new(CollectionId(collection), &DocumentId::Number(number))
}

pub(crate) fn text(collection: u32, text: &str) -> Key {
    Key::new(CollectionId(collection), &DocumentId::text(text).unwrap())
}

/// A table as it lies in its file.
#[derive(Clone, Debug)]
pub(crate) struct TestTable {
    pub(crate) file: Vec<u8>,
    pub(crate) built: Built,
}

pub(crate) struct Range<'keys>(
    pub(crate) &'keys Key,
    pub(crate) &'keys Key,
    pub(crate) TxId,
    pub(crate) Option<FilterPart>,
);

fn closing() -> Closing<'static> {
    Closing { generation: 5, job: Job::default(), next_collection: CollectionId(8), collections: &[] }
}

pub(crate) fn build(model: &Model, ranges: &[Range<'_>], options: BuilderOptions) -> TestTable {
    let mut builder = Builder::new(DIRECTORY, IDENTITY, options);
    for (key, (tx, version)) in model {
        builder.push(&Entry { key, tx: *tx, version: version.version() });
    }
    for Range(first, last, newest, filter) in ranges {
        builder.push_damaged_range(first, last, *newest, filter.as_ref());
    }
    finish(builder, closing())
}

fn finish(mut builder: Builder, closing: Closing<'_>) -> TestTable {
    let mut file = Vec::new();
    let mut append = |piece: Piece| {
        assert_eq!(piece.offset, file.len() as u64, "pieces follow one another");
        file.extend_from_slice(&piece.bytes);
    };
    while let Some(piece) = builder.take_piece() {
        append(piece);
    }
    let mut built = builder.finish(closing);
    built.pieces.drain(..).for_each(&mut append);
    assert_eq!(file.len() as u64, built.file_bytes);
    TestTable { file, built }
}

impl TestTable {
    pub(crate) fn footer(&self) -> Footer {
        let place = self.built.footer_place;
        Footer::decode_named(IDENTITY, place, self.read(place.part())).expect("it was written")
    }

    pub(crate) fn read(&self, place: PartPlace) -> &[u8] {
        read(&self.file, place.offset, place.bytes)
    }
}

/// As a positioned read does: less at the end of the file.
pub(crate) fn read(file: &[u8], offset: u64, bytes: u32) -> &[u8] {
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
    &file[from..file.len().min(from + bytes as usize)]
}

/// Thirty entries of every kind, in two collections.
pub(crate) fn thirty() -> Model {
    let mut model = Model::new();
    for index in 0..26 {
        let version = match index % 7 {
            3 => Owned::Tombstone,
            5 => Owned::Damaged,
            _ => Owned::Value(format!("{{\"number\":{index}}}").into_bytes()),
        };
        model.insert(number(1, 70_000 + 3 * index), (TxId(100 + index % 11), version));
    }
    model.insert(number(2, 0), (TxId(7), Owned::Value(vec![b'1'; 300])));
    for name in ["ä", "a", "ab"] {
        model.insert(text(2, name), (TxId(8), Owned::Value(b"true".to_vec())));
    }
    model
}

/// Makes a table's footer and index again from its blocks alone.
pub(crate) fn rebuild(file: &[u8], from: u64, to: u64, first_key: &[u8], last_key: &[u8]) -> Rebuilt {
    let (mut walk, mut rebuilding) = (Walk::new(IDENTITY, from, to), Rebuilding::new(first_key, last_key));
    loop {
        match walk.step() {
            WalkStep::Need { offset, bytes } => walk.feed(read(file, offset, bytes)),
            WalkStep::Block { offset, bytes, block, .. } => rebuilding.block(offset, bytes, &block),
            WalkStep::Lost { from, to } => rebuilding.lost(from, to),
            WalkStep::End => return rebuilding.finish(),
        }
    }
}

#[test]
fn a_table_says_of_itself_what_it_holds() {
    let collections = ["_default", "notes"].map(|name| CollectionName::parse(name).unwrap());
    let collections: Vec<TableCollection> = (0..)
        .zip(collections)
        .map(|(id, name)| TableCollection { id: CollectionId(id), name, next_number: 9 })
        .collect();
    let job = Job { inputs: vec![1, 2], outputs_before: vec![4], is_last_output: true };
    let closing =
        Closing { generation: 6, job: job.clone(), next_collection: CollectionId(2), collections: &collections };
    let mut builder = Builder::new(DIRECTORY, IDENTITY, BuilderOptions::SMALL);
    let model = thirty();
    for (key, (tx, version)) in &model {
        builder.push(&Entry { key, tx: *tx, version: version.version() });
    }
    let table = finish(builder, closing);
    let footer = table.footer();
    assert_eq!(footer, table.built.footer);
    assert_eq!((footer.generation, &footer.job, footer.next_collection), (6, &job, CollectionId(2)));
    assert_eq!((&*footer.first_key, &*footer.last_key), (&*number(1, 70_000), &*text(2, "ä")));
    assert_eq!((footer.first_tx, footer.last_tx), (TxId(7), TxId(110)));
    let Counts { values, tombstones, damaged, document_bytes } = footer.counts;
    let documents = model.values().map(|(_, version)| if let Owned::Value(bytes) = version { bytes.len() } else { 0 });
    assert_eq!((values, tombstones, damaged, document_bytes), (23, 4, 3, documents.sum::<usize>() as u64));
    let place = footer.collections.expect("it has a list");
    assert_eq!(TableCollection::decode_all(IDENTITY, place.offset, table.read(place)), Ok(collections));
    assert_eq!(Footer::find(table.built.file_bytes, &table.file[table.file.len() - 1024..]), {
        Some(table.built.footer_place.part())
    });
    let header = TableHeader::Readable { directory: DIRECTORY, identity: IDENTITY, is_writable: true };
    assert_eq!(TableHeader::decode(&table.file[..512]), header);
}

#[test]
fn a_flag_is_written_alone_into_its_sector_and_verifies_its_frame() {
    let table = build(&thirty(), &[], BuilderOptions::SMALL);
    assert!(table.built.flags.len() > 3, "several frames");
    let (mut flagged, mut offset) = (table.file.clone(), 512);
    for flag in &table.built.flags {
        let frame = &table.file[usize::try_from(offset).unwrap()..];
        let JudgedFrame::Whole { bytes, is_verified: false } = judge_frame(IDENTITY, offset, frame) else {
            panic!("a frame begins at {offset}")
        };
        offset += bytes;
        assert_eq!(*flag, offset - 512);
        let sector = &mut flagged[usize::try_from(*flag).unwrap()..][..512];
        assert_eq!(sector, [0; 512], "nothing else stands there");
        sector.copy_from_slice(&VERIFIED_SECTOR);
    }
    assert_eq!(offset, table.built.file_bytes, "frames fill the file");
    let mut offset = 512;
    while offset < table.built.file_bytes {
        let frame = &flagged[usize::try_from(offset).unwrap()..];
        let JudgedFrame::Whole { bytes, is_verified: true } = judge_frame(IDENTITY, offset, frame) else {
            panic!("the frame at {offset} is verified")
        };
        offset += bytes;
    }
}

#[test]
fn a_builder_says_when_it_is_full_and_holds_one_frame() {
    let mut builder = Builder::new(DIRECTORY, IDENTITY, BuilderOptions::SMALL);
    assert!(builder.is_empty() && !builder.is_full());
    let document = [b'1'; 50];
    let mut pushed = 0;
    while !builder.is_full() {
        let entry =
            Entry { key: &number(1, pushed), tx: TxId(1), version: Version::Value { document: &document, crc32: 0 } };
        builder.push(&entry);
        pushed += 1;
        while let Some(piece) = builder.take_piece() {
            assert!(piece.bytes.len() <= 512 + 1024, "a frame of 400 bytes and a block, and its flag");
        }
    }
    assert!((5..40).contains(&pushed), "{pushed} documents of 50 bytes in 2 KiB");
}

#[test]
fn a_long_document_has_a_block_for_itself() {
    let mut model = thirty();
    let long = number(1, 70_004);
    model.insert(long, (TxId(9), Owned::Value(vec![b'1'; 100_000])));
    let table = build(&model, &[], BuilderOptions::SMALL);
    let footer = table.footer();
    let section = &footer.sections[footer.section_of(&long).unwrap()];
    let index = IndexPart::decode(IDENTITY, section.index.offset, table.read(section.index)).unwrap();
    let place = index.place(index.find(&long).unwrap());
    let block = Block::decode(IDENTITY, place.offset, table.read(place)).unwrap();
    assert_eq!(block.view().len(), 1);
}

#[test]
fn a_footer_that_is_not_the_one_that_is_named_is_damage() {
    let table = build(&thirty(), &[], BuilderOptions::SMALL);
    let place = table.built.footer_place;
    let bytes = table.read(place.part());
    let other = FooterPlace { crc32: place.crc32 ^ 1, ..place };
    assert_eq!(Footer::decode_named(IDENTITY, other, bytes), Err(PartError::Damaged));
    let other = TableIdentity { number: 4, ..IDENTITY };
    assert_eq!(Footer::decode(other, place.offset, bytes), Err(PartError::Damaged));
}

#[test]
fn a_footer_of_a_later_version_is_told_from_damage() {
    let table = build(&thirty(), &[], BuilderOptions::SMALL);
    let place = table.built.footer_place;
    // The version, and a feature that a reader, and one that a writer must know.
    for (at, newer) in [(16, true), (20, true), (28, false)] {
        let mut bytes = table.read(place.part()).to_vec();
        bytes[at] += 1;
        let crc32 = IDENTITY.crc32_at(place.offset, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc32.to_le_bytes());
        let decoded = Footer::decode(IDENTITY, place.offset, &bytes);
        if newer {
            assert_eq!(decoded, Err(PartError::Newer));
        } else {
            assert!(!decoded.unwrap().is_writable);
        }
    }
}

#[test]
fn a_walk_meets_every_block_and_nothing_lost() {
    for compression in [Compression::None, Compression::Lz4] {
        let table = build(&thirty(), &[], BuilderOptions { compression, ..BuilderOptions::SMALL });
        let footer = table.footer();
        for to in [table.built.file_bytes, u64::MAX] {
            let rebuilt = rebuild(&table.file, 512, to, &footer.first_key, &footer.last_key);
            assert!(!rebuilt.has_lost);
            assert_eq!(rebuilt.counts, footer.counts);
            assert_eq!(rebuilt.section.section.keys, 30);
        }
        let keys = footer.sections.iter().map(|section| section.keys);
        for (section, keys) in footer.sections.iter().zip(keys) {
            let Section { blocks_from, blocks_to, first_key, last_key, .. } = section;
            let rebuilt = rebuild(&table.file, *blocks_from, *blocks_to, first_key, last_key);
            assert_eq!((rebuilt.has_lost, rebuilt.section.section.keys), (false, keys));
            let index = IndexPart::decode(IDENTITY, section.index.offset, table.read(section.index)).unwrap();
            for block in 0..index.len() {
                assert_eq!(rebuilt.section.index.place(block).offset, index.place(block).offset);
            }
        }
    }
}

/// FORMAT.md's example of a table is what a builder writes, and says what it says there.
#[test]
fn the_example_of_a_table_is_true() {
    let mut builder = Builder::new(DIRECTORY, IDENTITY, BuilderOptions::SMALL);
    let version = Version::Value { document: b"{\"a\":1}", crc32: crc32fast::hash(b"{\"a\":1}") };
    builder.push(&Entry { key: &number(0, 7), tx: TxId(1), version });
    builder.push(&Entry { key: &text(0, "momo"), tx: TxId(2), version: Version::Tombstone });
    let collections =
        [TableCollection { id: CollectionId(0), name: CollectionName::default_collection(), next_number: 8 }];
    let closing = Closing {
        generation: 1,
        job: Job { is_last_output: true, ..Job::default() },
        next_collection: CollectionId(1),
        collections: &collections,
    };
    let table = finish(builder, closing);
    let parts = [
        (0..512, "example of a table's header"),
        (512..1020, "example of a table's blocks"),
        (1020..1536, "example of the end of a frame"),
        (1536..2024, "example of a table's last frame"),
        (2024..2560, "example of a table's trailer"),
    ];
    let mut file = Vec::new();
    for (range, name) in parts {
        assert_example(name, &table.file[range.clone()]);
        file.extend(example(name));
        file.resize(range.end, 0);
    }
    assert_eq!(file, table.file);
    let table = TestTable { file, ..table };
    let footer = table.footer();
    assert_eq!(footer.section_of(&number(0, 7)), Some(0));
    assert_eq!((footer.counts.values, footer.counts.tombstones, footer.last_tx), (1, 1, TxId(2)));
}
