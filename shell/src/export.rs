//! `.export`: all documents of a database, or of one collection, with their ids, written to a file exactly as they are stored.
//!
//! Where there are several collections each document says its own. The last line has counts and a checksum, by which an import
//! knows that it had all of it. A file whose name ends in `.gz` is compressed.
//!
//! The file is written under another name, synced and renamed, so that nobody ever finds half of one.
//! An existing file is left alone unless the user said otherwise. A document with line ends in it takes as many lines.
//! Only where the documents are asked for alone, one a line for other programs, there is no room for it: it is refused
//! by name, never re-encoded. So is a damaged one, unless the user said that it may be left out; then the error names
//! it, and everything else is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use docdb_protocol::{CollectionName, DatabaseId, DocumentId, Error, ErrorCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::backend::{Backend, Range};
use crate::entry::{self, End};
use crate::interrupt::Interrupt;

/// What to export, and to where.
pub(crate) struct Export<'a> {
    pub(crate) file: &'a Path,
    pub(crate) database: DatabaseId,
    /// All collections where none is named.
    pub(crate) collection: Option<&'a CollectionName>,
    pub(crate) how: How,
    pub(crate) interrupt: &'a Interrupt,
}

/// The flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// One JSON array.
    pub(crate) array: bool,
    /// The documents alone, without their ids.
    pub(crate) plain: bool,
    /// Over a file that is there.
    pub(crate) force: bool,
    /// Without what is damaged.
    pub(crate) skip_damaged: bool,
}

/// How an export ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exported {
    /// The file has this many documents.
    All(u64),
    /// There is no file, or the one that was there before.
    Interrupted,
}

impl Export<'_> {
    /// What was left out, because the user said so, goes to `left_out`.
    pub(crate) fn run(&self, backend: &mut dyn Backend, left_out: &mut dyn FnMut(&Error)) -> Result<Exported, Error> {
        let there = match fs::symlink_metadata(self.file) {
            // A rename would put a file in the place of a device or a link.
            Ok(metadata) if !metadata.is_file() => Some("exists and is no plain file; it is not replaced"),
            Ok(_) if !self.how.force => Some("exists; --force replaces it"),
            Ok(_) | Err(_) => None,
        };
        if let Some(there) = there {
            return Err(Error::new(ErrorCode::FileOpen).detail(format!("{} {there}", self.file.display())));
        }
        let collections = self.collections(backend)?;
        let unfinished = unfinished_name(self.file);
        let exported = self.write(&unfinished, &collections, backend, left_out).and_then(|exported| {
            if let Exported::All(_) = exported {
                self.install(&unfinished).map_err(|error| failed(ErrorCode::FileWrite, self.file, &error))?;
            }
            Ok(exported)
        });
        if !matches!(exported, Ok(Exported::All(_))) {
            // What is left of a failed export is of no use to anyone.
            let _ = fs::remove_file(&unfinished);
        }
        exported
    }

    /// The collections to write. A mistyped name must not replace a good file by an empty one.
    fn collections(&self, backend: &mut dyn Backend) -> Result<Vec<CollectionName>, Error> {
        let default = CollectionName::default_collection();
        if let Some(named) = self.collection.filter(|named| **named == default) {
            return Ok(vec![named.clone()]);
        }
        let mut names: Vec<CollectionName> =
            backend.collections(self.database)?.into_iter().map(|listed| listed.name).collect();
        if let Some(named) = self.collection {
            names.retain(|name| name == named);
            if names.is_empty() {
                let detail = ".collections lists those that there are; no file was written";
                return Err(Error::new(ErrorCode::CollectionNotFound).collection(named.as_str()).detail(detail));
            }
        }
        Ok(names)
    }

    fn write(
        &self,
        unfinished: &Path,
        collections: &[CollectionName],
        backend: &mut dyn Backend,
        left_out: &mut dyn FnMut(&Error),
    ) -> Result<Exported, Error> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(unfinished);
        let file = file.map_err(|error| failed(ErrorCode::FileOpen, self.file, &error))?;
        let mut writer = Writer::new(file, self.file);
        let unwritten = |error: io::Error| failed(ErrorCode::FileWrite, self.file, &error);
        if self.how.array {
            writer.write(&[b"["]).map_err(unwritten)?;
        }
        // A database of one collection needs no names: it may be imported into any.
        let is_named = self.collection.is_none() && collections.len() > 1;
        let mut end = End::default();
        for collection in collections {
            let mut next = Some(Range::ALL);
            while let Some(range) = next {
                if self.interrupt.is_set() {
                    return Ok(Exported::Interrupted);
                }
                let page = backend.scan(self.database, collection, &range)?;
                next = page.next(range);
                for (id, bytes) in page.documents {
                    let bytes = match bytes {
                        Ok(bytes) => bytes,
                        Err(error) => {
                            self.skip(error.document(id), collection, left_out)?;
                            continue;
                        }
                    };
                    self.check(collection, &id, &bytes)?;
                    let (before, behind): (&[u8], &[u8]) = match (self.how.array, end.documents) {
                        (false, _) => (b"", b"\n"),
                        (true, 0) => (b"\n", b""),
                        (true, _) => (b",\n", b""),
                    };
                    let head = entry::head(is_named.then_some(collection), &id);
                    let (head, tail) =
                        if self.how.plain { (&b""[..], &b""[..]) } else { (head.as_bytes(), entry::TAIL) };
                    writer.write(&[before, head, &bytes, tail, behind]).map_err(unwritten)?;
                    end.documents += 1;
                    *end.collections.entry(collection.as_str().to_owned()).or_default() += 1;
                }
                for why in page.missing {
                    self.skip(why.error(), collection, left_out)?;
                }
            }
        }
        let count = end.documents;
        if self.how.array {
            writer.write(&[b"\n]\n"]).map_err(unwritten)?;
        } else if !self.how.plain {
            end.crc32 = writer.checksum();
            writer.write(&[end.line().as_bytes()]).map_err(unwritten)?;
        }
        let file = writer.finish().map_err(unwritten)?;
        file.sync_all().map_err(|error| failed(ErrorCode::FileSync, self.file, &error))?;
        Ok(Exported::All(count))
    }

    /// What is damaged ends the export, unless it may be left out.
    fn skip(&self, damaged: Error, collection: &CollectionName, left_out: &mut dyn FnMut(&Error)) -> Result<(), Error> {
        let damaged = damaged.collection(collection.as_str());
        if self.how.skip_damaged {
            left_out(&damaged);
            return Ok(());
        }
        let detail =
            damaged.context().and_then(|context| context.detail.as_deref()).map(|detail| format!("{detail}; "));
        let detail = format!("{}--skip-damaged writes the rest", detail.unwrap_or_default());
        Err(damaged.detail(detail))
    }

    fn check(&self, collection: &CollectionName, id: &DocumentId, bytes: &[u8]) -> Result<(), Error> {
        if !self.how.plain || self.how.array || !bytes.contains(&b'\n') {
            return Ok(());
        }
        let detail =
            "the document has line ends in it, which one document a line cannot hold; use --array, or no --plain";
        Err(Error::new(ErrorCode::InvalidRequest).collection(collection.as_str()).document(id).detail(detail))
    }

    /// Gives the file its name. Without `--force` a file that appeared meanwhile is left alone too.
    fn install(&self, unfinished: &Path) -> io::Result<()> {
        if self.how.force {
            fs::rename(unfinished, self.file)?;
        } else {
            rename_to_free(unfinished, self.file)?;
        }
        let parent = self.file.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The file, compressed where its name says so, and the checksum of what was written.
struct Writer {
    to: To,
    checksum: crc32fast::Hasher,
}

enum To {
    Plain(BufWriter<File>),
    Compressed(GzEncoder<BufWriter<File>>),
}

impl Writer {
    fn new(file: File, name: &Path) -> Writer {
        let file = BufWriter::new(file);
        let to = if is_compressed(name) {
            To::Compressed(GzEncoder::new(file, Compression::default()))
        } else {
            To::Plain(file)
        };
        Writer { to, checksum: crc32fast::Hasher::new() }
    }

    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        for part in parts {
            self.checksum.update(part);
            match &mut self.to {
                To::Plain(file) => file.write_all(part)?,
                To::Compressed(file) => file.write_all(part)?,
            }
        }
        Ok(())
    }

    fn checksum(&self) -> u32 {
        self.checksum.clone().finalize()
    }

    fn finish(self) -> io::Result<File> {
        let file = match self.to {
            To::Plain(file) => file,
            To::Compressed(file) => file.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

/// Whether a file is compressed, as its name says.
pub(crate) fn is_compressed(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// Renames, and replaces nothing.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can do it in one step, nor every kernel.
        Err(Errno::INVAL | Errno::NOSYS) => claim_and_rename(from, to),
        renamed => Ok(renamed?),
    }
}

/// Takes the name by an empty file, which only succeeds where there is none, and replaces that one.
fn claim_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    drop(OpenOptions::new().write(true).create_new(true).open(to)?);
    fs::rename(from, to).inspect_err(|_| {
        let _ = fs::remove_file(to);
    })
}

/// Beside the file, so that the rename stays within one file system.
fn unfinished_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.unfinished", std::process::id()));
    PathBuf::from(name)
}

fn failed(code: ErrorCode, file: &Path, error: &io::Error) -> Error {
    Error::new(code).detail(format!("{}: {error}", file.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use super::*;

    /// An export once needed a file system with links.
    #[test]
    fn a_finished_file_gets_its_name_without_a_link_and_replaces_nothing() {
        for rename in [rename_to_free, claim_and_rename] {
            let directory = tempfile::tempdir().unwrap();
            let (from, to) = (directory.path().join("from"), directory.path().join("to"));
            fs::write(&from, "new").unwrap();
            fs::write(&to, "precious").unwrap();
            assert_eq!(rename(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&to).unwrap(), b"precious");
            fs::remove_file(&to).unwrap();
            rename(&from, &to).unwrap();
            assert_eq!((fs::read(&to).unwrap(), from.exists()), (b"new".to_vec(), false));
            rename(&from, &to.with_extension("other")).unwrap_err();
            assert!(!to.with_extension("other").exists(), "no empty file is left");
        }
    }
}
