//! Serves an actix-web application over connections that are bounded in number, time and size.

mod connection;
mod metrics;
mod server;
mod worker;

pub use connection::{REQUEST_READ_TIMEOUT, read_body};
pub use metrics::{CloseReason, ConnectionMetrics};
pub use server::{Limits, Server};
