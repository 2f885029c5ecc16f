//! Opens sessions on the server and verifies that each belongs to one connection only.
//!
//! A connection pooler in transaction or statement mode lends a connection a session of the server
//! for one transaction. Settings and prepared statements stay behind in that session, and the next
//! transaction may find those of another connection: commits are less durable than promised, and a
//! prepared statement returns the rows of another one. Such a connection must not serve a request.
//!
//! What tells the two apart is a message that the server sends while the connection is idle.
//! Between transactions such a pooler has no connection to deliver it to.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use diesel::{
    PgConnection,
    connection::SimpleConnection,
    result::{DatabaseErrorKind as Kind, Error as QueryError},
};

use crate::{connection_info, error::NoConnection};

/// Carries the messages that verify sessions.
const CHANNEL: &str = "order_api_session";

/// How long a second connection may take to open and send a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

const NO_SECOND_CONNECTION: &str = "no second connection was available in time; a pooler \
     must allow one session more (PgBouncer: default_pool_size)";

/// How long a message may take to arrive once it is sent. Usually it takes less than a millisecond.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
const DELIVERY_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Identifies a session, by a setting that only this session has.
pub(crate) struct SessionMarker(String);

/// What became of the message that verifies a session.
enum Message {
    Sent,
    /// The server is a standby, or accepts no messages at the moment.
    Rejected,
}

impl SessionMarker {
    fn new() -> Self {
        Self(format!("{:016x}", RandomState::new().build_hasher().finish()))
    }

    fn set(&self) -> String {
        format!("SET order_api.session = '{}'", self.0)
    }

    /// Whether a connection still has the session that was marked.
    ///
    /// # Errors
    /// When it has another one or none at all.
    pub(crate) fn verify(&self, connection: &mut PgConnection) -> Result<(), NoConnection> {
        // Of the simple protocol, because a prepared statement may be another session's.
        let fails_if_other = format!(
            "SELECT 1 / (current_setting('order_api.session', true) \
                 IS NOT DISTINCT FROM '{}')::int",
            self.0
        );
        connection.batch_execute(&fails_if_other).map_err(|error| match error {
            QueryError::DatabaseError(Kind::Unknown, _) => NoConnection::SharedSession,
            lost => lost.into(),
        })
    }
}

/// Opens a session that belongs to the connection alone.
///
/// Each attempt needs a second connection for a moment. Those of one `lock` never do so at the
/// same time, so that they cannot use up what a pooler allows and wait for each other.
///
/// # Errors
/// When the server cannot be reached, or a pooler shares its sessions.
pub(crate) fn open(
    libpq: &str,
    lock: &Mutex<()>,
) -> Result<(PgConnection, SessionMarker), NoConnection> {
    let mut connection = connection_info::connect(libpq)?;
    let marker = SessionMarker::new();
    connection.batch_execute(&marker.set())?;
    // A standby rejects it.
    let listens = connection.batch_execute(&format!("LISTEN {CHANNEL}")).is_ok();
    {
        let _lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let message = send(libpq, &marker)?;
        if listens && matches!(message, Message::Sent) {
            // Nothing is sent to the server meanwhile: a pooler could deliver it with the result.
            receive(&mut connection, &marker)?;
        }
    }
    connection.batch_execute("UNLISTEN *")?;
    // The second connection has set its own marker. On a standby this is all that can be verified.
    marker.verify(&mut connection)?;
    Ok((connection, marker))
}

/// Sends a message from another connection, on a thread, because a pooler that has reached its
/// limit may keep that waiting for minutes.
fn send(libpq: &str, marker: &SessionMarker) -> Result<Message, NoConnection> {
    let (libpq, payload) = (libpq.to_owned(), marker.0.clone());
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("order-pg-verify".to_owned())
        .spawn(move || {
            // The receiver may be gone.
            let _ = sender.send(connect_and_send(&libpq, &payload));
        })
        .map_err(|error| NoConnection::new(&error.to_string()))?;
    receiver
        .recv_timeout(SEND_TIMEOUT)
        .unwrap_or_else(|_| Err(NoConnection::new(NO_SECOND_CONNECTION)))
}

fn connect_and_send(libpq: &str, payload: &str) -> Result<Message, NoConnection> {
    let mut connection = connection_info::connect(libpq)?;
    connection.batch_execute(&SessionMarker::new().set())?;
    // A message is a commit, but not one that has to wait for a disk or a standby.
    let notify = format!(
        "SET statement_timeout = '2s'; SET synchronous_commit = off; NOTIFY {CHANNEL}, '{payload}'"
    );
    Ok(match connection.batch_execute(&notify) {
        Ok(()) => Message::Sent,
        Err(_) => Message::Rejected,
    })
}

/// Waits for the message without a round trip.
fn receive(connection: &mut PgConnection, marker: &SessionMarker) -> Result<(), NoConnection> {
    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    loop {
        for message in connection.notifications_iter() {
            if message?.payload == marker.0 {
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            return Err(NoConnection::SharedSession);
        }
        thread::sleep(DELIVERY_POLL_INTERVAL);
    }
}
