//! Accepts connections, dispatches them to the workers, and shuts down.

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
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    metrics::ConnectionMetrics,
    worker::{Worker, dispatch, serve},
};

/// The number of connections that the kernel completes before they are accepted.
const BACKLOG: u32 = 4096;
/// The pause after a failure of `accept`, most likely for lack of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// The time, after the last request has timed out, to send responses at shutdown.
const RESPONSE_GRACE: Duration = Duration::from_millis(250);

/// The resources that a server may use, and the durations of its shutdown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that serve requests; at least one.
    pub workers: usize,
    /// Open connections. Further clients wait in the kernel's backlog.
    pub max_connections: usize,
    /// The time for which a server that shuts down still accepts connections, so that load
    /// balancers can learn of the shutdown.
    pub drain: Duration,
    /// The longest time that the application takes for a request. A shutdown waits for it.
    pub request_timeout: Duration,
}

/// A server that is bound to its address. It accepts connections while [`Server::run`] runs.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// One for each connection that may be open.
    permits: Arc<Semaphore>,
    workers: Vec<Worker>,
    limits: Limits,
    /// Responses close their connections.
    is_stopping: Arc<AtomicBool>,
}

impl Server {
    /// Binds to `address` and starts the workers, each with an application of its own. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// When the address is not available, a `Date` header cannot represent the time of the system
    /// clock, or a worker cannot be started.
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
        // Otherwise connections of an earlier process would block the address for a minute.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        metrics.limit.set(i64::try_from(limits.max_connections).unwrap_or(i64::MAX));
        let is_stopping = Arc::<AtomicBool>::default();
        let start_worker = |number| {
            let (app, metrics, is_stopping) =
                (app.clone(), metrics.clone(), Arc::clone(&is_stopping));
            Worker::start(number, move |accepted| serve(app(), metrics, is_stopping, accepted))
        };
        let workers = (0..limits.workers).map(start_worker).collect::<io::Result<_>>()?;
        let permits = Arc::new(Semaphore::new(limits.max_connections));
        Ok(Self { listener, address, permits, workers, limits, is_stopping })
    }

    /// The address, with the port that the system chose if port 0 was requested.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves connections until `stop` completes, and then shuts down:
    ///
    /// 1. Each response closes its connection. The server still accepts connections for
    ///    [`Limits::drain`].
    /// 2. It accepts the connections that the kernel has completed, and closes the listener.
    /// 3. It waits until the last connection is closed, at most for [`Limits::request_timeout`] and
    ///    250 ms.
    ///
    /// # Errors
    /// When a worker has ended.
    pub async fn run(self, stop: impl Future<Output = ()>) -> io::Result<()> {
        let limits = self.limits;
        let drained = async {
            stop.await;
            self.is_stopping.store(true, Ordering::Relaxed);
            sleep(limits.drain).await;
        };
        tokio::select! {
            ended = self.accept_loop() => return ended,
            () = drained => {}
        }
        let permits = Arc::clone(&self.permits);
        self.drain_backlog()?;
        let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
        let grace = limits.request_timeout + RESPONSE_GRACE;
        if timeout(grace, permits.acquire_many(all)).await.is_err() {
            tracing::warn!("some connections did not end in time and end with the process");
        }
        Ok(())
    }

    /// Accepts connections forever. Returns only an error: a worker has ended.
    async fn accept_loop(&self) -> io::Result<()> {
        let mut is_failing = false;
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    is_failing = false;
                    dispatch(&self.workers, stream.into_std()?, permit)?;
                }
                Err(error) if is_transient(&error) => {}
                Err(error) => {
                    if !is_failing {
                        tracing::error!(exception.message = %error, "cannot accept connections");
                    }
                    is_failing = true;
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Accepts the connections that the kernel has completed, as far as there are permits, and
    /// closes the listener. The workers end when their connections are closed.
    fn drain_backlog(self) -> io::Result<()> {
        // tokio's `accept` returns nothing before tokio has read the event of a connection.
        let listener = self.listener.into_std()?;
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    dispatch(&self.workers, stream, permit)?;
                }
                Err(error) if is_transient(&error) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }
}

/// Whether `accept` failed for one connection, so that the next call may succeed.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::Interrupted)
}

/// Checks that a `Date` header can represent the time: actix-http panics otherwise when a worker
/// starts. A clock that is changed later only stops the header.
fn check_clock(now: SystemTime) -> io::Result<()> {
    /// The beginning of the year 10000.
    const END: Duration = Duration::from_hours(70_389_528);
    match now.duration_since(UNIX_EPOCH) {
        Ok(since_1970) if since_1970 < END => Ok(()),
        Ok(_) | Err(_) => Err(io::Error::other(
            "the system clock must show a time between the years 1970 and 9999; set the clock",
        )),
    }
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
