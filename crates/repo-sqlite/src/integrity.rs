//! Rejects a damaged file before anything is written to it.

use std::fs::{self, File};

use diesel::{dsl::sql, prelude::*, sql_types::Text};

use crate::{
    database::{Database, OpenMode},
    error::{OpenError, is_damage},
    file::{has_wal_mark, length_of, wal_path},
};

/// Checks the file at the path, if it exists. To be called before this process has connections to
/// it: closing another descriptor of the file releases SQLite's locks.
pub(crate) fn check(database: &Database) -> Result<(), OpenError> {
    let has_wal = check_wal(database)?;
    if length_of(&database.absolute) == 0 {
        return Ok(());
    }
    // A connection that may write would apply the log to the file when it closes.
    quick_check(database, if has_wal { OpenMode::Read } else { OpenMode::ReadWrite })
}

/// Checks a file that exists and is not empty. Reads all of it once.
pub(crate) fn quick_check(database: &Database, mode: OpenMode) -> Result<(), OpenError> {
    let mut connection = database.connect(mode)?;
    let checked = sql::<Text>("PRAGMA quick_check(1)").get_result::<String>(&mut connection);
    let damaged = |problem| Err(OpenError::Damaged { path: database.path.clone(), problem });
    match checked {
        Ok(problem) if problem == "ok" => Ok(()),
        Ok(problem) => damaged(problem.replace('\n', " ")),
        Err(error) if is_damage(&error) => damaged(error.to_string()),
        Err(error) => Err(database.open_error(error)),
    }
}

/// Rejects a write-ahead log that cannot belong to the file. Returns whether a log exists.
///
/// A log does not name its database. But SQLite marks the file before it writes the first frame of
/// the log, so a log beside an empty or unmarked file belongs to another. Copies that
/// [`backup`](crate::backup) makes are unmarked.
pub(crate) fn check_wal(database: &Database) -> Result<bool, OpenError> {
    let resolved =
        fs::canonicalize(&database.absolute).unwrap_or_else(|_| database.absolute.clone());
    let wal = wal_path(&resolved);
    // The log first, then the file: another process may be creating both.
    if length_of(&wal) == 0 {
        return Ok(false);
    }
    if length_of(&resolved) > 0
        && File::open(&resolved)
            .and_then(|file| has_wal_mark(&file))
            .map_err(|error| database.open_error(error))?
    {
        return Ok(true);
    }
    Err(OpenError::ForeignWal { path: database.path.clone(), wal })
}
