//! The catalog's file as a whole: a snapshot, and the changes behind it.

use super::index::{Catalog, Unreadable};
use super::{journal, snapshot};

impl Catalog {
    /// The bytes of a new file, whose journal is empty and begins behind them.
    pub(crate) fn encode(&mut self) -> Vec<u8> {
        self.generation += 1;
        snapshot::encode(self)
    }

    /// # Errors
    /// See [`Unreadable`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Catalog, Unreadable> {
        let Some(found) = snapshot::decode(bytes)? else { return Err(Unreadable::Damaged(None)) };
        let is_whole = found.catalog.is_some();
        let mut catalog = found.catalog.unwrap_or_else(Catalog::empty);
        (catalog.directory, catalog.generation) = (found.directory, found.generation);
        let journal = journal::read(bytes, found.generation, found.journal_offset).ok_or(Unreadable::Newer)?;
        let is_whole = is_whole && !journal.is_damaged;
        journal.counted.into_iter().for_each(|change| catalog.apply(change));
        if is_whole {
            return Ok(catalog);
        }
        // These changes may not count any more, but each was true once.
        journal.behind.into_iter().for_each(|change| catalog.apply(change));
        Err(Unreadable::Damaged(Some(Box::new(catalog))))
    }
}

#[cfg(test)]
mod tests {
    use docdb_protocol::{DatabaseId, DatabaseName};

    use super::super::bounds::CHANGE_BYTES;
    use super::super::entry::{Closed, Entry, Figures};
    use super::super::index::tests::forty;
    use super::super::journal::encode_changes;
    use super::*;
    use crate::clock::WallTime;
    use crate::disk::SECTOR_BYTES;
    use crate::log::Lsn;

    /// A file whose journal holds three changes, of which the first two were synced before the third was written, and the
    /// catalog that it says.
    fn changed() -> (Vec<u8>, Catalog, usize) {
        let mut catalog = forty();
        catalog.start();
        let mut bytes = catalog.encode();
        let journal_offset = bytes.len();
        let change = |catalog: &mut Catalog, number: u64| {
            let id = DatabaseId::new(number).unwrap();
            let name = DatabaseName::parse(&format!("database {number}")).unwrap();
            let closed = Closed { log_end: Lsn(1 << 20), figures: None };
            catalog.insert(id, Entry { name, created_at: WallTime(9), closed });
            catalog.found_id(id);
            catalog.change(id).unwrap()
        };
        let changes = [change(&mut catalog, 3), change(&mut catalog, 41)];
        bytes.extend(encode_changes(&changes, catalog.generation, 0, bytes.len() as u64));
        let changes = [change(&mut catalog, 42)];
        bytes.extend(encode_changes(&changes, catalog.generation, 2, bytes.len() as u64));
        (bytes, catalog, journal_offset)
    }

    #[test]
    fn survives_any_one_damaged_sector() {
        let (bytes, catalog, _) = changed();
        assert_eq!(Catalog::decode(&bytes), Ok(catalog.clone()));
        for sector in 0..bytes.len() / SECTOR_BYTES {
            for garbage in [0, 0x5a] {
                let mut damaged = bytes.clone();
                damaged[sector * SECTOR_BYTES..][..SECTOR_BYTES].fill(garbage);
                assert_eq!(Catalog::decode(&damaged), Ok(catalog.clone()), "sector {sector}");
            }
        }
        assert_eq!(Catalog::decode(&[]), Err(Unreadable::Damaged(None)));
    }

    /// Power failed while a group was being written: the changes before it count, and no client was answered for the group.
    #[test]
    fn the_journal_ends_at_the_first_change_that_is_not_whole() {
        let (bytes, catalog, journal) = changed();
        let change_bytes = usize::try_from(CHANGE_BYTES).unwrap();
        for cut in journal..bytes.len() {
            let whole = (cut + SECTOR_BYTES - journal) / change_bytes;
            let read = Catalog::decode(&bytes[..cut]).unwrap();
            assert_eq!(read.entries.len(), 40 + whole.saturating_sub(1), "cut at {cut}");
        }
        // Both changes of the first group were under way, and the second one alone arrived.
        let mut torn = bytes[..journal + 2 * change_bytes].to_vec();
        torn[journal..journal + change_bytes].fill(0);
        assert_eq!(Catalog::decode(&torn).unwrap().entries, forty().entries);
        assert_ne!(catalog.entries, forty().entries);
    }

    #[test]
    fn a_hole_before_a_change_that_says_it_was_durable_is_damage() {
        let (bytes, mut catalog, journal) = changed();
        let mut damaged = bytes;
        damaged[journal..][..usize::try_from(CHANGE_BYTES).unwrap()].fill(0);
        catalog.insert(DatabaseId::new(3).unwrap(), forty().entries[&DatabaseId::new(3).unwrap()].clone());
        assert_eq!(
            Catalog::decode(&damaged),
            Err(Unreadable::Damaged(Some(Box::new(catalog)))),
            "what is left is used"
        );
    }

    /// Old bytes come to light where a file grew: changes behind another snapshot, at the same place.
    #[test]
    fn a_change_behind_another_snapshot_is_none() {
        let (bytes, catalog, journal) = changed();
        let mut again = catalog;
        // What a stale change would take back.
        let third = again.entries.get_mut(&DatabaseId::new(3).unwrap()).unwrap();
        third.closed = Closed { log_end: Lsn(2 << 20), figures: Some(Figures::default()) };
        let mut stale = again.encode();
        assert_eq!(stale.len(), journal, "the same place");
        stale.extend(&bytes[journal..]);
        assert_eq!(Catalog::decode(&stale), Ok(again));
        let mut elsewhere = bytes[..journal].to_vec();
        elsewhere.extend(vec![0; SECTOR_BYTES]);
        elsewhere.extend(&bytes[journal..]);
        assert_eq!(Catalog::decode(&elsewhere).unwrap().entries, forty().entries, "nor one that stands elsewhere");
    }
}
