//! What the bytes at one place of a log turned out to be.

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Decoded<T> {
    /// It is there, and its checksums are right.
    Whole(T),
    /// The bytes end before it does: to know more, a reader needs so many, from its first one on.
    Begun(usize),
    /// A later version wrote it: its checksum and its place are right, and what it says is unknown here. It is no
    /// damage and no torn tail.
    Newer,
    /// Anything else.
    Nothing,
}

impl<T> Decoded<T> {
    #[cfg(test)]
    pub(crate) fn whole(self) -> Option<T> {
        match self {
            Decoded::Whole(whole) => Some(whole),
            Decoded::Begun(_) | Decoded::Newer | Decoded::Nothing => None,
        }
    }
}
