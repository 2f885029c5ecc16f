//! Rejects a file that is damaged, before anything is written to it.

use std::fs::{self, File};

use diesel::{prelude::*, sql_types::Text};

use crate::{
    error::{OpenError, is_damage},
    file::{has_wal_mark, length_of, wal_path},
    open::{Database, OpenMode},
};

#[derive(QueryableByName)]
struct Problem {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

/// Checks the file at the path, if there is one. To be called before this process has connections
/// to it: closing a file that was opened for anything else releases the locks of SQLite.
pub(crate) fn check(database: &Database) -> Result<(), OpenError> {
    let has_wal = check_wal(database)?;
    if length_of(&database.absolute) == 0 {
        return Ok(());
    }
    // A connection that may write would apply the log to the file when it is closed.
    quick_check(database, if has_wal { OpenMode::Read } else { OpenMode::ReadWrite })
}

/// Checks a file that is there and not empty. Reads all of it, once.
pub(crate) fn quick_check(database: &Database, mode: OpenMode) -> Result<(), OpenError> {
    let mut connection = database.connect(mode)?;
    let checked = diesel::sql_query("PRAGMA quick_check(1)").get_result(&mut connection);
    let damaged = |problem| Err(OpenError::Damaged { path: database.path.clone(), problem });
    match checked {
        Ok(Problem { quick_check }) if quick_check == "ok" => Ok(()),
        Ok(Problem { quick_check }) => damaged(quick_check.replace('\n', " ")),
        Err(error) if is_damage(&error) => damaged(error.to_string()),
        Err(error) => Err(database.unopened(error)),
    }
}

/// Rejects a write-ahead log that cannot be that of the file. Says whether there is one.
///
/// Nothing in a log names its database. But SQLite marks the file before it writes the first frame
/// of the log, so there is no log beside an empty file, or beside one without the mark. Copies that
/// [`backup`](crate::backup) makes are without it.
pub(crate) fn check_wal(database: &Database) -> Result<bool, OpenError> {
    let resolved =
        fs::canonicalize(&database.absolute).unwrap_or_else(|_| database.absolute.clone());
    let wal = wal_path(&resolved);
    // First the log, then the file: another process may be making both.
    if length_of(&wal) == 0 {
        return Ok(false);
    }
    if length_of(&resolved) > 0
        && File::open(&resolved)
            .and_then(|file| has_wal_mark(&file))
            .map_err(|error| database.unopened(error))?
    {
        return Ok(true);
    }
    Err(OpenError::ForeignWal { path: database.path.clone(), wal })
}
