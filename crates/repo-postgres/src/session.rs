//! Opens sessions on the server and verifies that each belongs to one connection only.
//!
//! A connection pooler in transaction or statement mode assigns a session of the server to a
//! connection for one transaction. Settings and prepared statements remain in that session, and the
//! next transaction may use those of another connection: commits are less durable than promised,
//! and a prepared statement returns the rows of another one. Such a connection must not serve a
//! request.
//!
//! A notification that the server sends while the connection is idle detects such a pooler: between
//! transactions it has no connection to deliver the notification to.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use diesel::{
    PgConnection,
    connection::SimpleConnection,
    result::{DatabaseErrorKind as Kind, Error as QueryError},
};

use crate::{connection_info, error::ConnectError, timeout::with_timeout};

/// The channel of the notifications that verify sessions.
const CHANNEL: &str = "order_api_session";

/// How long a second connection may take to open and send a notification.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

const NO_SECOND_CONNECTION: &str = "no second connection was available in time; a pooler \
     must allow one session more (PgBouncer: default_pool_size)";

/// How long a notification may take to arrive. Usually it takes less than a millisecond.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
const DELIVERY_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Identifies a session by a setting that only this session has.
pub(crate) struct SessionMarker(String);

impl SessionMarker {
    fn new() -> Self {
        Self(format!("{:016x}", RandomState::new().build_hasher().finish()))
    }

    fn set(&self) -> String {
        format!("SET order_api.session = '{}'", self.0)
    }

    /// Checks that a connection still has the marked session.
    ///
    /// # Errors
    /// When it has another session or none.
    pub(crate) fn verify(&self, connection: &mut PgConnection) -> Result<(), ConnectError> {
        // In the simple protocol, because a prepared statement may belong to another session.
        let fails_if_other = format!(
            "SELECT 1 / (current_setting('order_api.session', true) \
                 IS NOT DISTINCT FROM '{}')::int",
            self.0
        );
        connection.batch_execute(&fails_if_other).map_err(|error| match error {
            QueryError::DatabaseError(Kind::Unknown, _) => ConnectError::SharedSession,
            lost => lost.into(),
        })
    }
}

/// Opens a session that belongs to the connection alone.
///
/// Each attempt needs a second connection for a moment. Attempts with the same `lock` take turns,
/// so that they cannot exhaust the sessions that a pooler allows and wait for each other.
///
/// # Errors
/// When the server cannot be reached, or a pooler shares its sessions.
pub(crate) fn open(
    connection_string: &str,
    lock: &Mutex<()>,
) -> Result<(PgConnection, SessionMarker), ConnectError> {
    let mut connection = connection_info::connect(connection_string)?;
    let marker = SessionMarker::new();
    connection.batch_execute(&marker.set())?;
    // A standby rejects this.
    let listens = connection.batch_execute(&format!("LISTEN {CHANNEL}")).is_ok();
    {
        let _lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let is_sent = send(connection_string, &marker)?;
        if listens && is_sent {
            // Nothing is sent to the server meanwhile: a pooler could deliver the notification with
            // the result.
            receive(&mut connection, &marker)?;
        }
    }
    connection.batch_execute("UNLISTEN *")?;
    // The second connection has set another marker. On a standby only this can be verified.
    marker.verify(&mut connection)?;
    Ok((connection, marker))
}

/// Sends a notification from another connection, within a limit, because a pooler that has reached
/// its own may make it wait for minutes. Returns `false` if the server is a standby, or currently
/// accepts no notifications.
fn send(connection_string: &str, marker: &SessionMarker) -> Result<bool, ConnectError> {
    let (connection_string, payload) = (connection_string.to_owned(), marker.0.clone());
    let send = move || connect_and_send(&connection_string, &payload);
    with_timeout("order-pg-verify", SEND_TIMEOUT, send)
        .unwrap_or_else(|_| Err(ConnectError::new(NO_SECOND_CONNECTION)))
}

fn connect_and_send(connection_string: &str, payload: &str) -> Result<bool, ConnectError> {
    let mut connection = connection_info::connect(connection_string)?;
    connection.batch_execute(&SessionMarker::new().set())?;
    // A notification is a commit, but this one need not wait for a disk or a standby.
    let notify = format!(
        "SET statement_timeout = '2s'; SET synchronous_commit = off; NOTIFY {CHANNEL}, '{payload}'"
    );
    Ok(connection.batch_execute(&notify).is_ok())
}

/// Waits for the notification without a round trip.
fn receive(connection: &mut PgConnection, marker: &SessionMarker) -> Result<(), ConnectError> {
    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    loop {
        for message in connection.notifications_iter() {
            if message?.payload == marker.0 {
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(ConnectError::SharedSession);
        }
        thread::sleep(DELIVERY_POLL_INTERVAL);
    }
}
