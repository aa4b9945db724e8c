//! How much memory an opening may take, and the error that says what it would need.

use docdb_protocol::{Error, ErrorCode};

use super::subject::Subject;

/// A database that was filled up to the memory limit may exceed it by this part when it is opened.
const ALLOWANCE: u64 = 16;

/// Whether an opening that takes `needed_bytes` takes too much. What shrinks documents is taken beyond the limit, and what was
/// taken has to be opened again.
pub(super) fn is_over(needed_bytes: u64, memory_bytes_free: u64) -> bool {
    needed_bytes > memory_bytes_free.saturating_add(memory_bytes_free / ALLOWANCE)
}

/// The error that says how much memory it takes at least; what is not read yet may take more.
pub(super) fn too_large(subject: &Subject, needed_bytes: u64, memory_bytes_free: u64, memory_bytes_max: u64) -> Error {
    let others = memory_bytes_max.saturating_sub(memory_bytes_free);
    let detail = format!(
        "opening it takes at least {needed_bytes} bytes of memory beside {others} that are in use; raise memory_bytes_max to \
         {} or more, or close other databases; nothing was changed",
        needed_bytes + others
    );
    let error = Error::new(ErrorCode::MemoryLimit).file(subject.directory.as_str()).detail(detail);
    error.database(subject.name.as_str())
}
