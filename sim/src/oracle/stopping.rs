//! What a shutdown owes to those who wait: what has not begun is refused at once, and nothing is begun any more.

use docdb_engine::DiskOp;

use super::{Asked, Checker, Violation, violation};
use crate::disk::SimDisk;

impl Checker {
    /// The engine was asked to stop, and has said all that it says at this moment: of the databases that are to be created,
    /// those of which nothing was made yet are nobody's to wait for.
    ///
    /// # Errors
    /// When somebody still waits for one.
    pub(crate) fn what_has_not_begun_is_refused(&self, disk: &SimDisk) -> Result<(), Violation> {
        for (asked, _) in self.asked.values() {
            let Asked::Open { database } = asked else { continue };
            let tracked = &self.databases[*database];
            let name = tracked.name.as_str();
            let is_begun = self.files.has_begun(name) || disk.has_directory(&format!("db/{name}"));
            if tracked.id.is_none() && !is_begun && !self.doubt.is_any() {
                return violation!(
                    "{name} is to be created after a shutdown was asked for, and nothing of it had begun"
                );
            }
        }
        Ok(())
    }

    /// The engine asks for an operation.
    ///
    /// # Errors
    /// When it begins to create a database after a shutdown was asked for.
    pub(super) fn nothing_is_begun(&self, op: &DiskOp) -> Result<(), Violation> {
        let DiskOp::MakeDirectory { path } = op else { return Ok(()) };
        let Some(name) = path.as_str().strip_prefix("db/").filter(|_| self.stopping) else { return Ok(()) };
        if self.files.has_begun(name) { Ok(()) } else { violation!("{name} is begun after a shutdown was asked for") }
    }
}
