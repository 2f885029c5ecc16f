//! Detects through the file system that the database file was replaced, truncated or made
//! read-only.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::fs::{Access, access};

use crate::error::StoreError;

/// The database file and the files that SQLite keeps beside it, by the inodes that are open.
///
/// SQLite continues to use an open file that was removed or replaced, but a restart opens the file
/// at the path. So an acknowledged change must be in the file at the path. An inode is not reused
/// while a connection has it open.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    /// The path that a restart opens.
    path: PathBuf,
    /// The path without symbolic links. SQLite derives the names of the other files from it.
    resolved: PathBuf,
    database: Inode,
    /// Open as long as the connections. Closing it before them would release SQLite's locks.
    content: File,
    wal: Companion,
    shared_memory: Companion,
    /// The largest known length. SQLite itself shortens the file only in a `VACUUM`.
    length: AtomicU64,
    /// The files could not be written when the connections were opened, so these never can write.
    is_opened_read_only: bool,
}

/// The numbers of a device and of an inode on it.
type Inode = (u64, u64);

fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// A file that SQLite keeps beside the database file.
#[derive(Debug)]
struct Companion {
    path: PathBuf,
    inode: Inode,
}

impl Companion {
    fn new(path: PathBuf) -> io::Result<Self> {
        let inode = inode(&fs::symlink_metadata(&path)?);
        Ok(Self { path, inode })
    }

    fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| inode(&metadata) == self.inode)
    }
}

impl DatabaseFile {
    /// Records the files at this path. Connections must have them open.
    pub(crate) fn new(path: PathBuf, is_opened_read_only: bool) -> io::Result<Self> {
        let resolved = fs::canonicalize(&path)?;
        let metadata = fs::metadata(&resolved)?;
        Ok(Self {
            database: inode(&metadata),
            content: File::open(&resolved)?,
            wal: Companion::new(wal_path(&resolved))?,
            shared_memory: Companion::new(shared_memory_path(&resolved))?,
            length: metadata.len().into(),
            is_opened_read_only,
            path,
            resolved,
        })
    }

    /// Checks that the files at the path are the ones that are open, and complete.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let length = self.length_in_place().ok_or(StoreError::FileReplaced)?;
        if length < self.length.fetch_max(length, Ordering::Relaxed) {
            return Err(StoreError::FileTruncated);
        }
        // A backup that was copied over the file has its inode, but not this mark.
        let is_marked = has_wal_mark(&self.content).is_ok_and(|is_marked| is_marked);
        if is_marked && self.wal.is_in_place() && self.shared_memory.is_in_place() {
            Ok(())
        } else {
            Err(StoreError::FileReplaced)
        }
    }

    /// Checks in addition that this process may write the files. An open connection could write
    /// them even if a restart could not.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        self.check()?;
        if self.is_opened_read_only || !is_writable(&self.resolved) {
            return Err(StoreError::ReadOnly);
        }
        Ok(())
    }

    /// Whether new connections could write, in contrast to the open ones.
    pub(crate) fn should_reopen(&self) -> bool {
        self.is_opened_read_only && are_all_writable(&self.resolved)
    }

    /// The length of the database file, unless it is no longer at the path.
    pub(crate) fn length_in_place(&self) -> Option<u64> {
        let metadata = fs::symlink_metadata(&self.resolved).ok()?;
        let is_in_place =
            inode(&metadata) == self.database && (self.path == self.resolved || self.is_at_path());
        is_in_place.then_some(metadata.len())
    }

    fn is_at_path(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| inode(&metadata) == self.database)
    }

    /// Accepts a smaller length of the database file.
    pub(crate) fn accept_length(&self, length: u64) {
        self.length.store(length, Ordering::Relaxed);
    }

    /// The path of the write-ahead log.
    pub(crate) fn wal_path(&self) -> &Path {
        &self.wal.path
    }
}

/// Whether this process may write the file and create files beside it.
fn is_writable(database: &Path) -> bool {
    let directory = database.parent().unwrap_or(Path::new("/"));
    access(database, Access::WRITE_OK).is_ok()
        && access(directory, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Whether this process may write the file and those that SQLite keeps beside it. Those have the
/// permissions that the file had when they were created. If this user owns them, they receive the
/// current permissions of the file here.
pub(crate) fn are_all_writable(database: &Path) -> bool {
    is_writable(database)
        && [wal_path(database), shared_memory_path(database)].iter().all(|path| {
            access(path, Access::WRITE_OK).is_ok()
                || !path.exists()
                || fs::metadata(database)
                    .and_then(|metadata| fs::set_permissions(path, metadata.permissions()))
                    .is_ok()
        })
}

/// The path of the write-ahead log of a database. The path must not contain symbolic links.
pub(crate) fn wal_path(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

fn shared_memory_path(database: &Path) -> PathBuf {
    beside(database, "-shm")
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// Whether the header of a database marks it as one with a write-ahead log: its read version is 2.
/// SQLite writes the mark before the first frame of a log.
pub(crate) fn has_wal_mark(database: &File) -> io::Result<bool> {
    const READ_VERSION_OFFSET: u64 = 19;
    let mut version = [0];
    database.read_exact_at(&mut version, READ_VERSION_OFFSET)?;
    Ok(version == [2])
}

/// The length of a file, or 0 if it does not exist.
pub(crate) fn length_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
