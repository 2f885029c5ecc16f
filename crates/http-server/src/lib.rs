//! Serves an actix-web application over connections that are bounded in number, time and size.
//!
//! * [`Server`] accepts connections, dispatches them to threads, and shuts down.
//! * `worker` is such a thread. It serves its connections with actix-http.
//! * `connection` has the phases and deadlines of a connection, in one table.
//! * `stream` is the socket of a connection. It enforces the deadlines.
//! * `framing` divides the input of a connection into requests.
//! * [`read_body`] reads the body of a request until the request's deadline.
//!
//! Deliberately absent: endpoints, error formats, signals, and everything about orders.

mod connection;
mod framing;
mod metrics;
mod server;
mod stream;
mod worker;

pub use connection::read_body;
pub use metrics::{CloseReason, ConnectionMetrics};
pub use server::{Limits, Server};
