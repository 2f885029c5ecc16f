//! A thread that serves connections.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_service::{Service, ServiceFactory, apply_fn_factory, map_config};
use actix_web::{
    App, Error, HttpMessage,
    body::BoxBody,
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    http::{ConnectionType, StatusCode, header},
};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot},
    task::{LocalSet, spawn_local},
};

use crate::{
    connection::{Connection, LINGER, Stream},
    metrics::{CloseReason, ConnectionMetrics},
};

/// A connection on its way to a worker.
pub(crate) struct Accepted {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    /// Given back when the connection is closed.
    pub(crate) slot: OwnedSemaphorePermit,
}

/// A worker, as the others see it. Dropping it ends the thread and cuts off its connections.
pub(crate) struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    connections: Arc<AtomicUsize>,
    /// Never sent: it ends with the thread.
    ended: oneshot::Receiver<()>,
    /// Never sent: the thread ends with it.
    _abort: oneshot::Sender<()>,
}

impl Worker {
    pub(crate) fn start<T>(
        number: usize,
        app: impl Fn() -> App<T> + Send + 'static,
        metrics: &ConnectionMetrics,
        stopping: &Arc<AtomicBool>,
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
        let (metrics, stopping) = (metrics.clone(), Arc::clone(stopping));
        let (accepted, arriving) = mpsc::unbounded_channel();
        let (ending, ended) = oneshot::channel();
        let (abort, aborted) = oneshot::channel();
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            let _ending: oneshot::Sender<()> = ending;
            let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                // Whoever hands over a connection hears that nobody is here.
                Err(error) => {
                    return tracing::error!(exception.message = %error, "a worker cannot start");
                }
            };
            // Requests stay on the thread that their connection is on.
            LocalSet::new().block_on(&runtime, async move {
                tokio::select! {
                    () = serve(app(), metrics, stopping, arriving, counted) => {}
                    _ = aborted => {}
                }
            });
            // A call of the database that nobody waits for any more is not waited for, either.
            runtime.shutdown_background();
        })?;
        Ok(Self { accepted, connections, ended, _abort: abort })
    }

    /// How many connections it serves.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When the thread has ended.
    pub(crate) fn serve(&self, accepted: Accepted) -> io::Result<()> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.accepted.send(accepted).map_err(|_| io::Error::other("a worker has ended"))
    }

    /// Lets it finish what is in flight, and end.
    pub(crate) async fn finish(self) {
        let Self { accepted, ended, .. } = self;
        drop(accepted);
        let _ = ended.await;
    }
}

/// Serves what arrives. When nothing can arrive any more, finishes what is in flight.
async fn serve<T>(
    app: App<T>,
    metrics: ConnectionMetrics,
    stopping: Arc<AtomicBool>,
    mut arriving: mpsc::UnboundedReceiver<Accepted>,
    count: Arc<AtomicUsize>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse,
            Error = Error,
            InitError = (),
        > + 'static,
{
    // Reports to the connection when a request begins and when its response is known.
    let app = map_config(app, |()| AppConfig::default());
    let app = apply_fn_factory(app, |request: Request, app: &_| {
        let connection = request.conn_data::<Rc<Connection>>().cloned();
        let connection = connection.expect("each connection has its data");
        connection.request_came(announces_body(&request));
        let response = Service::<Request>::call(app, request);
        async move {
            let response = response.await;
            let mut response = response.map_or_else(Response::from, Response::<BoxBody>::from);
            if response.status() == StatusCode::REQUEST_TIMEOUT {
                connection.count_close(CloseReason::LateBody);
            }
            if !connection.answered() {
                response.head_mut().set_connection_type(ConnectionType::Close);
            }
            Ok::<_, Error>(response)
        }
    });
    let service = HttpService::build()
        // `connection` bounds all of this.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(|stream: &Stream, data| {
            data.insert(Rc::clone(stream.connection()));
        })
        .finish(app)
        .new_service(())
        .await
        .expect("the application needs nothing to start");
    let service = Rc::new(service);
    let open = Rc::new(Open { all: RefCell::default(), count, left: Notify::new() });
    let mut number = 0_u64;
    while let Some(Accepted { stream, peer, slot }) = arriving.recv().await {
        number += 1;
        let connection = Rc::new(Connection::new(metrics.clone(), Arc::clone(&stopping)));
        let entry = Entry::new(Rc::clone(&open), number, Rc::clone(&connection));
        let Ok(tcp) = TcpStream::from_std(stream) else { continue };
        let served = service.call((Stream::new(tcp, connection), Protocol::Http1, Some(peer)));
        spawn_local(async move {
            // What went wrong on the wire is the client's affair, and was counted.
            let _ = served.await;
            drop((entry, slot));
        });
    }
    for connection in open.all.borrow().values() {
        connection.close_when_idle();
    }
    while !open.all.borrow().is_empty() {
        open.left.notified().await;
    }
}

/// Whether a body follows, as the head has it.
fn announces_body(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// The connections of a worker.
struct Open {
    all: RefCell<HashMap<u64, Rc<Connection>>>,
    /// How many there are, for others to see.
    count: Arc<AtomicUsize>,
    left: Notify,
}

/// A connection among those that are open.
struct Entry {
    open: Rc<Open>,
    number: u64,
}

impl Entry {
    fn new(open: Rc<Open>, number: u64, connection: Rc<Connection>) -> Self {
        open.all.borrow_mut().insert(number, connection);
        Self { open, number }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.open.all.borrow_mut().remove(&self.number);
        self.open.count.fetch_sub(1, Ordering::Relaxed);
        self.open.left.notify_one();
    }
}
