//! A stub of Google on 127.0.0.1. It writes bytes without an HTTP library, so it can also stall,
//! close and reset connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Url;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// The reaction to one request: write these bytes, and then do this.
#[derive(Clone)]
pub(crate) struct Action {
    pub(crate) bytes: Vec<u8>,
    pub(crate) then: Then,
}

#[derive(Clone)]
pub(crate) enum Then {
    /// Waits for the next request on the connection.
    Serve,
    /// Closes the connection.
    Close,
    /// Resets the connection.
    Reset,
    /// Keeps the connection without sending more.
    Stall,
    /// Writes these bytes repeatedly.
    Repeat(Vec<u8>),
    /// Writes these bytes ten times a second.
    Trickle(Vec<u8>),
}

impl Action {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { bytes: bytes.into(), then }
    }

    /// A complete HTTP response.
    pub(crate) fn http(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::http_with(status, "", body)
    }

    /// A complete HTTP response with more header lines, each ended by CR LF.
    pub(crate) fn http_with(status: u16, lines: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} S\r\n{lines}Content-Length: {length}\r\n\r\n");
        Self::new([head.as_bytes(), body].concat(), Then::Serve)
    }

    /// HTTP 200 with this status in the body, as Google reports errors.
    pub(crate) fn status(status: &str) -> Self {
        Self::http(200, format!(r#"{{"status":"{status}","rows":[]}}"#))
    }

    /// Google's response with one element.
    pub(crate) fn element(element: &str) -> Self {
        Self::http(200, format!(r#"{{"status":"OK","rows":[{{"elements":[{element}]}}]}}"#))
    }

    /// Google's response with a distance.
    pub(crate) fn found(metres: &str) -> Self {
        Self::element(&format!(r#"{{"status":"OK","distance":{{"text":"x","value":{metres}}}}}"#))
    }
}

/// The head of a request.
#[derive(Clone)]
pub(crate) struct Request(pub(crate) String);

impl Request {
    /// Path and query, as they were sent.
    pub(crate) fn target(&self) -> &str {
        self.0.split(' ').nth(1).unwrap()
    }

    /// The decoded parameters of the query.
    pub(crate) fn parameters(&self) -> Vec<(String, String)> {
        let url = Url::parse("http://stub").unwrap().join(self.target()).unwrap();
        url.query_pairs().into_owned().collect()
    }

    /// The numbers of the parameter `name`.
    pub(crate) fn point(&self, name: &str) -> (f64, f64) {
        let parameters = self.parameters();
        let (_, value) = parameters.iter().find(|(found, _)| found == name).unwrap();
        let (latitude, longitude) = value.split_once(',').unwrap();
        (latitude.parse().unwrap(), longitude.parse().unwrap())
    }

    /// The values of the header `name`.
    pub(crate) fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<Request>,
}

type Script = dyn Fn(usize, &Request) -> Action + Send + Sync;

/// Dropping it closes all its connections.
pub(crate) struct Stub {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

impl Stub {
    /// Performs these actions in turn, and then repeats the last one.
    pub(crate) async fn script(actions: Vec<Action>) -> Self {
        Self::serve(move |n, _| actions[n.min(actions.len() - 1)].clone()).await
    }

    /// Performs the action that `script` returns for a request and its number, counted from 0.
    pub(crate) async fn serve(
        script: impl Fn(usize, &Request) -> Action + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let server = tokio::spawn(accept(listener, Arc::new(script), Arc::clone(&seen)));
        Self { address, seen, server }
    }

    /// Its URL, followed by `rest`.
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("http://{}/json{rest}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// How many requests it has received.
    pub(crate) fn request_count(&self) -> usize {
        self.seen.lock().unwrap().requests.len()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A port that refuses connections: bound, so that no other process gets it, and not listening.
pub(crate) fn closed_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket
}

async fn accept(listener: TcpListener, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        seen.lock().unwrap().connections += 1;
        connections.spawn(attend(socket, Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn attend(mut socket: TcpStream, script: Arc<Script>, seen: Arc<Mutex<Seen>>) {
    while let Some(request) = read_request(&mut socket).await {
        let number = {
            let requests = &mut seen.lock().unwrap().requests;
            requests.push(request.clone());
            requests.len() - 1
        };
        let action = script(number, &request);
        // The provider may have closed the connection.
        let _ = socket.write_all(&action.bytes).await;
        match action.then {
            Then::Serve => {}
            Then::Close => return,
            Then::Reset => return socket.set_zero_linger().unwrap(),
            Then::Stall => std::future::pending().await,
            Then::Repeat(bytes) => while socket.write_all(&bytes).await.is_ok() {},
            Then::Trickle(bytes) => {
                while socket.write_all(&bytes).await.is_ok() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// A request head, or the first bytes of another protocol such as TLS. `None` at the end.
async fn read_request(socket: &mut TcpStream) -> Option<Request> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") && head.first().is_none_or(u8::is_ascii_uppercase) {
        if socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request(String::from_utf8_lossy(&head).into_owned()))
}
