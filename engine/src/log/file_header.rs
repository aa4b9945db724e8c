//! What every file begins with: whose format it is, which features it needs, and which data directory it is of.
//!
//! ```text
//! magic, 8 bytes | length of the header | version | features to read | features to write | the directory's id | ... | CRC32
//! ```
//!
//! The checksum stands at the header's end, which its length says, and covers all before it: a reader knows
//! a header of a later version from a damaged one, however long it is. What stands between these fields and the checksum is the file's own.

use super::{Fields, put_u32, put_u64};

/// The version that this build writes, and the only one there is.
pub const FORMAT_VERSION: u32 = 1;

/// Magic, length, version, both kinds of features, directory.
const COMMON_BYTES: usize = 8 + 4 + 4 + 8 + 8 + 16;
const CRC_BYTES: usize = 4;

/// Names a data directory for ever: random, given when it is made, so that no file of another one is taken for its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectoryId(pub u128);

impl DirectoryId {
    /// No directory has it.
    pub(crate) const NONE: DirectoryId = DirectoryId(0);
}

/// What a header turned out to be.
#[derive(Clone, Debug)]
pub(crate) enum Header<'bytes> {
    /// This version can read it; the fields that are the file's own follow.
    Readable {
        directory: DirectoryId,
        /// Whether a later version asked for nothing that a writer must know.
        is_writable: bool,
        fields: Fields<'bytes>,
    },
    /// A later version wrote it.
    Newer,
    /// None is here, or it is damaged.
    Nothing,
}

/// Writes a header whose own fields are `own`.
pub(crate) fn encode(magic: &[u8; 8], directory: DirectoryId, own: &[u8]) -> Vec<u8> {
    let bytes = COMMON_BYTES + own.len() + CRC_BYTES;
    let mut header = Vec::with_capacity(bytes);
    header.extend_from_slice(magic);
    put_u32(&mut header, u32::try_from(bytes).expect("a header is short"));
    put_u32(&mut header, FORMAT_VERSION);
    // No feature so far.
    put_u64(&mut header, 0);
    put_u64(&mut header, 0);
    header.extend_from_slice(&directory.0.to_le_bytes());
    header.extend_from_slice(own);
    let crc32 = crc32fast::hash(&header);
    put_u32(&mut header, crc32);
    assert_eq!(header.len(), bytes, "the layout is as FORMAT.md says");
    header
}

/// Reads the header at the front of `bytes`, which has no more room than these.
pub(crate) fn decode<'bytes>(magic: &[u8; 8], bytes: &'bytes [u8]) -> Header<'bytes> {
    read(magic, bytes).unwrap_or(Header::Nothing)
}

/// The version of a whole header that an earlier version wrote; `None` of any other.
pub(crate) fn older_version(magic: &[u8; 8], bytes: &[u8]) -> Option<u32> {
    let mut fields = checked(magic, bytes)?.0;
    fields.u32().filter(|version| *version < FORMAT_VERSION)
}

/// What stands behind the length of a header whose checksum is right, and all that the checksum covers.
fn checked<'bytes>(magic: &[u8; 8], bytes: &'bytes [u8]) -> Option<(Fields<'bytes>, &'bytes [u8])> {
    let mut fields = Fields::new(bytes);
    if fields.bytes(magic.len())? != magic {
        return None;
    }
    let length = fields.u32()? as usize;
    let (covered, crc32) = bytes.get(..length)?.split_last_chunk::<CRC_BYTES>()?;
    let is_whole = length >= COMMON_BYTES + CRC_BYTES && u32::from_le_bytes(*crc32) == crc32fast::hash(covered);
    is_whole.then_some((fields, covered))
}

fn read<'bytes>(magic: &[u8; 8], bytes: &'bytes [u8]) -> Option<Header<'bytes>> {
    let (mut fields, covered) = checked(magic, bytes)?;
    let version = fields.u32()?;
    let (to_read, to_write) = (fields.u64()?, fields.u64()?);
    let directory = DirectoryId(u128::from_le_bytes(*fields.bytes(16)?.first_chunk()?));
    if version > FORMAT_VERSION || to_read != 0 {
        return Some(Header::Newer);
    }
    let own = Fields::new(&covered[COMMON_BYTES..]);
    (version == FORMAT_VERSION).then_some(Header::Readable { directory, is_writable: to_write == 0, fields: own })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const MAGIC: &[u8; 8] = b"DOCDBNEW";

    /// Where the fields stand that a later version changes.
    pub(crate) const VERSION_AT: usize = 12;
    pub(crate) const TO_READ_AT: usize = 16;
    pub(crate) const TO_WRITE_AT: usize = 24;

    /// The header at the front of `bytes` with one byte changed and its checksum made right.
    pub(crate) fn change(bytes: &mut [u8], at: usize) {
        set(bytes, at, bytes[at] + 1);
    }

    /// Likewise with a value for the byte.
    pub(crate) fn set(bytes: &mut [u8], at: usize, value: u8) {
        bytes[at] = value;
        let length = u32::from_le_bytes(*bytes[8..].first_chunk().unwrap()) as usize;
        let crc32 = crc32fast::hash(&bytes[..length - CRC_BYTES]).to_le_bytes();
        bytes[length - CRC_BYTES..length].copy_from_slice(&crc32);
    }

    #[test]
    fn a_header_with_any_bit_turned_is_none() {
        let header = encode(MAGIC, DirectoryId(7), b"own");
        let Header::Readable { directory, is_writable: true, mut fields } = decode(MAGIC, &header) else { panic!() };
        assert_eq!((directory, fields.bytes(3)), (DirectoryId(7), Some(&b"own"[..])));
        for at in 0..header.len() {
            for bit in 0..8 {
                let mut turned = header.clone();
                turned[at] ^= 1 << bit;
                assert!(matches!(decode(MAGIC, &turned), Header::Nothing), "byte {at}");
            }
            assert!(matches!(decode(MAGIC, &header[..at]), Header::Nothing), "cut at {at}");
        }
    }

    #[test]
    fn what_a_later_version_needs_decides_whether_it_is_read_or_written() {
        let changed = |at: usize| {
            let mut header = encode(MAGIC, DirectoryId(7), b"own");
            change(&mut header, at);
            header
        };
        assert!(matches!(decode(MAGIC, &changed(VERSION_AT)), Header::Newer));
        assert!(matches!(decode(MAGIC, &changed(TO_READ_AT)), Header::Newer));
        assert!(matches!(decode(MAGIC, &changed(TO_WRITE_AT)), Header::Readable { is_writable: false, .. }));
        let mut older = encode(MAGIC, DirectoryId(7), b"own");
        assert_eq!(older_version(MAGIC, &older), None);
        set(&mut older, VERSION_AT, 0);
        assert!(matches!(decode(MAGIC, &older), Header::Nothing));
        assert_eq!(older_version(MAGIC, &older), Some(0), "a version made for this test");
        // Of a longer one this version reads the fields that it knows.
        let longer = encode(MAGIC, DirectoryId(7), b"own, and more");
        assert!(matches!(decode(MAGIC, &longer), Header::Readable { is_writable: true, .. }));
    }
}
