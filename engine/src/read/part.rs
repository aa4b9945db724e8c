//! What a machine is fed: a part that somebody decoded, or what its bytes were instead.

use std::sync::Arc;

use crate::table::{Block, BlockView, FilterPart, Footer, IndexPart, PartError, PartKind, PartPlace, TableIdentity};

/// A decoded part, as a cache may keep and share it.
#[derive(Clone, Debug)]
pub enum Part {
    /// A footer.
    Footer(Arc<Footer>),
    /// An index part.
    Index(Arc<IndexPart>),
    /// A filter part.
    Filter(Arc<FilterPart>),
    /// A block.
    Block(Arc<Block>),
    /// The bytes were damaged.
    Damaged,
    /// A later version wrote them.
    Newer,
}

impl Part {
    /// What `bytes`, which were read at `place`, hold. Too few bytes, as where the file ends, are damage.
    #[must_use]
    pub fn decode(identity: TableIdentity, place: PartPlace, bytes: &[u8]) -> Part {
        let offset = place.offset;
        let decoded = match place.kind {
            PartKind::Footer => Footer::decode(identity, offset, bytes).map(|footer| Part::Footer(Arc::new(footer))),
            PartKind::Index => IndexPart::decode(identity, offset, bytes).map(|index| Part::Index(Arc::new(index))),
            PartKind::Filter => {
                FilterPart::decode(identity, offset, bytes).map(|filter| Part::Filter(Arc::new(filter)))
            }
            PartKind::Block => Block::decode(identity, offset, bytes).map(|block| Part::Block(Arc::new(block))),
            // No machine asks for them.
            PartKind::Collections => Err(PartError::Damaged),
        };
        decoded.unwrap_or_else(|error| match error {
            PartError::Damaged => Part::Damaged,
            PartError::Newer => Part::Newer,
        })
    }

    /// The memory that its bytes take, for whoever counts a cache.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Part::Footer(footer) => footer.memory_bytes(),
            Part::Index(index) => index.memory_bytes(),
            Part::Filter(filter) => filter.memory_bytes(),
            Part::Block(block) => block.memory_bytes(),
            Part::Damaged | Part::Newer => 0,
        }
    }
}

/// A part that a machine is fed, borrowed: the answer lies in it.
#[derive(Clone, Copy, Debug)]
pub enum PartRef<'part> {
    /// An index part.
    Index(&'part IndexPart),
    /// A filter part.
    Filter(&'part FilterPart),
    /// A block, of a cache or of bytes just read.
    Block(BlockView<'part>),
    /// The bytes were damaged.
    Damaged,
    /// A later version wrote them.
    Newer,
}

impl<'part> PartRef<'part> {
    /// Bytes of a block that was just read, without keeping it.
    #[must_use]
    pub fn block(
        identity: TableIdentity,
        place: PartPlace,
        bytes: &'part [u8],
        scratch: &'part mut Vec<u8>,
    ) -> PartRef<'part> {
        match BlockView::open(identity, place.offset, bytes, scratch) {
            Ok(block) => PartRef::Block(block),
            Err(PartError::Damaged) => PartRef::Damaged,
            Err(PartError::Newer) => PartRef::Newer,
        }
    }
}

impl<'part> From<&'part Part> for PartRef<'part> {
    /// # Panics
    /// For a footer, which no machine is fed: it is given with every step.
    fn from(part: &'part Part) -> PartRef<'part> {
        match part {
            Part::Footer(_) => panic!("a footer is given with every step"),
            Part::Index(index) => PartRef::Index(index),
            Part::Filter(filter) => PartRef::Filter(filter),
            Part::Block(block) => PartRef::Block(block.view()),
            Part::Damaged => PartRef::Damaged,
            Part::Newer => PartRef::Newer,
        }
    }
}
