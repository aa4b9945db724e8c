//! Tables by themselves, before the engine uses them: building them, and reading from a set of them whose footers, indexes and
//! filters are in memory, while blocks are read from files in the page cache, or from memory.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use docdb_engine::DirectoryId;
use docdb_engine::read::{Answer, Bounds, Direction, Lookup, Part, PartRef, Scan, ScanStep, Step};
use docdb_engine::table::{
    Builder, BuilderOptions, Built, Closing, Compression, Entry, Footer, Job, Key, PartKind, PartPlace, TableIdentity,
    Version,
};
use docdb_protocol::{CollectionId, DatabaseId, DocumentId, TxId};

use super::Group;
use crate::embedded::{DOCUMENT_BYTES, Scattered};
use crate::grouping::Outcome;
use crate::report::{Report, Target};

/// Their ids are even numbers: a miss is an odd one.
const DOCUMENTS: u64 = 1_000_000;
/// What a scan reads at once.
const STRETCH_BYTES: u32 = 256 * 1024;
const READS_PER_LOOK_AT_THE_CLOCK: u64 = 1000;

/// A set of tables without compression, and documents to build others from.
pub(super) struct Tables {
    documents: Vec<Vec<u8>>,
    set: Vec<Table>,
    /// The last key of each.
    last_keys: Vec<Box<[u8]>>,
    in_memory: Vec<Vec<u8>>,
}

/// A table whose parts are known.
struct Table {
    file: File,
    footer: Footer,
    /// Of each section.
    filters: Vec<Part>,
    indexes: Vec<Part>,
}

/// Where blocks are read from.
#[derive(Clone, Copy)]
enum Source {
    Files,
    Memory,
}

impl Tables {
    pub(super) fn prepare(folder: &Path) -> Outcome<Tables> {
        let documents: Vec<Vec<u8>> = (0..1000).map(document).collect();
        let (mut set, mut in_memory, mut next) = (Vec::new(), Vec::new(), 0);
        while next < DOCUMENTS {
            let mut bytes = Vec::new();
            let built = build(&documents, &mut next, Compression::None, |piece| bytes.extend_from_slice(piece));
            let path = folder.join(format!("table-{}", set.len()));
            std::fs::write(&path, &bytes)?;
            set.push(Table::open(File::open(&path)?, built.footer, &bytes));
            in_memory.push(bytes);
        }
        let last_keys = set.iter().map(|table: &Table| table.footer.last_key.clone()).collect();
        Ok(Tables { documents, set, last_keys, in_memory })
    }

    /// The table that has a key if any has.
    fn table_of(&self, key: &Key) -> usize {
        self.last_keys.partition_point(|last_key| **last_key < **key).min(self.set.len() - 1)
    }

    fn read(&self, source: Source, table: usize, place: PartPlace, buffer: &mut Vec<u8>) -> Outcome<()> {
        let bytes = place.bytes as usize;
        match source {
            Source::Files => {
                buffer.resize(bytes, 0);
                self.set[table].file.read_exact_at(buffer, place.offset)?;
            }
            Source::Memory => {
                buffer.clear();
                buffer.extend_from_slice(&self.in_memory[table][usize::try_from(place.offset)?..][..bytes]);
            }
        }
        Ok(())
    }

    /// Random lookups a second, each document copied out; of ids that are there, or beside them.
    fn lookups(&self, source: Source, duration: Duration, odd: u64) -> Outcome<f64> {
        let (mut scattered, mut count, mut found) = (Scattered(1), 0, 0_u64);
        let (mut buffer, mut scratch, mut copy) = (Vec::new(), Vec::new(), vec![0; 2 * DOCUMENT_BYTES]);
        let start = Instant::now();
        while start.elapsed() < duration {
            for _ in 0..READS_PER_LOOK_AT_THE_CLOCK {
                let key = key(2 * scattered.below(DOCUMENTS) + odd);
                let table = self.table_of(&key);
                let Table { footer, filters, indexes, .. } = &self.set[table];
                let mut lookup = Lookup::new(key);
                let mut step = lookup.start(footer);
                let section = footer.section_of(&key);
                while let Step::Need(place) = step {
                    let section = section.expect("it needs a part of a section");
                    step = match place.kind {
                        PartKind::Filter => lookup.feed(footer, PartRef::from(&filters[section])),
                        PartKind::Index => lookup.feed(footer, PartRef::from(&indexes[section])),
                        PartKind::Block | PartKind::Collections | PartKind::Footer => {
                            self.read(source, table, place, &mut buffer)?;
                            lookup.feed(footer, PartRef::block(footer.identity, place, &buffer, &mut scratch))
                        }
                    };
                }
                if let Step::Answer(Answer::Found { version: Version::Value { document, .. }, .. }) = step {
                    copy[..document.len()].copy_from_slice(document);
                    found += u64::from(black_box(&copy)[0] != 0);
                }
            }
            count += READS_PER_LOOK_AT_THE_CLOCK;
        }
        assert_eq!(found, if odd == 0 { count } else { 0 }, "ids that are there are found");
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Random positioned reads a second, each of a block, and nothing else: what the page cache gives.
    fn raw_reads(&self, duration: Duration) -> Outcome<f64> {
        let mut scattered = Scattered(1);
        let places = self.set.iter().enumerate().flat_map(|(number, table)| {
            let indexes =
                table.indexes.iter().filter_map(|part| if let Part::Index(index) = part { Some(index) } else { None });
            indexes.flat_map(move |index| (0..index.len()).map(move |block| (number, index.place(block))))
        });
        let places: Vec<(usize, PartPlace)> = places.collect();
        let (mut buffer, mut count) = (Vec::new(), 0);
        let start = Instant::now();
        while start.elapsed() < duration {
            for _ in 0..READS_PER_LOOK_AT_THE_CLOCK {
                let (table, place) = places[usize::try_from(scattered.below(places.len() as u64))?];
                self.read(Source::Files, table, place, &mut buffer)?;
                black_box(&buffer);
            }
            count += READS_PER_LOOK_AT_THE_CLOCK;
        }
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Documents a second of a scan through everything, each looked at.
    fn scan(&self, source: Source) -> Outcome<f64> {
        let (start, mut count, mut bytes) = (Instant::now(), 0_u64, 0);
        for (number, table) in self.set.iter().enumerate() {
            let mut scan = Scan::new(Bounds::all(), Direction::Forward, STRETCH_BYTES);
            loop {
                match scan.step(&table.footer) {
                    ScanStep::Need(place) if place.kind == PartKind::Block => {
                        let mut buffer = scan.take_buffer();
                        self.read(source, number, place, &mut buffer)?;
                        scan.feed_blocks(buffer);
                    }
                    ScanStep::Need(place) => {
                        let is_it = |section: &docdb_engine::table::Section| section.index == place;
                        let section = table.footer.sections.iter().position(is_it).expect("it is one of them");
                        scan.feed_index(&table.footer, &table.indexes[section]);
                    }
                    ScanStep::Entry(entry) => {
                        count += 1;
                        if let Version::Value { document, .. } = black_box(entry).version {
                            bytes += document.len();
                        }
                    }
                    ScanStep::Damaged(_) | ScanStep::Newer(_) => return Err("a table is damaged".into()),
                    ScanStep::End => break,
                }
            }
        }
        assert!(count == DOCUMENTS && bytes > 0, "everything was scanned");
        Ok(count as f64 / start.elapsed().as_secs_f64())
    }

    /// Megabytes of documents a second that become tables, and what each document takes in a file.
    fn build_all(&self, compression: Compression) -> (f64, f64) {
        let (start, mut next, mut document_bytes, mut file_bytes) = (Instant::now(), 0, 0, 0);
        while next < DOCUMENTS {
            let built = build(&self.documents, &mut next, compression, |piece| {
                black_box(piece);
            });
            document_bytes += built.footer.counts.document_bytes;
            file_bytes += built.file_bytes;
        }
        (document_bytes as f64 / 1e6 / start.elapsed().as_secs_f64(), file_bytes as f64 / DOCUMENTS as f64)
    }
}

impl Table {
    fn open(file: File, footer: Footer, bytes: &[u8]) -> Table {
        let part = |place: PartPlace| {
            let from = usize::try_from(place.offset).expect("a table is a few MiB");
            Part::decode(footer.identity, place, &bytes[from..][..place.bytes as usize])
        };
        let filters = footer.sections.iter().map(|section| part(section.filter)).collect();
        let indexes = footer.sections.iter().map(|section| part(section.index)).collect();
        Table { file, footer, filters, indexes }
    }
}

impl Group for Tables {
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        let (plain, plain_bytes) = self.build_all(Compression::None);
        let (lz4, lz4_bytes) = self.build_all(Compression::Lz4);
        report.figure("tables: built, MB/s of documents", plain);
        report.figure("tables: built with LZ4, MB/s of documents", lz4);
        report.figure("tables: bytes of file a document", plain_bytes);
        report.figure("tables: bytes of file a document with LZ4", lz4_bytes);
        let lookup_bytes: u64 = self.set.iter().map(|table| table.footer.lookup_bytes()).sum();
        let a_document = lookup_bytes as f64 / DOCUMENTS as f64;
        report.goal("tables: index and filter, bytes a document", Target::AtMost(3.0), a_document);
        report.figure("tables: random lookups/s, blocks in memory", self.lookups(Source::Memory, duration, 0)?);
        let of_files = self.lookups(Source::Files, duration, 0)?;
        report.goal("tables: random lookups/s, blocks in files", Target::AtLeast(450_000.0), of_files);
        let raw = self.raw_reads(duration)?;
        report.figure("tables: random positioned reads of blocks/s", raw);
        report.figure("tables: lookups of positioned reads", of_files / raw);
        let misses = self.lookups(Source::Files, duration, 1)?;
        report.goal("tables: random misses/s", Target::AtLeast(1_500_000.0), misses);
        report.figure("tables: scan, documents/s, blocks in memory", self.scan(Source::Memory)?);
        let of_files = self.scan(Source::Files)?;
        report.goal("tables: scan, documents/s, blocks in files", Target::AtLeast(1_500_000.0), of_files);
        Ok(())
    }
}

fn key(id: u64) -> Key {
    Key::new(CollectionId(1), &DocumentId::Number(id))
}

/// A document of about the usual size, of fields whose names repeat and whose values do not.
fn document(seed: u64) -> Vec<u8> {
    let mut scattered = Scattered(seed + 1);
    let mut text = String::from("{");
    while text.len() < DOCUMENT_BYTES - 36 {
        text += &format!(r#""field_{:02}":"{:014x}","#, text.len() / 30, scattered.below(1 << 31) * 0x1_2345);
    }
    let rest = "x".repeat(DOCUMENT_BYTES - text.len() - r#""end":""}"#.len());
    text += &format!(r#""end":"{rest}"}}"#);
    text.into_bytes()
}

/// One table of the next documents, whose pieces `write` is given.
fn build(documents: &[Vec<u8>], next: &mut u64, compression: Compression, mut write: impl FnMut(&[u8])) -> Built {
    let identity = TableIdentity { database: DatabaseId::FIRST, number: *next + 1 };
    let options = BuilderOptions { compression, ..BuilderOptions::default() };
    let mut builder = Builder::new(DirectoryId(1), identity, options);
    while *next < DOCUMENTS && !builder.is_full() {
        let document = &documents[usize::try_from(*next).expect("a million at most") % documents.len()];
        let version = Version::Value { document, crc32: 7 };
        builder.push(&Entry { key: &key(2 * *next), tx: TxId(1 + *next / 1000), version });
        *next += 1;
        while let Some(piece) = builder.take_piece() {
            write(&piece.bytes);
        }
    }
    let job = Job { is_last_output: *next == DOCUMENTS, ..Job::default() };
    let closing = Closing { generation: 1, job, next_collection: CollectionId(2), collections: &[] };
    let built = builder.finish(closing);
    built.pieces.iter().for_each(|piece| write(&piece.bytes));
    built
}
