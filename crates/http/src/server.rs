//! The HTTP server around the API.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{HttpServer, dev::Server};
use order_domain::Orders;

use crate::routes::app;

/// How much the server may use, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that serve requests.
    pub workers: usize,
    /// How long requests in flight may take to finish when the server stops.
    pub shutdown: Duration,
}

/// A server that has its address and starts to answer when it is awaited.
pub struct BoundServer {
    /// Where it listens; with the port that the system chose, if it was asked to.
    pub address: SocketAddr,
    /// The server: a future, and the handle to stop it. It leaves signals to the caller.
    pub server: Server,
}

/// Listens on `address`.
///
/// # Errors
/// When the address cannot be had.
pub fn bind(address: SocketAddr, orders: Orders, limits: Limits) -> io::Result<BoundServer> {
    let server = HttpServer::new(move || app(orders.clone()))
        .workers(limits.workers)
        .shutdown_timeout(limits.shutdown.as_secs())
        .disable_signals()
        .bind(address)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    Ok(BoundServer { address, server: server.run() })
}
