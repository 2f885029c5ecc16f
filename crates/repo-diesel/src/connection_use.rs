//! How connections are used, as it can be seen from outside.

use std::ops::Add;

use diesel::r2d2::{ManageConnection, Pool};

/// How connections are used at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionUse {
    /// Open, and of use to nobody.
    pub idle: usize,
    /// Open, and at work.
    pub busy: usize,
    /// The most that may be open.
    pub limit: usize,
    /// Calls that wait to be served.
    pub waiting: usize,
}

impl ConnectionUse {
    /// Of the connections of a pool, for which so many calls wait.
    #[must_use]
    pub fn of<M: ManageConnection>(connections: &Pool<M>, waiting: usize) -> Self {
        let state = connections.state();
        Self {
            idle: state.idle_connections as usize,
            busy: state.connections.saturating_sub(state.idle_connections) as usize,
            limit: connections.max_size() as usize,
            waiting,
        }
    }
}

impl Add for ConnectionUse {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            idle: self.idle + other.idle,
            busy: self.busy + other.busy,
            limit: self.limit + other.limit,
            waiting: self.waiting + other.waiting,
        }
    }
}
