//! Little-endian fields, read and written one behind the other.

/// Reads fields off the front of a slice. Past its end every read answers `None`.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Fields<'bytes> {
    pub(crate) fn new(bytes: &'bytes [u8]) -> Fields<'bytes> {
        Fields { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'bytes [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'bytes [u8] {
        self.rest
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_le_bytes(*taken))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_le_bytes(*taken))
    }

    /// A number that the engine counts on from. Below 2^63 it cannot overflow in the life of a disk, and DocDB writes none
    /// beyond.
    pub(crate) fn count(&mut self) -> Option<u64> {
        self.u64().filter(|number| *number < 1 << 63)
    }
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_counted_on_from_stay_below_two_to_the_63() {
        let count = |number: u64| Fields::new(&number.to_le_bytes()).count();
        assert_eq!(count((1 << 63) - 1), Some((1 << 63) - 1));
        assert_eq!(count(1 << 63), None);
        assert_eq!(Fields::new(&[0; 7]).count(), None, "there are not as many bytes");
    }
}
