//! Accepts connections and serves them, until it is told to stop.
//!
//! Not by actix's own server, which drops connections that wait to be accepted when it stops, knows
//! no bound for all workers together, and hands the stream on before it can be bounded. The
//! protocol and the application are actix's as ever.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix_service::ServiceFactory;
use actix_web::{
    App, Error,
    dev::{ServiceRequest, ServiceResponse},
};
use futures_util::future::join_all;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    metrics::ConnectionMetrics,
    worker::{Accepted, Worker},
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long nothing is accepted after the system could not give a connection, most likely for want
/// of descriptors.
const BREATHER: Duration = Duration::from_millis(100);
/// For answers that are due when the time is over.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How much the server may use, and how long it goes on after it was told to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that serve requests.
    pub workers: usize,
    /// Connections that may be open. More wait to be accepted.
    pub max_connections: usize,
    /// How long it goes on accepting when it is told to stop, so that those who send it clients
    /// learn of it.
    pub drain: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
}

/// A server that has its address, and accepts nothing until it runs.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    workers: Vec<Worker>,
    /// Responses end their connections.
    stopping: Arc<AtomicBool>,
    limits: Limits,
}

impl Server {
    /// Listens on `address`. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the address is not available, the clock shows what no `Date` header can, or the workers
    /// cannot be started.
    pub fn bind<T>(
        address: SocketAddr,
        limits: Limits,
        metrics: &ConnectionMetrics,
        app: impl Fn() -> App<T> + Clone + Send + 'static,
    ) -> io::Result<Self>
    where
        T: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse,
                Error = Error,
                InitError = (),
            > + 'static,
    {
        check_clock(SystemTime::now())?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // An address that was used a moment ago can be used again.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        let limit = i64::try_from(limits.max_connections).unwrap_or(i64::MAX);
        metrics.limit.set(limit);
        let stopping = Arc::<AtomicBool>::default();
        let workers = (0..limits.workers)
            .map(|number| Worker::start(number, app.clone(), metrics, &stopping))
            .collect::<io::Result<_>>()?;
        Ok(Self { listener, address, workers, stopping, limits })
    }

    /// Where it listens; with the port that the system chose, if it was asked to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done. Then it is no longer ready, and its answers end their
    /// connections; after the drain it accepts nothing more, and finishes what is in flight, which
    /// takes no longer than a request may.
    ///
    /// # Errors
    /// When a worker ends by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let Self { listener, workers, stopping, limits, .. } = self;
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        let door = Door { listener, slots, workers };
        tokio::select! {
            ended = door.let_in() => return ended,
            () = stop => {}
        }
        stopping.store(true, Ordering::Relaxed);
        tokio::select! {
            ended = door.let_in() => return ended,
            () = sleep(limits.drain) => {}
        }
        let workers = door.close()?;
        let patience = limits.request_timeout + LAST_WORDS;
        let all = workers.into_iter().map(Worker::finish);
        if timeout(patience, join_all(all)).await.is_err() {
            tracing::warn!("some connections did not end in time; they are cut off");
        }
        Ok(())
    }
}

/// Lets connections in and hands them to the workers.
struct Door {
    listener: TcpListener,
    /// One for each connection that may be open.
    slots: Arc<Semaphore>,
    workers: Vec<Worker>,
}

impl Door {
    /// Lets in whoever comes, for ever.
    async fn let_in(&self) -> io::Result<()> {
        let mut failing = false;
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await;
            let slot = slot.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    failing = false;
                    let stream = stream.into_std()?;
                    hand_over(&self.workers, Accepted { stream, peer, slot })?;
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    if !failing {
                        tracing::error!(exception.message = %error, "connections cannot be accepted");
                    }
                    failing = true;
                    sleep(BREATHER).await;
                }
            }
        }
    }

    /// Lets in those who stand before the door already, and closes it: the system has told them
    /// that they are connected.
    fn close(self) -> io::Result<Vec<Worker>> {
        let Self { listener, slots, workers } = self;
        // Asked directly: what tokio knows of it may be older.
        let listener = listener.into_std()?;
        while let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            match listener.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    hand_over(&workers, Accepted { stream, peer, slot })?;
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(_) => break,
            }
        }
        Ok(workers)
    }
}

/// Each worker panics when it starts with a time that a `Date` header cannot show; later, its header
/// stays at the last time that could be shown.
fn check_clock(now: SystemTime) -> io::Result<()> {
    /// The beginning of the year 10000, as the time since 1970.
    const END: Duration = Duration::from_hours(70_389_528);
    match now.duration_since(UNIX_EPOCH) {
        Ok(since_1970) if since_1970 < END => Ok(()),
        Ok(_) | Err(_) => Err(io::Error::other(
            "the system clock must show a time between the years 1970 and 9999; set the clock",
        )),
    }
}

/// To the worker that has the least to do.
fn hand_over(workers: &[Worker], accepted: Accepted) -> io::Result<()> {
    let worker = workers.iter().min_by_key(|worker| worker.connections());
    worker.expect("there is one worker at least").serve(accepted)
}

/// Whether a connection ended before it was accepted. The next one may be good.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_that_no_date_header_can_show_is_rejected() {
        let end = UNIX_EPOCH + Duration::from_hours(70_389_528);
        let moment = Duration::from_nanos(1);
        for good in [UNIX_EPOCH, SystemTime::now(), end - moment] {
            assert!(check_clock(good).is_ok(), "{good:?}");
        }
        for bad in [UNIX_EPOCH - moment, end] {
            let error = check_clock(bad).unwrap_err().to_string();
            assert!(error.contains("the system clock"), "{error}");
        }
    }
}
