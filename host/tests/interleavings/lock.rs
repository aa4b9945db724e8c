//! A directory's lock, which only says when it was let go.

use crate::world::world;

pub(crate) struct DirectoryLock;

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            world().free_directory();
        }
    }
}
