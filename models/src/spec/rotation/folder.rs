//! The names in a database's folder that going on in a new segment touches, and one change of them.
//!
//! It knows what names stand for and which changes concern the same name. What is durable of them, and when they
//! change, is the rotation's.

/// A name in the database's folder. Sealed names of segments further back are durable and not part of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `NAME.wal`.
    Wal,
    /// `NAME.wal.next`.
    Next,
    /// `NAME.wal.N` with the epoch of the old segment.
    Sealed,
    /// The same of the segment before it.
    Earlier,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum File {
    /// The segment before the old one.
    Earlier,
    /// The segment that was the last one.
    Old,
    /// The one being made.
    New,
    /// What an attempt left that came to nothing.
    Stale,
}

/// What each of the names stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Folder([Option<File>; 4]);

impl Folder {
    /// The old segment as `wal`, behind the one before it.
    pub(super) fn of_old() -> Folder {
        Folder([Some(File::Old), None, None, Some(File::Earlier)])
    }

    /// The file of this name.
    #[must_use]
    pub fn at(&self, name: Name) -> Option<File> {
        self.0[name as usize]
    }

    pub(super) fn apply(&mut self, change: Change) {
        if let Some(name) = change.clears {
            self.0[name as usize] = None;
        }
        if let Some((name, file)) = change.sets {
            self.0[name as usize] = Some(file);
        }
    }

    /// The sealed name is that of an earlier segment from now on.
    pub(super) fn shift(&mut self) {
        let [.., sealed, earlier] = &mut self.0;
        *earlier = sealed.take();
    }

    pub(super) fn add_earlier(&mut self) {
        self.0[Name::Earlier as usize] = Some(File::Earlier);
    }

    /// The same names for files that are called otherwise from now on, or are forgotten.
    pub(super) fn rename_files(&mut self, rename: impl Fn(File) -> Option<File>) {
        self.0.iter_mut().for_each(|file| *file = file.and_then(&rename));
    }

    pub(super) fn holds(&self, file: File) -> bool {
        self.0.contains(&Some(file))
    }
}

/// One change of names, which is there as a whole or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    pub(super) clears: Option<Name>,
    pub(super) sets: Option<(Name, File)>,
}

impl Change {
    pub(super) fn names(self) -> [Option<Name>; 2] {
        [self.clears, self.sets.map(|(name, _)| name)]
    }

    /// The sealed name is that of an earlier segment from now on.
    pub(super) fn shift(&mut self) {
        let earlier = |name| if name == Name::Sealed { Name::Earlier } else { name };
        self.clears = self.clears.map(earlier);
        self.sets = self.sets.map(|(name, file)| (earlier(name), file));
    }

    pub(super) fn shares_a_name(self, other: Change) -> bool {
        self.names().into_iter().flatten().any(|name| other.names().contains(&Some(name)))
    }
}
