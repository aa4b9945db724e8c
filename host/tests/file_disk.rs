//! Every operation of the disk, over real files.

mod support;

use std::os::unix::fs::PermissionsExt;

use docdb::file_disk::{FileDisk, Worker};
use docdb_engine::{Buffer, Disk, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};
use support::{Direct, path};

fn open(file: u64, at: &str, mode: OpenMode) -> DiskOp {
    DiskOp::Open { file: FileId(file), path: path(at), mode }
}

fn write(file: u64, offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Write { file: FileId(file), offset, buffers: vec![Buffer::from(bytes.to_vec())] }
}

fn read(file: u64, offset: u64, bytes: u32) -> DiskOp {
    DiskOp::Read { file: FileId(file), offset, bytes }
}

fn bytes(reply: DiskReply) -> Vec<u8> {
    let DiskReply::Data(buffer) = reply else { panic!("{reply:?} is no data") };
    buffer.as_slice().to_vec()
}

#[test]
fn what_was_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    disk.run(open(1, "a", OpenMode::CreateNew)).unwrap();
    assert_eq!(bytes(disk.run(read(1, 0, 10)).unwrap()), b"", "an empty file is at its end");

    let buffers = vec![Buffer::from(b"Mo".to_vec()), Buffer::from(Vec::new()), Buffer::from(b"mo!".to_vec())];
    let written = disk.run(DiskOp::Write { file: FileId(1), offset: 3, buffers }).unwrap();
    assert_eq!(written, DiskReply::Written(5));
    assert_eq!(bytes(disk.run(read(1, 0, 100)).unwrap()), b"\0\0\0Momo!", "a gap reads as zeros");
    assert_eq!(bytes(disk.run(read(1, 5, 2)).unwrap()), b"mo");
    assert_eq!(bytes(disk.run(read(1, 8, 2)).unwrap()), b"");
    assert_eq!(disk.run(DiskOp::Length { file: FileId(1) }).unwrap(), DiskReply::Length(8));
    assert_eq!(disk.run(DiskOp::Sync { file: FileId(1) }).unwrap(), DiskReply::Done);
    assert_eq!(disk.run(DiskOp::Close { file: FileId(1) }).unwrap(), DiskReply::Done);

    disk.run(open(2, "a", OpenMode::Read)).unwrap();
    assert_eq!(bytes(disk.run(read(2, 3, 5)).unwrap()), b"Momo!");
    assert_eq!(disk.kind(write(2, 0, b"x")), Err(DiskErrorKind::Io), "it was opened to be read");
}

#[test]
fn more_buffers_than_one_system_call_takes_are_written_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    disk.run(open(1, "a", OpenMode::CreateNew)).unwrap();
    let expected: Vec<u8> = (0..3000_u32).flat_map(u32::to_le_bytes).collect();
    let buffers = expected.chunks(4).map(|part| Buffer::from(part.to_vec())).collect();
    let written = disk.run(DiskOp::Write { file: FileId(1), offset: 0, buffers }).unwrap();
    assert_eq!(written, DiskReply::Written(12_000));
    assert_eq!(bytes(disk.run(read(1, 0, 20_000)).unwrap()), expected);
}

#[test]
fn allocating_fills_with_zeros_and_takes_the_space() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    disk.run(open(1, "a", OpenMode::CreateNew)).unwrap();
    disk.run(write(1, 0, &[7; 1000])).unwrap();
    disk.run(DiskOp::Allocate { file: FileId(1), offset: 100, bytes: 1024 * 1024 + 13 }).unwrap();
    disk.run(DiskOp::Sync { file: FileId(1) }).unwrap();
    let content = std::fs::read(directory.path().join("a")).unwrap();
    assert_eq!(content.len(), 100 + 1024 * 1024 + 13);
    assert!(content[..100].iter().all(|byte| *byte == 7));
    assert!(content[100..].iter().all(|byte| *byte == 0));
    let blocks = std::fs::metadata(directory.path().join("a")).unwrap().blocks();
    assert!(blocks * 512 >= 1024 * 1024, "no holes: {blocks} blocks");
}

#[test]
fn names_follow_the_rules() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    assert_eq!(disk.kind(open(1, "a", OpenMode::Read)), Err(DiskErrorKind::NotFound));
    assert_eq!(disk.kind(open(2, "a", OpenMode::Write)), Err(DiskErrorKind::NotFound));
    disk.run(DiskOp::MakeDirectory { path: path("d") }).unwrap();
    assert_eq!(disk.kind(DiskOp::MakeDirectory { path: path("d") }), Err(DiskErrorKind::Exists));
    assert_eq!(disk.kind(DiskOp::MakeDirectory { path: path("e/f") }), Err(DiskErrorKind::NotFound));
    disk.run(open(3, "d/a", OpenMode::CreateNew)).unwrap();
    assert_eq!(disk.kind(open(4, "d/a", OpenMode::CreateNew)), Err(DiskErrorKind::Exists));

    disk.run(DiskOp::Link { from: path("d/a"), to: path("d/b") }).unwrap();
    assert_eq!(disk.kind(DiskOp::Link { from: path("d/a"), to: path("d/b") }), Err(DiskErrorKind::Exists));
    let rename = |from, to, replace| DiskOp::Rename { from: path(from), to: path(to), replace };
    assert_eq!(disk.kind(rename("d/a", "d/b", false)), Err(DiskErrorKind::Exists));
    disk.run(rename("d/a", "d/c", false)).unwrap();
    assert_eq!(disk.kind(rename("d/a", "d/x", true)), Err(DiskErrorKind::NotFound));
    disk.run(open(5, "d/n", OpenMode::CreateNew)).unwrap();
    disk.run(rename("d/n", "d/c", true)).unwrap();

    disk.run(DiskOp::Unlink { path: path("d/b") }).unwrap();
    assert_eq!(disk.kind(DiskOp::Unlink { path: path("d/b") }), Err(DiskErrorKind::NotFound));
    disk.run(write(3, 0, b"still usable")).unwrap();
    assert_eq!(bytes(disk.run(read(3, 0, 99)).unwrap()), b"still usable");

    disk.run(DiskOp::SyncDirectory { path: path("d") }).unwrap();
    disk.run(DiskOp::SyncDirectory { path: path("") }).unwrap();
    assert_eq!(disk.kind(DiskOp::SyncDirectory { path: path("nowhere") }), Err(DiskErrorKind::NotFound));
    let DiskReply::Space(space) = disk.run(DiskOp::FreeSpace).unwrap() else { panic!("free space is a space") };
    assert!(space > 0);
}

#[test]
fn listings_are_sorted_and_bounded() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["b", "a", "c", "B", "ä", "ab"] {
        std::fs::write(directory.path().join(name), "").unwrap();
    }
    let mut disk = Direct::open(directory.path());
    let mut list = |after: &str, limit| {
        let reply = disk.run(DiskOp::List { path: path(""), after: after.into(), limit }).unwrap();
        let DiskReply::Names(names) = reply else { panic!("a listing has names") };
        names.iter().map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list("", 100), ["B", "a", "ab", "b", "c", "ä"]);
    assert_eq!(list("", 2), ["B", "a"]);
    assert_eq!(list("a", 3), ["ab", "b", "c"]);
    assert_eq!(list("c", 3), ["ä"]);
    assert_eq!(list("ä", 3), [""; 0]);
    assert_eq!(list("", 0), [""; 0]);
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("secret"), "untouched").unwrap();
    std::os::unix::fs::symlink(elsewhere.path().join("secret"), directory.path().join("a")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), directory.path().join("d")).unwrap();
    let mut disk = Direct::open(directory.path());
    assert_eq!(disk.kind(open(1, "a", OpenMode::Write)), Err(DiskErrorKind::Io));
    assert_eq!(disk.kind(open(2, "a", OpenMode::CreateNew)), Err(DiskErrorKind::Exists));
    assert_eq!(disk.kind(DiskOp::List { path: path("d"), after: "".into(), limit: 9 }), Err(DiskErrorKind::Io));
}

#[test]
fn others_may_not_read_what_we_make() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    disk.run(DiskOp::MakeDirectory { path: path("d") }).unwrap();
    disk.run(open(1, "d/a", OpenMode::CreateNew)).unwrap();
    let mode = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("d") & 0o027, 0, "others nothing, the group no writing");
    assert_eq!(mode("d/a") & 0o137, 0);
}

#[test]
fn cached_bytes_are_read_within_submit() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = Direct::open(directory.path());
    disk.run(open(1, "a", OpenMode::CreateNew)).unwrap();
    disk.run(write(1, 0, b"warm")).unwrap();
    disk.disk.submit(OpId(1000), read(1, 0, 4));
    assert_eq!(disk.disk.ready(Worker::Lane), 0, "nothing was queued");
    assert_eq!(bytes(disk.disk.poll().unwrap().result.unwrap()), b"warm");
}

#[test]
fn names_are_worked_on_in_their_order_and_long_work_is_left_to_lanes() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::open(directory.path()).unwrap();
    disk.submit(OpId(1), open(1, "a", OpenMode::CreateNew));
    disk.submit(OpId(2), DiskOp::Rename { from: path("a"), to: path("b"), replace: false });
    disk.submit(OpId(3), DiskOp::SyncDirectory { path: path("") });
    let first = disk.take(Worker::Caller).unwrap();
    assert!(disk.take(Worker::Lane).is_none(), "the rename waits for the name it renames");
    disk.finish(first.run());
    let rename = disk.take(Worker::Caller).unwrap();
    assert!(disk.take(Worker::Lane).is_none(), "the sync covers the rename");
    disk.finish(rename.run());
    let sync = disk.take(Worker::Caller).unwrap();
    disk.submit(OpId(4), DiskOp::Unlink { path: path("b") });
    let unlink = disk.take(Worker::Lane).expect("names go on while a directory is synced");
    disk.finish(unlink.run());
    disk.finish(sync.run());
    let order: Vec<u64> = std::iter::from_fn(|| disk.poll()).map(|completion| completion.id.0).collect();
    assert_eq!(order, [1, 2, 4, 3]);

    disk.submit(OpId(5), DiskOp::Allocate { file: FileId(1), offset: 0, bytes: 1 << 20 });
    assert!(disk.take(Worker::Caller).is_none(), "a caller has its own answer to wait for");
    let allocate = disk.take(Worker::Lane).unwrap();
    disk.finish(allocate.run());
    disk.submit(OpId(6), DiskOp::Sync { file: FileId(1) });
    assert!(disk.take(Worker::Caller).is_none(), "a sync after a long allocation is long");
    let sync = disk.take(Worker::Lane).unwrap();
    disk.finish(sync.run());
    disk.submit(OpId(7), DiskOp::Sync { file: FileId(1) });
    assert!(disk.take(Worker::Caller).is_some(), "the next one is brief");
}
