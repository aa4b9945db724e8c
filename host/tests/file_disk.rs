//! Every operation of the disk, over real files.

mod support;

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use docdb::internals::{FileDisk, Worker};
use docdb::internals::{Kernel, System};
use docdb_engine::{Buffer, Disk, DiskErrorKind, DiskOp, DiskReply, FileId, OpId, OpenMode};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use support::{Direct, path};

fn open(file: u64, at: &str, mode: OpenMode) -> DiskOp {
    DiskOp::Open { file: FileId(file), path: path(at), mode }
}

fn write(file: u64, offset: u64, bytes: &[u8]) -> DiskOp {
    DiskOp::Write { file: FileId(file), offset, buffers: vec![Buffer::from(bytes.to_vec())] }
}

fn read(file: u64, offset: u64, bytes: u32) -> DiskOp {
    DiskOp::Read { file: FileId(file), offset, bytes, bulk: false }
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

/// A process that runs out of descriptors.
#[derive(Debug, Default)]
struct Few {
    /// There are none any more.
    none: AtomicBool,
    /// So many openings fail, as if others had taken the descriptors.
    refusals: AtomicUsize,
    duplicated: AtomicUsize,
}

impl Kernel for Few {
    fn open(&self, at: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let refused =
            self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |refusals| refusals.checked_sub(1)).is_ok();
        if refused || self.none.load(Ordering::SeqCst) {
            return Err(Errno::MFILE);
        }
        System.open(at, path, flags, mode)
    }

    fn duplicate(&self, of: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
        if self.none.load(Ordering::SeqCst) {
            return Err(Errno::MFILE);
        }
        self.duplicated.fetch_add(1, Ordering::SeqCst);
        System.duplicate(of)
    }
}

#[test]
fn syncing_the_directory_of_an_open_file_needs_no_descriptor() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = Arc::new(Few::default());
    let mut disk = Direct::over(directory.path(), Arc::clone(&kernel) as Arc<dyn Kernel>);
    for name in ["db", "db/a"] {
        disk.run(DiskOp::MakeDirectory { path: path(name) }).unwrap();
    }
    disk.run(open(1, "db/a/a.wal", OpenMode::CreateNew)).unwrap();
    // Others come and go meanwhile.
    for number in 0..20 {
        disk.run(DiskOp::MakeDirectory { path: path(&format!("db/b{number}")) }).unwrap();
    }
    kernel.none.store(true, Ordering::SeqCst);
    for name in ["db/a", "db", ""] {
        assert_eq!(disk.kind(DiskOp::SyncDirectory { path: path(name) }), Ok(DiskReply::Done), "{name:?}");
    }
    assert_eq!(disk.kind(DiskOp::Sync { file: FileId(1) }), Ok(DiskReply::Done));
    // What begins something is refused, and nothing is left of it.
    assert_eq!(disk.kind(DiskOp::MakeDirectory { path: path("db/c") }), Err(DiskErrorKind::Shortage));
    assert_eq!(disk.kind(open(2, "db/a/a.wal", OpenMode::Read)), Err(DiskErrorKind::Shortage));
    assert!(!directory.path().join("db/c").exists());
    kernel.none.store(false, Ordering::SeqCst);
    disk.run(DiskOp::MakeDirectory { path: path("db/c") }).unwrap();
}

#[test]
fn what_goes_on_uses_descriptors_that_were_kept_back() {
    let directory = tempfile::tempdir().unwrap();
    let kernel = Arc::new(Few::default());
    let mut disk = Direct::over(directory.path(), Arc::clone(&kernel) as Arc<dyn Kernel>);
    disk.run(DiskOp::MakeDirectory { path: path("a") }).unwrap();
    let reserved = kernel.duplicated.load(Ordering::SeqCst);
    assert!(reserved > 0);
    kernel.refusals.store(2, Ordering::SeqCst);
    assert_eq!(disk.kind(open(1, "a/a.wal.next", OpenMode::CreateNew)), Ok(DiskReply::Done));
    // They are taken again as soon as something is closed.
    disk.run(DiskOp::Close { file: FileId(1) }).unwrap();
    assert_eq!(kernel.duplicated.load(Ordering::SeqCst), reserved + 2);
    // More than were kept back are not there.
    kernel.refusals.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(disk.kind(open(2, "a/b", OpenMode::CreateNew)), Err(DiskErrorKind::Shortage));
    assert!(!directory.path().join("a/b").exists());
}

#[test]
fn a_folder_made_anew_under_its_name_is_the_one_that_is_synced() {
    #[derive(Debug, Default)]
    struct Synced(std::sync::Mutex<Vec<u64>>);
    impl Kernel for Synced {
        fn sync_directory(&self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
            self.0.lock().unwrap().push(rustix::fs::fstat(directory)?.st_ino);
            Ok(())
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let kernel = Arc::new(Synced::default());
    let mut disk = Direct::over(directory.path(), Arc::clone(&kernel) as Arc<dyn Kernel>);
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(directory.path().join("a")).unwrap());
    let mut expected = Vec::new();
    disk.run(DiskOp::MakeDirectory { path: path("a") }).unwrap();
    disk.run(open(1, "a/x", OpenMode::CreateNew)).unwrap();
    for by_us in [true, false] {
        disk.run(DiskOp::SyncDirectory { path: path("a") }).unwrap();
        expected.push(inode());
        // Once through the disk, once behind its back.
        if by_us {
            disk.run(DiskOp::Rename { from: path("a"), to: path("gone"), replace: false }).unwrap();
            disk.run(DiskOp::MakeDirectory { path: path("a") }).unwrap();
        } else {
            std::fs::rename(directory.path().join("a"), directory.path().join("away")).unwrap();
            std::fs::create_dir(directory.path().join("a")).unwrap();
        }
    }
    disk.run(DiskOp::SyncDirectory { path: path("a") }).unwrap();
    expected.push(inode());
    assert_eq!(*kernel.0.lock().unwrap(), expected);
}

/// A database's spare of a few hundred KiB once waited until another's of hundreds of MiB was filled.
#[test]
fn little_to_fill_goes_before_much_and_much_is_not_forgotten() {
    const MIB: u64 = 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::open(directory.path()).unwrap();
    let run = |disk: &mut FileDisk| {
        let task = disk.take(Worker::Lane)?;
        let finished = task.run();
        disk.finish(finished);
        Some(disk.poll())
    };
    for file in 1..=4 {
        disk.submit(OpId(file), open(file, &file.to_string(), OpenMode::CreateNew));
        run(&mut disk).unwrap().unwrap();
    }
    let fill = |file: u64, bytes: u64| DiskOp::Allocate { file: FileId(file), offset: 0, bytes };
    disk.submit(OpId(10), fill(1, 20 * MIB));
    let begun = disk.take(Worker::Lane).unwrap();
    // Another large one waits already when the small one comes.
    disk.submit(OpId(12), fill(4, 10 * MIB));
    disk.submit(OpId(11), fill(2, MIB / 4));
    let finished = begun.run();
    disk.finish(finished);
    assert_eq!(disk.poll(), None, "one piece of it is done");
    assert_eq!(run(&mut disk).unwrap().unwrap().id, OpId(11));
    // One small one after the other does not keep the large one from ever ending.
    let mut small = 0;
    loop {
        disk.submit(OpId(100 + small), fill(3, MIB / 4));
        small += 1;
        let done = std::iter::from_fn(|| run(&mut disk)).flatten().take(1).next().unwrap();
        if done.id == OpId(10) {
            break;
        }
        assert!(small < 1000, "the large one waits for ever");
    }
    assert_eq!(std::fs::metadata(directory.path().join("1")).unwrap().len(), 20 * MIB);
}

/// The page cache holds what was just written. Reads that were answered at once would follow one another for as long as
/// there is a file, with the engine's lock held.
#[test]
fn one_of_many_reads_is_never_complete_at_once_and_goes_last() {
    let directory = tempfile::tempdir().unwrap();
    let mut disk = FileDisk::open(directory.path()).unwrap();
    let run = |disk: &mut FileDisk, id: u64, op: DiskOp| {
        disk.submit(OpId(id), op);
        let task = disk.take(Worker::Lane).expect("it was queued");
        disk.finish(task.run());
        disk.poll().expect("it was carried out").result.unwrap()
    };
    run(&mut disk, 1, open(1, "a", OpenMode::CreateNew));
    run(&mut disk, 2, write(1, 0, b"Momo"));
    disk.submit(OpId(3), read(1, 0, 4));
    assert_eq!(disk.poll().expect("the cache holds it").id, OpId(3));
    disk.submit(OpId(4), DiskOp::Read { file: FileId(1), offset: 0, bytes: 4, bulk: true });
    assert!(disk.poll().is_none());
    disk.submit(OpId(5), write(1, 100, b"x"));
    let carried_out = |disk: &mut FileDisk| {
        let task = disk.take(Worker::Caller).expect("two are queued");
        disk.finish(task.run());
        disk.poll().expect("it was carried out").id
    };
    assert_eq!([carried_out(&mut disk), carried_out(&mut disk)], [OpId(5), OpId(4)]);
}
