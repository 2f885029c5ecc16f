//! What the repositories on diesel share, whichever database they speak to.
//!
//! - [`Lane`]: the queue for connections, and the blocking thread on which diesel runs;
//!   [`ConnectionUse`] is what can be seen of it;
//! - [`Patience`]: how long a call waits for what others hold, waiting in the queue included;
//! - [`rows`]: rows as they come from a database, and the way into the domain's values.
//!
//! Deliberately absent: statements, tables, and what an error of a database means. They differ
//! from database to database and live in `order-repo-sqlite` and `order-repo-postgres`.

mod lane;
mod patience;
pub mod rows;

pub use lane::{ConnectionUse, Lane, NeverBegun};
pub use patience::Patience;
