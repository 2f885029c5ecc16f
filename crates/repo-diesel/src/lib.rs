//! What the repositories on diesel share, whichever database they speak to.
//!
//! - [`Queue`]: calls that wait together and are served together, a [`Batch`] at each [`Turn`];
//!   [`cap`] bounds it, [`all_fail`] and [`only`] shape what it gives, and equal calls may have a
//!   [`Shared`] answer;
//! - [`Crew`]: the threads that serve queues, and on which diesel blocks;
//! - [`ConnectionUse`]: what can be seen of that from outside;
//! - [`Patience`]: how long a call waits for what others hold, waiting in the queue included;
//! - [`rows`]: rows as they come from a database, and the way into the domain's values.
//!
//! Deliberately absent: statements, tables, and what an error of a database means. They differ
//! from database to database and live in `order-repo-sqlite` and `order-repo-postgres`.

pub mod cap;
mod connection_use;
mod crew;
mod outcomes;
mod patience;
mod queue;
pub mod rows;
mod sharing;
mod slot;
#[cfg(test)]
mod tests;
mod turn;

pub use connection_use::ConnectionUse;
pub use crew::Crew;
pub use outcomes::{all_fail, only};
pub use patience::Patience;
pub use queue::{CAPACITY, Full, Queue, Width};
pub use sharing::Shared;
pub use turn::{Batch, Turn};
