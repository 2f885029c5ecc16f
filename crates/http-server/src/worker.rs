//! A thread that serves a share of the connections.

use std::{
    io,
    pin::pin,
    rc::Rc,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Protocol, Request, Response};
use actix_service::{Service, ServiceFactory, apply_fn_factory, map_config};
use actix_web::{
    App, Error, HttpMessage,
    body::BoxBody,
    dev::{AppConfig, ServiceRequest, ServiceResponse},
    http::{ConnectionType, header},
};
use tokio::{
    net::TcpStream,
    runtime,
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::{LocalSet, spawn_local},
};

use crate::{
    connection::{Connection, LINGER_TIMEOUT},
    metrics::ConnectionMetrics,
    stream::Stream,
};

/// A connection on its way to a worker.
pub(crate) struct Accepted {
    stream: std::net::TcpStream,
    /// Dropped when the connection is closed.
    guard: (OwnedSemaphorePermit, Arc<()>),
}

/// A worker's handle. When it is dropped, the thread ends as soon as its connections are closed.
pub(crate) struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    /// Has a clone for each open connection, and so counts them.
    open: Arc<()>,
}

impl Worker {
    /// Starts a thread that runs `serve`, and then the tasks that `serve` has spawned.
    pub(crate) fn start<F: Future<Output = ()>>(
        number: usize,
        serve: impl FnOnce(mpsc::UnboundedReceiver<Accepted>) -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (accepted, receiver) = mpsc::unbounded_channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            // The tasks of actix stay on their thread.
            let tasks = LocalSet::new();
            tasks.block_on(&runtime, serve(receiver));
            runtime.block_on(tasks);
        })?;
        Ok(Self { accepted, open: Arc::default() })
    }
}

/// Sends a connection to the worker with the fewest connections.
///
/// # Errors
/// When the thread of the worker has ended.
pub(crate) fn dispatch(
    workers: &[Worker],
    stream: std::net::TcpStream,
    permit: OwnedSemaphorePermit,
) -> io::Result<()> {
    let worker = workers.iter().min_by_key(|worker| Arc::strong_count(&worker.open));
    let worker = worker.expect("there is at least one worker");
    let accepted = Accepted { stream, guard: (permit, Arc::clone(&worker.open)) };
    worker.accepted.send(accepted).map_err(|_| io::Error::other("a worker has ended"))
}

/// Serves each accepted connection in a task, and asks the tasks to end when no more can arrive.
/// Errors of the transport are the client's, and are counted where they occur.
pub(crate) async fn serve<T>(
    app: App<T>,
    metrics: ConnectionMetrics,
    is_stopping: Arc<AtomicBool>,
    mut accepted: mpsc::UnboundedReceiver<Accepted>,
) where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse,
            Error = Error,
            InitError = (),
        > + 'static,
{
    let app = map_config(app, |()| AppConfig::default());
    let service = HttpService::build()
        // `Stream` bounds all of this.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER_TIMEOUT)
        .on_connect_ext(|stream: &Stream, data| {
            data.insert(Rc::clone(&stream.connection));
        })
        .finish(apply_fn_factory(app, respond))
        .new_service(())
        .await;
    let service = service.expect("the application needs nothing to start");
    let (_shutdown, is_shutdown) = watch::channel(());
    while let Some(Accepted { stream, guard }) = accepted.recv().await {
        let Ok(tcp) = TcpStream::from_std(stream) else { continue };
        let peer = tcp.peer_addr().ok();
        let connection = Rc::new(Connection::new(metrics.clone(), Arc::clone(&is_stopping)));
        let stream = Stream::new(tcp, Rc::clone(&connection));
        let served = service.call((stream, Protocol::Http1, peer));
        let mut is_shutdown = is_shutdown.clone();
        spawn_local(async move {
            // Dropped after the stream.
            let (_guard, connection) = (guard, connection);
            let mut served = pin!(served);
            tokio::select! {
                biased;
                _ = &mut served => return,
                // Fails at shutdown, when the sender is dropped.
                _ = is_shutdown.changed() => connection.close_when_idle(),
            }
            let _ = served.await;
        });
    }
}

/// Calls the application, and reports to the connection where the request begins and ends.
fn respond<S>(
    request: Request,
    app: &S,
) -> impl Future<Output = Result<Response<BoxBody>, Error>> + use<S>
where
    S: Service<Request, Response = ServiceResponse, Error = Error>,
{
    let connection = request.conn_data::<Rc<Connection>>().cloned();
    let connection = connection.expect("each connection has its data");
    connection.begin_request(announces_body(&request));
    let response = app.call(request);
    async move {
        let mut response = response.await.map_or_else(Response::from, Response::from);
        if !connection.end_response(response.status()) {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(response)
    }
}

fn announces_body(request: &Request) -> bool {
    let headers = request.headers();
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}
