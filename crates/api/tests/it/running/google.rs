//! A stand-in for Google's Distance Matrix API: real HTTP on a local port.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::support::Fixture;

/// The API key of the service. Tests search responses and logs for it.
pub(crate) const KEY: &str = "marker-key";

/// Origins with a response of their own. Every other origin is 1,728,057 m from everywhere.
pub(crate) const NO_ROUTE: [&str; 2] = ["1", "1"];
pub(crate) const DENIED: [&str; 2] = ["2", "2"];
pub(crate) const OVER_LIMIT: [&str; 2] = ["3", "3"];
pub(crate) const NEGATIVE: [&str; 2] = ["4", "4"];
pub(crate) const SILENT: [&str; 2] = ["5", "5"];
pub(crate) const SAME_POINT: [&str; 2] = ["59.436487", "24.747193"];

/// Returns status and body for the number of a call and the head of its request.
type Respond = dyn Fn(usize, &str) -> Option<(u16, String)> + Send + Sync;

pub(crate) struct Google {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Google {
    /// Serves until the test's process ends.
    pub(crate) fn start() -> Self {
        Self::start_with(|_, head| response_to(head))
    }

    /// Serves what `respond` returns for the number of the call, from 1, and the head of the
    /// request. Without a body the connection is closed.
    pub(crate) fn start_with(
        respond: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_status(move |call, head| Some((200, respond(call, head)?)))
    }

    /// The same with the status of the response.
    pub(crate) fn start_with_status(
        respond: impl Fn(usize, &str) -> Option<(u16, String)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let google = Self { address: listener.local_addr().unwrap(), calls: Arc::default() };
        let (calls, respond) = (Arc::clone(&google.calls), Arc::new(respond));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (calls, respond) = (Arc::clone(&calls), Arc::clone(&respond));
                thread::spawn(move || serve(stream, &calls, &*respond));
            }
        });
        google
    }

    /// Adds the settings with which a service calls this server.
    pub(crate) fn configure(&self, fixture: Fixture) -> Fixture {
        let endpoint = format!("http://{}/maps/api/distancematrix/json", self.address);
        fixture.with("GMAP_TOKEN", KEY).with("GMAP_DISTANCE_MATRIX_API", endpoint)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Serves one request and closes the connection.
fn serve(mut stream: TcpStream, calls: &AtomicUsize, respond: &Respond) {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .to_lowercase()
        .split_once("content-length: ")
        .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
    // Closing a connection with unread bytes resets it.
    if stream.read_exact(&mut vec![0; length]).is_err() {
        return;
    }
    let call = calls.fetch_add(1, Ordering::Relaxed) + 1;
    let Some((status, body)) = respond(call, &head) else { return };
    // The client may have disconnected.
    let _ = write!(
        stream,
        "HTTP/1.1 {status} S\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn response_to(head: &str) -> Option<String> {
    let from = |origin: [&str; 2]| {
        let [latitude, longitude] = origin;
        head.contains(&format!("origins={latitude}%2C{longitude}&"))
            || head.contains(&format!("origins={latitude},{longitude}&"))
    };
    let element =
        |element: &str| format!(r#"{{"status":"OK","rows":[{{"elements":[{element}]}}]}}"#);
    let distance = |metres: i64| {
        element(&format!(r#"{{"status":"OK","distance":{{"text":"","value":{metres}}}}}"#))
    };
    Some(if !head.contains(&format!("key={KEY}")) || from(DENIED) {
        // Google sometimes quotes the key.
        format!(
            r#"{{"status":"REQUEST_DENIED","error_message":"The provided key {KEY} is invalid."}}"#
        )
    } else if from(NO_ROUTE) {
        element(r#"{"status":"ZERO_RESULTS"}"#)
    } else if from(OVER_LIMIT) {
        r#"{"status":"OVER_QUERY_LIMIT"}"#.to_owned()
    } else if from(NEGATIVE) {
        distance(-5)
    } else if from(SILENT) {
        thread::sleep(Duration::from_secs(20));
        return None;
    } else if from(SAME_POINT) {
        distance(0)
    } else {
        distance(1_728_057)
    })
}
