//! Bytes to and from one open file: positioned, interrupted calls repeated, short writes reported.
//!
//! Never touches a name, and never changes a file's position: any number of threads may work on one file.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::sync::Arc;

use docdb_engine::{Buffer, DiskReply};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2, retry_on_intr};

use super::kernel::Kernel;

/// One read answers at most this much, so that no request sets memory aside without end.
const READ_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Linux takes at most this many buffers in one call (`UIO_MAXIOV`).
const BUFFERS_PER_CALL_MAX: usize = 1024;

/// Zeros are written this many at a time: large enough to cost few calls, small enough to stay in the caches.
const ZEROS_PER_CALL: usize = 256 * 1024;

/// Reads what the page cache holds. `Err(AGAIN)` and `Err(OPNOTSUPP)` mean that a patient read has to follow.
pub(super) fn read_cached(file: &File, offset: u64, bytes: u32) -> Result<DiskReply, Errno> {
    read_with(bytes, |into| {
        retry_on_intr(|| preadv2(file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT))
    })
}

/// Reads, waiting for the device where it must.
pub(super) fn read(file: &File, offset: u64, bytes: u32) -> Result<DiskReply, Errno> {
    read_with(bytes, |into| retry_on_intr(|| pread(file, &mut *into, offset)))
}

fn read_with(bytes: u32, read: impl FnOnce(&mut [u8]) -> Result<usize, Errno>) -> Result<DiskReply, Errno> {
    // Collected straight into the shared allocation: the bytes are read where they stay.
    let mut shared: Arc<[u8]> = std::iter::repeat_n(0, bytes.min(READ_BYTES_MAX) as usize).collect();
    let into = Arc::get_mut(&mut shared).expect("nobody else has seen the new allocation");
    let count = read(into)?;
    Ok(DiskReply::Data(Buffer::new(shared).slice(0..count)))
}

/// Writes the buffers one behind the other and says how many bytes were taken.
pub(super) fn write(kernel: &dyn Kernel, file: &File, offset: u64, buffers: &[Buffer]) -> Result<DiskReply, Errno> {
    let mut written = 0;
    for group in buffers.chunks(BUFFERS_PER_CALL_MAX) {
        let slices: Vec<IoSlice<'_>> = group.iter().map(|buffer| IoSlice::new(buffer.as_slice())).collect();
        let group_bytes: u64 = group.iter().map(|buffer| buffer.len() as u64).sum();
        if group_bytes == 0 {
            continue;
        }
        let taken = kernel.write(file.as_fd(), &slices, offset + written)? as u64;
        written += taken;
        // A short write is the engine's to judge: carrying on here could hide a device that lies.
        if taken < group_bytes {
            break;
        }
    }
    Ok(DiskReply::Written(written))
}

/// Writes zeros, for real: only blocks that were written once are overwritten without a journal commit,
/// and that halves the cost of a durable commit. `fallocate` would leave that work to every first write.
pub(super) fn write_zeros(kernel: &dyn Kernel, file: &File, offset: u64, bytes: u64) -> Result<(), Errno> {
    let zeros = vec![0; ZEROS_PER_CALL.min(usize::try_from(bytes).unwrap_or(ZEROS_PER_CALL))];
    let mut done = 0;
    while done < bytes {
        let count = usize::try_from(bytes - done).map_or(zeros.len(), |rest| rest.min(zeros.len()));
        match kernel.write(file.as_fd(), &[IoSlice::new(&zeros[..count])], offset + done)? {
            0 => return Err(Errno::IO),
            taken => done += taken as u64,
        }
    }
    Ok(())
}
