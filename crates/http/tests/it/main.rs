//! The API over mocked ports: status, body and headers of every response.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod deadline;
mod docs;
mod errors;
mod find;
mod headers;
mod list;
mod metrics;
mod order_of_checks;
mod over_tcp;
mod place;
mod readiness;
mod slow;
mod support;
mod take;
mod upgrades;
mod wire;
