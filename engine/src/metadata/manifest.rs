//! The manifest: metadata as a file of its own, a header and the body.
//!
//! Invariants: the header names whose it is and how long the body is, so that a file that was cut is known before its
//! body is read. Generation and body are covered by checksums each.

use docdb_protocol::DatabaseId;

use super::{DecodedMetadata, METADATA_BYTES_MAX, Metadata};
use crate::log::{DirectoryId, Header, file_header, put_u32, put_u64};

/// Every manifest begins with it.
pub const MANIFEST_MAGIC: &[u8; 8] = b"DOCDBMAN";

/// The header: where the body begins.
pub const MANIFEST_HEADER_BYTES: usize = 72;

/// What the front of a manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The data directory that it was written in.
    pub directory: DirectoryId,
    /// Whose it is.
    pub database: DatabaseId,
    /// The generation of its metadata.
    pub generation: u64,
    /// The length of the body.
    pub body_bytes: u32,
}

impl Manifest {
    /// The whole file.
    #[must_use]
    pub fn encode(directory: DirectoryId, metadata: &Metadata) -> Vec<u8> {
        let body = metadata.encode();
        let mut own = Vec::new();
        put_u64(&mut own, metadata.database.get());
        put_u64(&mut own, metadata.generation);
        put_u32(&mut own, u32::try_from(body.len()).expect("a body is bounded"));
        let mut file = file_header::encode(MANIFEST_MAGIC, directory, &own);
        assert_eq!(file.len(), MANIFEST_HEADER_BYTES, "the layout is as FORMAT.md says");
        file.extend_from_slice(&body);
        file
    }

    /// The front of a manifest, from its first [`MANIFEST_HEADER_BYTES`] or more; `None` where none is there that this
    /// version reads: [`Manifest::decode`] says why.
    #[must_use]
    pub fn decode_header(bytes: &[u8]) -> Option<Manifest> {
        let Header::Readable { directory, mut fields, .. } = file_header::decode(MANIFEST_MAGIC, bytes) else {
            return None;
        };
        let (database, generation) = (DatabaseId::new(fields.u64()?)?, fields.count()?);
        let body_bytes = fields.u32().filter(|bytes| *bytes as usize <= METADATA_BYTES_MAX)?;
        Some(Manifest { directory, database, generation, body_bytes })
    }

    /// What the whole file of a manifest of this database says. One of another data directory or database is damage.
    #[must_use]
    pub fn decode(directory: DirectoryId, database: DatabaseId, file: &[u8]) -> DecodedMetadata {
        match file_header::decode(MANIFEST_MAGIC, file) {
            Header::Newer => DecodedMetadata::Newer,
            Header::Nothing => file_header::older_version(MANIFEST_MAGIC, file)
                .map_or(DecodedMetadata::Damaged, |version| DecodedMetadata::Older { version }),
            Header::Readable { is_writable, .. } => {
                let decoded = Manifest::body(directory, database, file)
                    .map_or(DecodedMetadata::Damaged, |body| Metadata::decode(database, body));
                match decoded {
                    DecodedMetadata::Whole { metadata, is_writable: body_is } => {
                        DecodedMetadata::Whole { metadata, is_writable: is_writable && body_is }
                    }
                    DecodedMetadata::Newer | DecodedMetadata::Older { .. } | DecodedMetadata::Damaged => decoded,
                }
            }
        }
    }

    /// The body of a file that is of this database and as long as it says.
    fn body(directory: DirectoryId, database: DatabaseId, file: &[u8]) -> Option<&[u8]> {
        let header = Manifest::decode_header(file)?;
        // A longer header of this version has fields behind those that are known here.
        let header_bytes = u32::from_le_bytes(*file.get(8..)?.first_chunk()?) as usize;
        let body = file.get(header_bytes..)?;
        let is_whole = body.len() == header.body_bytes as usize;
        (header.directory == directory && header.database == database && is_whole).then_some(body)
    }
}
