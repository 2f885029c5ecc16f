//! A stub of a provider's server on 127.0.0.1. It writes bytes without an HTTP library, so it can
//! also stall, close and reset connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use form_urlencoded::parse;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

/// The reaction to one request: wait, write these bytes, and then do this.
#[derive(Clone, Debug)]
pub struct Action {
    /// How long it waits first.
    pub pause: Duration,
    /// What it writes.
    pub bytes: Vec<u8>,
    /// What it does then.
    pub then: Then,
}

/// What happens to a connection after a response.
#[derive(Clone, Debug)]
pub enum Then {
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
    /// Writes these bytes at once.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        Self { pause: Duration::ZERO, bytes: bytes.into(), then }
    }

    /// A complete HTTP response.
    #[must_use]
    pub fn http(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::http_with(status, "", body)
    }

    /// A complete HTTP response with more header lines, each ended by CR LF.
    #[must_use]
    pub fn http_with(status: u16, lines: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status} S\r\n{lines}Content-Length: {length}\r\n\r\n");
        Self::new([head.as_bytes(), body].concat(), Then::Serve)
    }

    /// The same after a pause.
    #[must_use]
    pub fn delayed(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head, or the first bytes of another protocol.
    pub head: String,
    /// The body, of the length that the head declares.
    pub body: String,
}

impl Request {
    /// Path and query, as they were sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The decoded parameters of the query.
    #[must_use]
    pub fn parameters(&self) -> Vec<(String, String)> {
        let (_, query) = self.target().split_once('?').unwrap_or_default();
        parse(query.as_bytes()).into_owned().collect()
    }

    /// The decoded value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> String {
        let mut parameters = self.parameters().into_iter();
        parameters.find(|(found, _)| found == name).unwrap().1
    }

    /// The values of the header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
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
pub struct Stub {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    server: JoinHandle<()>,
}

impl Stub {
    /// Performs these actions in turn, and then repeats the last one.
    pub async fn script(actions: Vec<Action>) -> Self {
        Self::serve(move |n, _| actions[n.min(actions.len() - 1)].clone()).await
    }

    /// Performs the action that `script` returns for a request and its number, counted from 0.
    pub async fn serve(script: impl Fn(usize, &Request) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let server = tokio::spawn(accept(listener, Arc::new(script), Arc::clone(&seen)));
        Self { address, seen, server }
    }

    /// Its URL, followed by `rest`.
    #[must_use]
    pub fn url(&self, rest: &str) -> String {
        format!("http://{}/json{rest}", self.address)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// The requests that it has received.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().requests.clone()
    }

    /// How many requests it has received.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.seen.lock().unwrap().requests.len()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A port that refuses connections: bound, so that no other process gets it, and not listening.
#[must_use]
pub fn closed_port() -> TcpSocket {
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
        sleep(action.pause).await;
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

/// A request, or the first bytes of another protocol such as TLS. `None` at the end.
async fn read_request(socket: &mut TcpStream) -> Option<Request> {
    let mut bytes = vec![];
    let end = loop {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
            break bytes.len();
        }
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let mut request = Request { head, body: String::new() };
    let length = request.header("Content-Length").first().map_or(0, |it| it.parse().unwrap());
    while body.len() < length {
        if socket.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Some(request)
}
