//! Lookups and scans over one table, held to a sorted map: of a whole table, and of one that is damaged anywhere.

use docdb_protocol::TxId;
use proptest::prelude::*;

use super::*;
use crate::table::tests::{IDENTITY, Model, Owned, Range, TestTable, build, number, read, rebuild, text, thirty};
use crate::table::{
    BuilderOptions, Compression, FilterPart, Footer, Key, PartPlace, Rebuilt, RebuiltSection, TableIdentity,
};

/// What one table says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Found(TxId, Owned),
    Absent,
    Damaged(TxId),
}

fn expected(model: &Model, key: &Key) -> Said {
    model.get(key).map_or(Said::Absent, |(tx, version)| Said::Found(*tx, version.clone()))
}

/// Asks one key; `part` decodes what is needed.
fn ask(footer: &Footer, key: &Key, part: &dyn Fn(PartPlace) -> Part) -> Said {
    let mut lookup = Lookup::new(*key);
    let mut step = lookup.start(footer);
    let mut held;
    // A filter, an index, a block, the filter of a range.
    for _ in 0..5 {
        match step {
            Step::Need(place) => {
                held = part(place);
                step = lookup.feed(footer, PartRef::from(&held));
            }
            Step::Answer(Answer::Found { tx, version }) => return Said::Found(tx, Owned::of(version)),
            Step::Answer(Answer::Absent) => return Said::Absent,
            Step::Answer(Answer::Damaged(damage)) => return Said::Damaged(damage.newest),
            Step::Answer(Answer::Newer(place)) => panic!("nothing at {place:?} is newer"),
        }
    }
    panic!("a lookup of {key:?} reads four parts at most")
}

fn from_file(file: &[u8]) -> impl Fn(PartPlace) -> Part + '_ {
    |place| Part::decode(IDENTITY, place, read(file, place.offset, place.bytes))
}

/// As a caller does that made lost parts again.
fn from_rebuilt<'file>(file: &'file [u8], rebuilt: &'file Rebuilt) -> impl Fn(PartPlace) -> Part + 'file {
    let RebuiltSection { section, index, filter } = &rebuilt.section;
    let index = Part::Index(index.clone().into());
    let filter = filter.as_ref().map_or(Part::Damaged, |filter| Part::Filter(filter.clone().into()));
    move |place| match place {
        _ if place == section.index => index.clone(),
        _ if place == section.filter => filter.clone(),
        _ => from_file(file)(place),
    }
}

/// What a scan said, in its order.
#[derive(Debug, Default)]
struct Scanned {
    entries: Vec<(Key, TxId, Owned)>,
    damaged: Vec<DamagedKeys>,
}

fn scan(
    footer: &Footer,
    bounds: Bounds,
    direction: Direction,
    stretch: u32,
    file: &[u8],
    part: &dyn Fn(PartPlace) -> Part,
) -> Scanned {
    let mut scan = Scan::new(bounds, direction, stretch);
    let mut scanned = Scanned::default();
    loop {
        match scan.step(footer) {
            ScanStep::Need(place) if place.kind == crate::table::PartKind::Block => {
                let mut buffer = scan.take_buffer();
                buffer.extend_from_slice(read(file, place.offset, place.bytes));
                scan.feed_blocks(buffer);
            }
            ScanStep::Need(place) => scan.feed_index(footer, &part(place)),
            ScanStep::Entry(entry) => {
                let key = Key::from_bytes(entry.key).unwrap();
                scanned.entries.push((key, entry.tx, Owned::of(entry.version)));
            }
            ScanStep::Damaged(keys) => scanned.damaged.push(*keys),
            ScanStep::Newer(place) => panic!("nothing at {place:?} is newer"),
            ScanStep::End => return scanned,
        }
    }
}

fn within(bounds: &Bounds, key: &Key) -> bool {
    bounds.from <= *key && bounds.before.is_none_or(|before| *key < before)
}

/// Everything between the bounds is there as it was written, or is named as damaged; nothing else is there.
fn assert_scanned(model: &Model, bounds: &Bounds, direction: Direction, scanned: &Scanned) {
    let mut entries = scanned.entries.clone();
    if direction == Direction::Backward {
        entries.reverse();
    }
    assert!(entries.is_sorted_by(|(one, ..), (next, ..)| one < next), "in order");
    let mut entries = entries.into_iter().peekable();
    for (key, (tx, version)) in model.iter().filter(|(key, _)| within(bounds, key)) {
        if entries.next_if_eq(&(*key, *tx, version.clone())).is_none() {
            let is_named = scanned.damaged.iter().any(|keys| keys.covers(key));
            assert!(is_named, "{key:?} is left out in silence: {scanned:?}");
        }
    }
    assert_eq!(entries.next(), None, "a scan says nothing that was not written");
}

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];

/// A key that the model has, or one beside it.
fn any_key() -> impl Strategy<Value = Key> {
    let id = prop_oneof![
        (0..60_u64).prop_map(|id| number(1, id)),
        any::<u64>().prop_map(|id| number(1, id)),
        (0..60_u64).prop_map(|id| number(7, id << 40)),
        "[ab]{1,3}".prop_map(|id| text(1, &id)),
        "[a-z]{200,255}".prop_map(|id| text(9, &id)),
    ];
    id.boxed()
}

fn any_model() -> impl Strategy<Value = Model> {
    let version = prop_oneof![
        4 => "[a-z]{0,80}".prop_map(|text| Owned::Value(format!("\"{text}\"").into_bytes())),
        1 => (100..900_usize).prop_map(|length| Owned::Value(vec![b'7'; length])),
        1 => Just(Owned::Tombstone),
        1 => Just(Owned::Damaged),
    ];
    prop::collection::btree_map(any_key(), ((1..1000_u64).prop_map(TxId), version), 1..120)
}

fn any_options() -> impl Strategy<Value = BuilderOptions> {
    (20..600_usize, 1..3000_usize, 1..40_usize, any::<bool>()).prop_map(|(block, frame, section, is_compressed)| {
        BuilderOptions {
            block_bytes: block,
            frame_bytes: frame,
            section_keys: section,
            table_bytes: 0,
            compression: if is_compressed { Compression::Lz4 } else { Compression::None },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_table_answers_as_the_map_it_was_made_of(
        model in any_model(),
        options in any_options(),
        others in prop::collection::vec(any_key(), 20),
        bounds in prop::collection::vec((any_key(), prop::option::of(any_key()), 1..2000_u32), 6),
    ) {
        let table = build(&model, &[], options);
        let footer = table.footer();
        let part = from_file(&table.file);
        for key in model.keys().chain(&others) {
            prop_assert_eq!(ask(&footer, key, &part), expected(&model, key));
        }
        for (from, before, stretch) in bounds {
            for bounds in [Bounds { from, before }, Bounds::all()] {
                for direction in BOTH {
                    let scanned = scan(&footer, bounds, direction, stretch, &table.file, &part);
                    prop_assert!(scanned.damaged.is_empty());
                    assert_scanned(&model, &bounds, direction, &scanned);
                }
            }
        }
        // And so it does when all but the blocks is made again.
        let rebuilt = rebuild(&table.file, 512, u64::MAX, &footer.first_key, &footer.last_key);
        let again = Footer::rebuilt(IDENTITY, &rebuilt, footer.first_tx, footer.last_tx, false);
        prop_assert_eq!((&again.counts, rebuilt.has_lost), (&footer.counts, false));
        for key in model.keys().chain(&others) {
            prop_assert_eq!(ask(&again, key, &from_rebuilt(&table.file, &rebuilt)), expected(&model, key));
        }
    }
}

/// Keys of the model, and of each the one before and behind it.
fn probes(model: &Model) -> Vec<Key> {
    let near = (0..90).map(|id| number(1, 69_999 + id));
    near.chain([number(0, 1), number(9, 0), text(2, "aa"), text(2, "z")]).chain(model.keys().copied()).collect()
}

/// Every answer is the one of the model, or *damaged*; answers how many were damaged.
fn assert_right_or_damaged(
    model: &Model,
    footer: &Footer,
    file: &[u8],
    part: &dyn Fn(PartPlace) -> Part,
    keys: &[Key],
) -> usize {
    let mut damaged = 0;
    for key in keys {
        match ask(footer, key, part) {
            Said::Damaged(_) => damaged += 1,
            said => assert_eq!(said, expected(model, key), "{key:?}"),
        }
    }
    for direction in BOTH {
        assert_scanned(model, &Bounds::all(), direction, &scan(footer, Bounds::all(), direction, 300, file, part));
    }
    damaged
}

/// The table with something done to its file: asked through its footer, and through what is made again where that is lost
/// or `rebuilds`.
fn assert_damaged(model: &Model, table: &TestTable, file: &[u8], keys: &[Key], rebuilds: bool) -> usize {
    let place = table.built.footer_place;
    let written = &table.built.footer;
    let footer = Footer::decode_named(IDENTITY, place, read(file, place.offset, place.bytes));
    let damaged = match &footer {
        Ok(footer) => assert_right_or_damaged(model, footer, file, &from_file(file), keys),
        Err(_) => keys.len(),
    };
    if footer.is_ok() && !rebuilds {
        return damaged;
    }
    let rebuilt = rebuild(file, 512, table.built.file_bytes, &written.first_key, &written.last_key);
    let again = Footer::rebuilt(IDENTITY, &rebuilt, written.first_tx, written.last_tx, false);
    let of_rebuilt = assert_right_or_damaged(model, &again, file, &from_rebuilt(file, &rebuilt), keys);
    if footer.is_err() { of_rebuilt } else { damaged }
}

fn compressions() -> [BuilderOptions; 2] {
    [Compression::None, Compression::Lz4].map(|compression| BuilderOptions { compression, ..BuilderOptions::SMALL })
}

/// Where something stands, and every fortieth byte elsewhere.
fn places(file: &[u8]) -> impl Iterator<Item = usize> {
    (0..file.len())
        .filter(|at| at % 40 == 0 || file[at.saturating_sub(4)..file.len().min(at + 5)].iter().any(|byte| *byte != 0))
}

/// One turned bit anywhere: a few documents at most are damaged, and the rest is right. Every ninth key is asked in turn.
#[test]
fn one_turned_bit_never_makes_a_wrong_answer() {
    let model = thirty();
    for options in compressions() {
        let table = build(&model, &[], options);
        let keys = probes(&model);
        let (mut harmless, mut tried) = (0, 0);
        // The second table is like the first but for its blocks: of it, every fifth byte is enough.
        let step = if options.compression == Compression::None { 1 } else { 5 };
        for at in places(&table.file).step_by(step) {
            let mut file = table.file.clone();
            file[at] ^= 1 << (at % 8);
            let asked: Vec<Key> = keys.iter().skip(at % 9).step_by(9).copied().collect();
            let damaged = assert_damaged(&model, &table, &file, &asked, at % 5 == 0);
            assert!(damaged <= 8, "byte {at} damages {damaged} of {} keys", asked.len());
            harmless += usize::from(damaged == 0);
            tried += 1;
        }
        assert!(harmless > tried / 2, "filters and all that is made again cost nothing: {harmless} of {tried}");
    }
}

/// Likewise every bit of every byte, and every key.
#[test]
#[ignore = "takes four minutes, and finds what a sample of bits finds above: by hand, with `-- --ignored`"]
fn no_turned_bit_makes_a_wrong_answer() {
    let model = thirty();
    for options in compressions() {
        let table = build(&model, &[], options);
        for bit in 0..8 * table.file.len() {
            let mut file = table.file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            assert_damaged(&model, &table, &file, &probes(&model), true);
        }
    }
}

#[test]
fn a_file_cut_anywhere_never_makes_a_wrong_answer() {
    let model = thirty();
    let table = build(&model, &[], BuilderOptions::SMALL);
    let keys = probes(&model);
    for length in places(&table.file).step_by(5) {
        let asked: Vec<Key> = keys.iter().skip(length % 9).step_by(9).copied().collect();
        assert_damaged(&model, &table, &table.file[..length], &asked, true);
        // Zeros where something should be.
        let mut file = table.file.clone();
        file[length..].fill(0);
        assert_damaged(&model, &table, &file, &asked, false);
    }
}

/// A block, whole and of this very table, that stands where another one should.
#[test]
fn a_block_in_a_wrong_place_is_damage() {
    // Documents of one length, so that blocks are as long as one another.
    let model: Model =
        (0..40).map(|id| (number(1, id), (TxId(1), Owned::Value(format!("{id:020}").into_bytes())))).collect();
    let table =
        build(&model, &[], BuilderOptions { frame_bytes: 1 << 16, section_keys: 1 << 16, ..BuilderOptions::SMALL });
    let footer = table.footer();
    let part = from_file(&table.file);
    let Part::Index(index) = part(footer.sections[0].index) else { panic!("it is there") };
    let (one, other) = (index.place(3), index.place(7));
    assert_eq!(one.bytes, other.bytes);
    let range = |place: PartPlace| {
        let from = usize::try_from(place.offset).unwrap();
        from..from + place.bytes as usize
    };
    let mut file = table.file.clone();
    file.copy_within(range(one), range(other).start);
    let damaged = assert_damaged(&model, &table, &file, &model.keys().copied().collect::<Vec<_>>(), true);
    assert!((1..=4).contains(&damaged), "{damaged}");
    // The whole file of another table in this one's place.
    let other = TableIdentity { number: 4, ..IDENTITY };
    let place = table.built.footer_place;
    assert!(Footer::decode_named(other, place, table.read(place.part())).is_err());
    let moved = |place: PartPlace| Part::decode(other, place, table.read(place));
    let index = |place: PartPlace| if place == footer.sections[0].index { part(place) } else { moved(place) };
    assert_eq!(ask(&footer, &number(1, 7), &index), Said::Damaged(footer.last_tx));
}

#[test]
fn a_lost_filter_says_maybe_and_a_lost_index_or_block_is_damage() {
    let model = thirty();
    let table = build(&model, &[], BuilderOptions::SMALL);
    let footer = table.footer();
    let part = from_file(&table.file);
    let without = |kind: crate::table::PartKind| {
        let part = &part;
        move |place: PartPlace| if place.kind == kind { Part::Damaged } else { part(place) }
    };
    for key in probes(&model) {
        assert_eq!(ask(&footer, &key, &without(crate::table::PartKind::Filter)), expected(&model, &key));
        let in_section = footer.section_of(&key).is_some();
        for kind in [crate::table::PartKind::Index, crate::table::PartKind::Block] {
            match ask(&footer, &key, &without(kind)) {
                Said::Damaged(newest) => assert!(in_section && newest == footer.last_tx),
                said => assert_eq!((said, model.contains_key(&key)), (Said::Absent, false)),
            }
        }
    }
}

/// A block of another section, whole, fed where it does not belong: only the fences can tell.
#[test]
fn a_key_outside_the_fences_is_damage() {
    let table = build(&thirty(), &[], BuilderOptions::SMALL);
    let footer = table.footer();
    let part = from_file(&table.file);
    let Part::Index(other) = part(footer.sections[1].index) else { panic!("it is there") };
    let elsewhere = |place: PartPlace| match place.kind {
        crate::table::PartKind::Block => part(other.place(0)),
        _ => part(place),
    };
    assert_eq!(ask(&footer, &number(1, 70_003), &elsewhere), Said::Damaged(footer.last_tx));
}

#[test]
fn a_damaged_range_hides_keys_that_are_not_there_unless_its_filter_denies_them() {
    let model: Model = (0..20).map(|id| (number(1, 10 * id), (TxId(50), Owned::Value(b"1".to_vec())))).collect();
    // What the filter of the second range stood for: 145 and 146.
    let filter = {
        let lost: Model = [145, 146].map(|id| (number(1, id), (TxId(9), Owned::Tombstone))).into();
        let table = build(&lost, &[], BuilderOptions::SMALL);
        let place = table.footer().sections[0].filter;
        FilterPart::decode(IDENTITY, place.offset, table.read(place)).unwrap()
    };
    let (a, b, c, d) = (number(1, 33), number(1, 66), number(1, 140), text(1, "z"));
    let ranges = [Range(&a, &b, TxId(40), None), Range(&c, &d, TxId(60), Some(filter))];
    let table = build(&model, &ranges, BuilderOptions::SMALL);
    let footer = table.footer();
    assert_eq!((footer.damaged_ranges.len(), footer.last_tx, &*footer.last_key), (2, TxId(60), &*d));
    let part = from_file(&table.file);
    let says = |id: u64| ask(&footer, &number(1, id), &part);
    assert_eq!(says(32), Said::Absent);
    assert_eq!(says(33), Said::Damaged(TxId(40)));
    assert!(matches!(says(40), Said::Found(..)), "an entry of the table is its answer");
    assert_eq!(says(66), Said::Damaged(TxId(40)));
    assert_eq!(says(67), Said::Absent);
    assert_eq!((says(145), says(146)), (Said::Damaged(TxId(60)), Said::Damaged(TxId(60))));
    let denied = (201..1201).filter(|id| says(*id) == Said::Absent).count();
    assert!(denied > 950, "{denied}");
    for direction in BOTH {
        let scanned = scan(&footer, Bounds::all(), direction, 300, &table.file, &part);
        assert_scanned(&model, &Bounds::all(), direction, &scanned);
        assert_eq!((scanned.entries.len(), scanned.damaged.len()), (20, 2));
        let bounds = Bounds { from: number(1, 67), before: Some(number(1, 140)) };
        assert_eq!(scan(&footer, bounds, direction, 300, &table.file, &part).damaged, []);
    }
    // Of a table that holds damaged ranges alone nothing is absent between them.
    let table = build(&Model::new(), &ranges[..1], BuilderOptions::SMALL);
    let footer = table.footer();
    let says = |id: u64| ask(&footer, &number(1, id), &from_file(&table.file));
    assert_eq!((says(32), says(50)), (Said::Absent, Said::Damaged(TxId(40))));
    assert_eq!(scan(&footer, Bounds::all(), Direction::Forward, 300, &table.file, &part).damaged.len(), 1);
}

/// Where the lost footer had damaged ranges, what is not there may be meant by one.
#[test]
fn a_footer_made_again_denies_no_damaged_range() {
    let model = thirty();
    let table = build(&model, &[], BuilderOptions::SMALL);
    let written = table.footer();
    let rebuilt = rebuild(&table.file, 512, u64::MAX, &written.first_key, &written.last_key);
    let again = Footer::rebuilt(IDENTITY, &rebuilt, written.first_tx, written.last_tx, true);
    let part = from_rebuilt(&table.file, &rebuilt);
    assert_eq!(ask(&again, &number(1, 70_001), &part), Said::Damaged(written.last_tx));
    assert_eq!(ask(&again, &number(1, 70_003), &part), expected(&model, &number(1, 70_003)));
}
