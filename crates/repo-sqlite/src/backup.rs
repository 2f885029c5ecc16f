//! Makes a consistent copy of the database while processes use it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use diesel::{prelude::*, sql_types::Text};
use order_domain::BoxError;

use crate::{
    database::{Database, OpenMode},
    error::OpenError,
    integrity,
};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no database to copy.
    #[error("there is no database {path:?}")]
    NoDatabase {
        /// Its path.
        path: PathBuf,
    },
    /// The path of the backup exists, as a file or anything else.
    #[error("{path:?} exists; a backup never overwrites a file")]
    Exists {
        /// The path of the backup.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup cannot be written.
    #[error("the backup {path:?} cannot be written; nothing is left of it")]
    Write {
        /// The path of the backup.
        path: PathBuf,
        /// What failed.
        source: BoxError,
    },
}

/// Copies the database at `path` to `target`.
///
/// The copy has another name until it is complete. A backup that is killed leaves a file whose name
/// ends in `.partial`.
pub(crate) fn backup(path: &Path, target: &Path) -> Result<(), BackupError> {
    let database = Database::at(path)?;
    if !fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        return Err(BackupError::NoDatabase { path: path.to_owned() });
    }
    let exists = || BackupError::Exists { path: target.to_owned() };
    let unwritten = |source| BackupError::Write { path: target.to_owned(), source };
    if target.symlink_metadata().is_ok() {
        return Err(exists());
    }
    integrity::check_wal(&database)?;
    let absolute = std::path::absolute(target).map_err(|error| unwritten(error.into()))?;
    let (Some(directory), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(unwritten("it names no file".into()));
    };
    let copy = tempfile::Builder::new()
        .prefix(name)
        .suffix(".partial")
        .tempfile_in(directory)
        .map_err(|error| unwritten(error.into()))?;
    write_copy(&database, copy.path()).map_err(unwritten)?;
    copy.persist_noclobber(&absolute).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(),
        _ => unwritten(error.error.into()),
    })?;
    // The name, too, must survive a loss of power.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| unwritten(error.into()))
}

/// Fills an empty file, and waits until its content is on the disk.
fn write_copy(database: &Database, copy: &Path) -> Result<(), BoxError> {
    let name = copy.to_str().ok_or("its path is not UTF-8")?;
    // The connection may write, because the last one to close removes the files beside the
    // database.
    let mut connection = database.connect(OpenMode::ReadWrite)?;
    diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(name).execute(&mut connection)?;
    fs::set_permissions(copy, fs::metadata(&database.absolute)?.permissions())?;
    Ok(File::open(copy)?.sync_all()?)
}
