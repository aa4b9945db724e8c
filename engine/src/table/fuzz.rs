//! Fuzzing the bytes of tables: no bytes make a reader panic, whatever their checksums say.
//!
//! Bounded under `cargo test`; `cargo bolero test` runs the same without end. The corpus is a real table, as a builder writes
//! it: a fuzzer's changes go into a part of it, and the part's checksum is made right again, so that what is behind the checksum is
//! tried too. That what was built is read back as it was, any table, is a property in `read/tests.rs`.

use std::sync::atomic::{AtomicU32, Ordering};

use super::tests::{IDENTITY, Model, Owned, Range, TestTable, build, number, read, rebuild, text, thirty};
use super::*;

/// Every part of a table, as its footer and indexes name them.
fn parts(table: &TestTable) -> Vec<PartPlace> {
    let footer = table.footer();
    let mut places = vec![table.built.footer_place.part()];
    places.extend(footer.collections);
    places.extend(footer.damaged_ranges.iter().filter_map(|range| range.filter));
    for section in &footer.sections {
        places.extend([section.index, section.filter]);
        let index = IndexPart::decode(IDENTITY, section.index.offset, table.read(section.index)).unwrap();
        places.extend((0..index.len()).map(|block| {
            // A place of a block may go on to the next frame: the part's own length counts.
            let place = index.place(block);
            let length = u32::from_le_bytes(*table.read(place)[8..].first_chunk().unwrap());
            PartPlace { bytes: length + 16, ..place }
        }));
    }
    places
}

fn corpus() -> Vec<(TestTable, Vec<PartPlace>)> {
    let (first, last) = (number(1, 80_000), number(1, 90_000));
    let ranges = || [Range(&first, &last, docdb_protocol::TxId(9), None)];
    let texts: Model =
        ["a", "abc", "ä"].map(|id| (text(3, id), (docdb_protocol::TxId(1), Owned::Value(b"{}".to_vec())))).into();
    let lz4 = BuilderOptions { compression: Compression::Lz4, ..BuilderOptions::SMALL };
    let tables = [
        build(&thirty(), &ranges(), BuilderOptions::SMALL),
        build(&thirty(), &[], lz4),
        build(&texts, &[], BuilderOptions { block_bytes: 1, ..BuilderOptions::SMALL }),
    ];
    tables.into_iter().map(|table| (table.clone(), parts(&table))).collect()
}

/// Asks everything of a file, and looks at no answer.
fn ask(table: &TestTable, file: &[u8]) {
    use crate::read::{Bounds, Direction, Lookup, Part, PartRef, Scan, ScanStep, Step};
    let place = table.built.footer_place;
    let decode = |place: PartPlace| Part::decode(IDENTITY, place, read(file, place.offset, place.bytes));
    let rebuilt =
        rebuild(file, 512, table.built.file_bytes, &table.built.footer.first_key, &table.built.footer.last_key);
    let again = Footer::rebuilt(IDENTITY, &rebuilt, docdb_protocol::TxId(1), docdb_protocol::TxId(2), true);
    let of_file = Footer::decode(IDENTITY, place.offset, read(file, place.offset, place.bytes));
    for footer in [Some(again), of_file.ok()].into_iter().flatten() {
        for key in [number(1, 70_003), number(2, 0), text(3, "abc"), number(1, 85_000)] {
            let mut lookup = Lookup::new(key);
            let mut step = lookup.start(&footer);
            let mut part;
            while let Step::Need(place) = step {
                part = decode(place);
                step = lookup.feed(&footer, PartRef::from(&part));
            }
        }
        for direction in [Direction::Forward, Direction::Backward] {
            let mut scan = Scan::new(Bounds::all(), direction, 300);
            loop {
                match scan.step(&footer) {
                    ScanStep::Need(place) if place.kind == PartKind::Block => {
                        scan.feed_blocks(read(file, place.offset, place.bytes).to_vec());
                    }
                    ScanStep::Need(place) => scan.feed_index(&footer, &decode(place)),
                    ScanStep::Entry(_) | ScanStep::Damaged(_) => {}
                    ScanStep::Newer(_) | ScanStep::End => break,
                }
            }
        }
    }
    let _ = Footer::find(file.len() as u64, file);
    let _ = judge_frame(IDENTITY, 512, read(file, 512, u32::MAX));
}

/// Writes over bytes of a part, and makes its checksum right.
fn forge(file: &mut [u8], place: PartPlace, changes: &[[u8; 3]]) {
    let from = usize::try_from(place.offset).unwrap();
    let part = &mut file[from..from + place.bytes as usize];
    for [low, high, value] in changes {
        let at = 4 + usize::from(u16::from_le_bytes([*low, *high])) % (part.len() - 4);
        part[at] = *value;
    }
    let crc32 = IDENTITY.crc32_at(place.offset, &part[4..]);
    part[..4].copy_from_slice(&crc32.to_le_bytes());
}

#[test]
fn a_real_table_with_any_part_forged_is_read_or_refused() {
    let (corpus, forged) = (corpus(), AtomicU32::new(0));
    bolero::check!().with_iterations(2_000).for_each(|bytes: &[u8]| {
        let [which, changes @ ..] = bytes else { return };
        let (table, places) = &corpus[usize::from(*which) % corpus.len()];
        let [which, changes @ ..] = changes else { return };
        let mut file = table.file.clone();
        let (changes, _) = changes.as_chunks::<3>();
        forge(&mut file, places[usize::from(*which) % places.len()], changes);
        forged.fetch_add(u32::from(!changes.is_empty()), Ordering::Relaxed);
        ask(table, &file);
    });
    assert!(forged.into_inner() > 500, "parts are forged");
}

/// Every byte of every part with values at the edges: lengths, counts, widths, offsets.
#[test]
fn every_byte_of_a_part_may_be_forged() {
    for (table, places) in corpus() {
        let placed = places.iter().flat_map(|place| (0..place.bytes.min(400)).step_by(3).map(move |at| (*place, at)));
        for (place, at) in placed {
            let [low, high, ..] = at.to_le_bytes();
            let mut file = table.file.clone();
            forge(&mut file, place, &[[low, high, [0, 1, 0x7f, 0xff][at as usize % 4]]]);
            ask(&table, &file);
        }
    }
}

#[test]
fn any_bytes_are_decoded_or_refused() {
    bolero::check!().with_iterations(5_000).for_each(|bytes: &[u8]| {
        let _ = TableHeader::decode(bytes);
        let _ = judge_frame(IDENTITY, 512, bytes);
        let _ = Footer::find(bytes.len() as u64, bytes);
        let _ = KeyParts::decode(bytes);
        let _ = rebuild(bytes, 0, u64::MAX, b"", b"\xff");
        if let Some(index) = IndexPart::of_body(bytes.into()) {
            let _ = (index.find(b"a"), index.place(0), index.separator(index.len() - 1));
        }
        if let Some(filter) = FilterPart::of_body(bytes.into()) {
            let _ = filter.may_contain(KeyHash::of(bytes));
        }
        if let Ok(block) = BlockView::of_raw(bytes) {
            let _ = (block.is_whole(), block.find(b"a"));
        }
    });
}
