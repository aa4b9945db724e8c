//! What an opening makes of the segments that it finds.

use docdb_protocol::{DatabaseId, DatabaseName};

use super::survey::Segment;
use super::*;
use crate::clock::WallTime;
use crate::disk::{DiskErrorKind, DiskReply};
use crate::log::SegmentName;

/// What a sealed segment held is unknown without its header, even where another begins at the very first byte.
#[test]
fn a_sealed_segment_without_a_header_is_damage() {
    let (id, name, created_at) = (DatabaseId::FIRST, DatabaseName::parse("a").unwrap(), WallTime(0));
    let directory = DiskPath::root().join("a");
    let path = |name: String| directory.join(&name);
    let segment = |name, path, header| Segment { name, path, length: 4096, header };
    let header = crate::log::SegmentHeader {
        directory: crate::log::DirectoryId::NONE,
        database: id,
        epoch: 2,
        start_lsn: Lsn(0),
        created_at,
        is_writable: true,
    };
    let last = segment(SegmentName::Active, path(active(&name)), Some(header));
    let lost = segment(SegmentName::Sealed(1), path(sealed(&name, 1)), None);
    let open = |segments| {
        let (name, directory, log_end) = (name.clone(), directory.clone(), Lsn(0));
        let mut io = Io::default();
        let subject = Subject { id, name, directory, created_at, log_end };
        let (mut job, _) = Opening::new(subject, Permit::Write, &Options::default());
        job.files = LogFiles::new(segments);
        let first = job.replayed(Replay::new(id, View::empty(16), Lsn(0), log_end, 0, 4096), &mut io);
        assert!(matches!(first, Progress::Submit(_)), "{first:?}");
        job
    };
    let mut whole = open(vec![last.clone()]);
    let next = whole.step(Ok(DiskReply::Done), u64::MAX, &mut Io::default());
    assert!(matches!(next, Progress::Submit(DiskOp::Open { mode: OpenMode::CreateNew, .. })), "it goes on: {next:?}");
    let mut damaged = open(vec![last, lost]);
    let mut io = Io::default();
    let synced = damaged.step(Ok(DiskReply::Done), u64::MAX, &mut io);
    assert!(matches!(synced, Progress::Submit(DiskOp::Sync { .. })), "what is shown is made durable: {synced:?}");
    // A disk that fails is read all the same.
    let named = damaged.step(Err(DiskError::new(DiskErrorKind::Io)), u64::MAX, &mut io);
    assert!(matches!(named, Progress::Submit(DiskOp::SyncDirectory { .. })), "and its names: {named:?}");
    let shown = damaged.step(Err(DiskError::new(DiskErrorKind::Io)), u64::MAX, &mut io);
    assert!(matches!(shown, Progress::Done(Opened::Damaged(..))), "{shown:?}");
}
