//! One segment, read from its front to where its part of the log ends, in slices.
//!
//! ```text
//! batch after batch, each checked record by record as its bytes come, up to where a later segment begins
//! no whole batch -> look ahead, to the end of the file, for whole batches
//!     nothing proves that the log was durable here -> a torn tail: the log ends
//!     otherwise it is damage -> salvage the records up to the next whole batch, and go on there
//! ```
//!
//! The walk says which bytes it wants next, and the job that reads the file gives it one slice at a time. So the work between
//! two reads is that of one slice, and of the one record or header that ends in it. Damage is read a second time, for
//! salvaging, rather than held until it is known to be damage.
//!
//! Memory: a slice and the record or header that it ends in the middle of; the records of one batch, most of which the
//! state has too; behind the first gap the places of all batches that follow in the segment.
//!
//! It never judges what damage means for the state: the replay does.

use std::ops::ControlFlow;

use super::batch_header::BatchHeader;
use super::gap::Gap;
use super::record::{Place, Record};
use super::replayed::Replayed;
use super::{Decoded, Lsn, RecordKind, Repetition, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::disk::SECTOR_BYTES;

/// What a replay wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Bytes of the segment, `offset` of them behind its header.
    Bytes { offset: u64, bytes: u32 },
    /// No more of this segment.
    Nothing,
    /// A later version wrote it.
    Newer,
}

/// See the module. Offsets are counted from the first byte behind the segment's header.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    header: SegmentHeader,
    /// Names the segment in errors.
    file: String,
    /// The smallest start of any later segment.
    limit: Option<Lsn>,
    /// Where the file ends.
    end: u64,
    slice_bytes: u32,
    /// The bytes at hand, and where the first of them stands.
    bytes: Vec<u8>,
    bytes_at: u64,
    step: Step,
    /// The batches behind the first gap, once they were looked for.
    later: Option<Later>,
}

#[derive(Clone, Debug)]
enum Step {
    /// At the replay's Lsn a batch should begin.
    Batch,
    /// Its header is whole.
    Records(Unfinished),
    /// There is no whole batch, but perhaps there are others behind it, from `at` on.
    LookAhead { at: u64, torn: Vec<Record>, later: Later },
    /// It is damage: what is left of it, from `at` on.
    Salvage { at: u64, end: u64, gap: Gap, next: Option<u64> },
}

/// A batch that is being read.
#[derive(Clone, Debug)]
struct Unfinished {
    header: BatchHeader,
    /// Where the next record stands in the batch.
    at: usize,
    read: u32,
    records: Vec<Record>,
    /// How many of these belong to whole transactions; the state has them.
    whole: usize,
}

/// The batches behind a gap. They are looked for once a segment, however many gaps it has.
#[derive(Clone, Debug, Default)]
struct Later {
    /// Offset, and the largest watermark of this and all that follow; by offset.
    found: Vec<(u64, Lsn)>,
    /// What the first batch at or beyond the limit repeats. That batch is no part of the log; but it was written behind
    /// what stands below the limit, so what it repeats of that is true.
    beyond: Option<Repetition>,
}

impl Later {
    /// The first batch behind `offset`, and the largest watermark of all there.
    fn behind(&self, offset: u64) -> (Option<u64>, Lsn) {
        match self.found.get(self.found.partition_point(|(at, _)| *at <= offset)) {
            Some((at, watermark)) => (Some(*at), *watermark),
            None => (None, Lsn(0)),
        }
    }

    fn ended(mut self) -> Later {
        let mut largest = Lsn(0);
        for (_, watermark) in self.found.iter_mut().rev() {
            largest = largest.max(*watermark);
            *watermark = largest;
        }
        self
    }
}

/// The next step, or what the walk wants first.
type Next = ControlFlow<Want, Step>;

impl Walk {
    /// `bytes` is how long the segment is behind its header.
    pub(super) fn new(header: SegmentHeader, file: &str, bytes: u64, limit: Option<Lsn>, slice_bytes: u32) -> Walk {
        Walk {
            header,
            file: file.to_owned(),
            limit,
            end: bytes,
            slice_bytes: slice_bytes.max(1),
            bytes: Vec::new(),
            bytes_at: 0,
            step: Step::Batch,
            later: None,
        }
    }

    /// Takes the bytes that were wanted last; none at all where the file ends sooner than it was said to.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if bytes.is_empty() {
            self.end = self.bytes_end();
        }
    }

    /// Goes on until it needs bytes that are not at hand.
    pub(super) fn run(&mut self, replay: &mut Replayed) -> Want {
        loop {
            let next = match std::mem::replace(&mut self.step, Step::Batch) {
                Step::Batch => self.batch(replay),
                Step::Records(batch) => self.records(batch, replay),
                Step::LookAhead { at, torn, later } => self.look_ahead(at, torn, later, replay),
                Step::Salvage { at, end, gap, next } => self.salvage(at, end, gap, next, replay),
            };
            match next {
                Next::Continue(step) => self.step = step,
                Next::Break(want) => return want,
            }
        }
    }

    fn batch(&mut self, replay: &mut Replayed) -> Next {
        if self.limit.is_some_and(|limit| replay.lsn >= limit) {
            return Next::Break(Want::Nothing);
        }
        let offset = self.offset(replay.lsn);
        let Some(bytes) = self.at(offset) else { return self.wants(offset, Step::Batch) };
        match self.header_at(replay, offset, bytes) {
            Decoded::Whole(header) => {
                if let Some(before) = &header.before {
                    replay.hear(before);
                }
                replay.hear_no_more();
                let at = header.header_bytes;
                Next::Continue(Step::Records(Unfinished { header, at, read: 0, records: Vec::new(), whole: 0 }))
            }
            Decoded::Begun(bytes) if self.may_come(offset, bytes) => self.wants(offset, Step::Batch),
            Decoded::Newer => Next::Break(Want::Newer),
            Decoded::Begun(_) | Decoded::Nothing => self.gap(Vec::new(), replay),
        }
    }

    fn records(&mut self, mut batch: Unfinished, replay: &mut Replayed) -> Next {
        let offset = self.offset(replay.lsn);
        while batch.read < batch.header.records {
            let at = offset + batch.at as u64;
            let Some(bytes) = self.at(at) else { return self.wants(at, Step::Records(batch)) };
            match Record::decode(self.place(replay, at), bytes) {
                Decoded::Whole(record) => batch.take(record, replay),
                Decoded::Begun(bytes) if self.may_come(at, bytes) => {
                    return self.wants(at, Step::Records(batch));
                }
                Decoded::Newer => return Next::Break(Want::Newer),
                Decoded::Begun(_) | Decoded::Nothing => break,
            }
        }
        let whole = batch.at == batch.header.header_bytes + batch.header.body_bytes;
        batch.records.truncate(batch.whole);
        if !whole {
            return self.gap(batch.records, replay);
        }
        replay.batch(self.header.start_lsn, batch.header, batch.records);
        Next::Continue(Step::Batch)
    }

    /// There is no whole batch at the replay's Lsn; `torn` are the whole transactions at its front, which the state
    /// has.
    fn gap(&mut self, torn: Vec<Record>, replay: &mut Replayed) -> Next {
        let offset = self.offset(replay.lsn);
        let Some(later) = &self.later else {
            let at = offset.saturating_add(SECTOR_BYTES as u64);
            return Next::Continue(Step::LookAhead { at, torn, later: Later::default() });
        };
        let (next, watermark) = later.behind(offset);
        let proven = replay.proven.max(watermark);
        if proven <= replay.lsn {
            replay.torn(self.header.start_lsn, torn);
            return Next::Break(Want::Nothing);
        }
        replay.prove(proven);
        let from = replay.lsn;
        let to = next.map_or(self.limit.unwrap_or(proven), |offset| self.lsn(offset));
        let file_offset = SEGMENT_HEADER_BYTES as u64 + offset;
        let gap = Gap { file: self.file.clone(), file_offset, from, to, salvaged: Vec::new() };
        let end = self.offset(to).min(self.end);
        Next::Continue(Step::Salvage { at: offset, end, gap, next })
    }

    fn look_ahead(&mut self, mut at: u64, torn: Vec<Record>, mut later: Later, replay: &mut Replayed) -> Next {
        while at < self.end {
            let Some(bytes) = self.at(at) else { return self.wants(at, Step::LookAhead { at, torn, later }) };
            match self.header_at(replay, at, bytes) {
                Decoded::Whole(header) if self.limit.is_some_and(|limit| self.lsn(at) >= limit) => {
                    later.beyond = header.before;
                    break;
                }
                Decoded::Whole(header) => later.found.push((at, header.watermark)),
                Decoded::Begun(bytes) if self.may_come(at, bytes) => {
                    return self.wants(at, Step::LookAhead { at, torn, later });
                }
                Decoded::Newer => return Next::Break(Want::Newer),
                Decoded::Begun(_) | Decoded::Nothing => {}
            }
            at += SECTOR_BYTES as u64;
        }
        self.later = Some(later.ended());
        self.gap(torn, replay)
    }

    /// Gathers the records that are whole within a gap. Each says where it stands, so it can be recognised without a header.
    fn salvage(&mut self, mut at: u64, end: u64, mut gap: Gap, next: Option<u64>, replay: &mut Replayed) -> Next {
        let database = replay.database.get().to_le_bytes();
        while at < end {
            let Some(bytes) = self.at(at) else { return self.wants(at, Step::Salvage { at, end, gap, next }) };
            let bytes = &bytes[..bytes.len().min(usize::try_from(end - at).unwrap_or(usize::MAX))];
            // The cheapest comparison first: this is done at every byte.
            let decoded = match Record::database_of(bytes) {
                Some(other) if *other != database => Decoded::Nothing,
                Some(_) | None => Record::decode(self.place(replay, at), bytes),
            };
            match decoded {
                Decoded::Whole(record) => {
                    let lsn = self.lsn(at);
                    at += record.bytes() as u64;
                    gap.salvaged.push((lsn, record));
                }
                Decoded::Begun(bytes) if at + bytes as u64 <= end && self.may_come(at, bytes) => {
                    return self.wants(at, Step::Salvage { at, end, gap, next });
                }
                Decoded::Newer => return Next::Break(Want::Newer),
                Decoded::Begun(_) | Decoded::Nothing => at += 1,
            }
        }
        replay.lsn = gap.to;
        replay.wait_for_name(gap);
        if let Some(before) = self.later.as_ref().and_then(|later| later.beyond.as_ref())
            && next.is_none()
        {
            replay.hear(before);
        }
        if next.is_some() { Next::Continue(Step::Batch) } else { Next::Break(Want::Nothing) }
    }

    fn header_at(&self, replay: &Replayed, offset: u64, bytes: &[u8]) -> Decoded<BatchHeader> {
        BatchHeader::decode(replay.database, self.header.epoch, self.header.start_lsn, self.lsn(offset), bytes)
    }

    fn place(&self, replay: &Replayed, offset: u64) -> Place {
        Place { database: replay.database, epoch: self.header.epoch, lsn: self.lsn(offset) }
    }

    fn lsn(&self, offset: u64) -> Lsn {
        Lsn(self.header.start_lsn.0 + offset)
    }

    fn offset(&self, lsn: Lsn) -> u64 {
        lsn.0.saturating_sub(self.header.start_lsn.0)
    }

    fn bytes_end(&self) -> u64 {
        self.bytes_at + self.bytes.len() as u64
    }

    /// The bytes at hand from `offset` on; none where the file has none; `None` where it has and they are not at hand.
    fn at(&self, offset: u64) -> Option<&[u8]> {
        if offset >= self.end {
            return Some(&[]);
        }
        let from = usize::try_from(offset.checked_sub(self.bytes_at)?).ok()?;
        self.bytes.get(from..).filter(|bytes| !bytes.is_empty())
    }

    /// Whether the file has so many bytes from `offset` on: those that are not at hand can be read.
    fn may_come(&self, offset: u64, bytes: usize) -> bool {
        offset.saturating_add(bytes as u64) <= self.end
    }

    /// The next slice, of which `step` needs what stands from `offset` on.
    fn wants(&mut self, offset: u64, step: Step) -> Next {
        self.step = step;
        let held = offset.checked_sub(self.bytes_at).and_then(|held| usize::try_from(held).ok());
        match held.filter(|held| *held <= self.bytes.len()) {
            Some(held) => drop(self.bytes.drain(..held)),
            None => self.bytes.clear(),
        }
        self.bytes_at = offset;
        let rest = self.end.saturating_sub(self.bytes_end());
        let bytes = u32::try_from(rest).unwrap_or(u32::MAX).min(self.slice_bytes);
        Next::Break(Want::Bytes { offset: self.bytes_end(), bytes })
    }
}

impl Unfinished {
    fn take(&mut self, record: Record, replay: &mut Replayed) {
        self.at += record.bytes();
        self.read += 1;
        let others = (self.records.len() - self.whole) as u64;
        let is_whole = match record.kind {
            RecordKind::Commit => record.document.as_number() == Some(others),
            // It stands between two transactions.
            RecordKind::Checkpoint => others == 0,
            RecordKind::Create | RecordKind::Update | RecordKind::Delete | RecordKind::CreateCollection => false,
        };
        self.records.push(record);
        if is_whole {
            self.records[self.whole..].iter().for_each(|record| replay.apply(record));
            self.whole = self.records.len();
        }
    }
}
