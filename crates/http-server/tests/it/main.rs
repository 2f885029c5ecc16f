//! The server over real sockets, with the deadlines of production.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod deadlines;
mod shutdown;
mod support;
mod write_timeout;
