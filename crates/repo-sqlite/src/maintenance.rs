//! Periodic maintenance of the files, independent of requests.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use diesel::{dsl::sql, prelude::*, sql_types::BigInt};

use crate::{
    connections::Connections,
    database::{Database, OpenMode, set_busy_timeout},
    error::StoreError,
    file::{DatabaseFile, length_of},
    integrity,
    open::{Opened, WAL_LIMIT_BYTES},
};

const INTERVAL: Duration = Duration::from_secs(1);

/// How long a restart of the log waits for readers. Writes wait during this time.
const RESTART_TIMEOUT: Duration = Duration::from_millis(100);

/// If more frames of the log are not yet in the file, a long-running reader still uses them, and
/// the log cannot be restarted.
const MAX_PENDING_FRAMES: i64 = 1_000;

/// A thread that maintains the files until this is dropped.
pub(crate) struct Maintenance {
    _stop: mpsc::Sender<()>,
}

impl Maintenance {
    pub(crate) fn start(connections: Arc<Connections>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // The next attempt follows in a second. Requests report lasting failures.
                let _ = maintain(&connections);
            }
        };
        thread::Builder::new()
            .name("order-maintain".to_owned())
            .spawn(work)
            .expect("the system has room for one more thread");
        Self { _stop: stop }
    }
}

fn maintain(connections: &Connections) -> Result<(), StoreError> {
    let database = &connections.database;
    let guard = connections.acquire();
    let Opened { file, writer, .. } = guard.opened()?;
    match file.check() {
        Ok(()) if length_of(file.wal_path()) > WAL_LIMIT_BYTES => shorten_wal(database)?,
        Err(StoreError::FileTruncated) => accept_vacuum(database, file),
        // The log was removed and the file was not. The log is still open, and its content must
        // reach the file.
        Err(_) if file.length_in_place().is_some_and(|length| length > 0) => {
            let mut connection = writer.get().map_err(Arc::new)?;
            checkpoint(&mut connection, "PASSIVE")?;
        }
        Ok(()) | Err(_) => {}
    }
    Ok(())
}

/// Runs a checkpoint. Returns the number of committed frames in the log, -1 if there is no log, and
/// how many of them are in the file.
pub(crate) fn checkpoint(connection: &mut SqliteConnection, mode: &str) -> QueryResult<(i64, i64)> {
    let query = format!("PRAGMA wal_checkpoint({mode})");
    let checkpoint = sql::<(BigInt, BigInt, BigInt)>(&query);
    let (_is_busy, frames, moved): (i64, i64, i64) = checkpoint.get_result(connection)?;
    Ok((frames, moved))
}

/// Restarts a log that has become long because a transaction has been reading for a long time. The
/// slow part needs no lock that a write needs.
fn shorten_wal(database: &Database) -> Result<(), StoreError> {
    let Ok(mut connection) = database.connect(OpenMode::ReadWrite) else { return Ok(()) };
    let (frames, moved) = checkpoint(&mut connection, "PASSIVE")?;
    if frames - moved < MAX_PENDING_FRAMES {
        set_busy_timeout(&mut connection, RESTART_TIMEOUT)?;
        checkpoint(&mut connection, "TRUNCATE")?;
    }
    Ok(())
}

/// Accepts the length of a file that a `VACUUM` by another program has shortened, but not that of a
/// truncated file.
fn accept_vacuum(database: &Database, file: &DatabaseFile) {
    let length = length_of(&database.absolute);
    // SQLite would treat an empty file as a new database and remove its log.
    if length > 0
        && integrity::quick_check(database, OpenMode::ReadWrite).is_ok()
        && page_bytes(database).is_some_and(|page| length.is_multiple_of(page))
    {
        file.accept_length(length);
    }
}

fn page_bytes(database: &Database) -> Option<u64> {
    let mut connection = database.connect(OpenMode::ReadWrite).ok()?;
    let size: i64 = sql::<BigInt>("PRAGMA page_size").get_result(&mut connection).ok()?;
    size.try_into().ok()
}
