//! A stand-in for Google's Distance Matrix API: real HTTP on a port of this machine.

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

/// Its key. Whoever finds it in a log or an answer has found a leak.
pub(crate) const KEY: &str = "marker-key";

/// An origin for each of its answers. All others are 1,728,057 m away from everywhere.
pub(crate) const NO_ROUTE: [&str; 2] = ["1", "1"];
pub(crate) const DENIED: [&str; 2] = ["2", "2"];
pub(crate) const OVER_LIMIT: [&str; 2] = ["3", "3"];
pub(crate) const NEGATIVE: [&str; 2] = ["4", "4"];
pub(crate) const SILENT: [&str; 2] = ["5", "5"];
pub(crate) const HERE: [&str; 2] = ["59.436487", "24.747193"];

pub(crate) struct Google {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Google {
    /// Answers as long as the test's process lives.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let google = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&google.asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let asked = Arc::clone(&asked);
                thread::spawn(move || serve(stream, &asked));
            }
        });
        google
    }

    /// The settings of a service that asks it.
    pub(crate) fn asked_by(&self, fixture: Fixture) -> Fixture {
        fixture.with("GMAP_TOKEN", KEY).with("GMAP_DISTANCE_MATRIX_API", self.endpoint())
    }

    /// What `GMAP_DISTANCE_MATRIX_API` must be.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}/maps/api/distancematrix/json", self.address)
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// One request a connection is enough for a stand-in.
fn serve(mut stream: TcpStream, asked: &AtomicUsize) {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    asked.fetch_add(1, Ordering::Relaxed);
    let head = String::from_utf8(head).unwrap();
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
    let body = if !head.contains(&format!("key={KEY}")) || from(DENIED) {
        // Google quotes the key at times.
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
        return thread::sleep(Duration::from_secs(20));
    } else if from(HERE) {
        distance(0)
    } else {
        distance(1_728_057)
    };
    // The client may have gone.
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}
