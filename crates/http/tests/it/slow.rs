//! Clients that are slow, on purpose or not, and what their connections cost. Real sockets; the
//! times are those of production.

use std::{
    future::pending,
    io::{ErrorKind, Read, Write},
    iter,
    net::{Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use actix_web::rt;
use async_trait::async_trait;
use order_domain::{
    DistanceError, DistanceOutcome, DistanceProvider, MockDistanceProvider, MockOrderRepo, Route,
};
use order_http::{Api, Ports};
use prometheus::Registry;
use socket2::SockRef;

use crate::support::{Served, Silent, api, sample, silent};

/// Within this time a connection must be closed that brings nothing.
const IN_TIME: Duration = Duration::from_secs(10);

/// Runs `client` against a service on its own port.
async fn against<T: Send + 'static>(client: impl FnOnce(SocketAddr) -> T + Send + 'static) -> T {
    let served = Served::start(api(MockOrderRepo::new(), MockDistanceProvider::new()));
    let address = served.address;
    let result = rt::task::spawn_blocking(move || client(address)).await.unwrap();
    served.stop().await;
    result
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

const HEALTH: &[u8] = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n\r\n";
const HALF: &[u8] = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\n";

/// Reads the answer to [`HEALTH`], which stays open.
fn expect_health(stream: &mut TcpStream) {
    let mut answer = vec![];
    let mut piece = [0; 1024];
    while !answer.ends_with(b"{\"data\":\"hello world.\"}") {
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "closed after {answer:?}");
        answer.extend(&piece[..length]);
    }
}

/// A connection that had an answer.
fn connect_and_ask(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(HEALTH).unwrap();
    expect_health(&mut stream);
    stream
}

/// What comes until the connection is closed, which must be in time.
fn rest(mut stream: TcpStream, since: Instant) -> String {
    let mut rest = vec![];
    match stream.read_to_end(&mut rest) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it stays open"),
        // Reset, because something was not read; what came before counts.
        _ => {}
    }
    assert!(since.elapsed() < IN_TIME, "closed after {:?}", since.elapsed());
    String::from_utf8(rest).unwrap()
}

const BARE_408: &str =
    "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[actix_web::test]
async fn a_late_head_gets_a_bare_408_also_on_a_connection_that_had_an_answer() {
    against(|address| {
        let mut first = connect(address);
        let mut second = connect_and_ask(address);
        let since = Instant::now();
        first.write_all(HALF).unwrap();
        second.write_all(HALF).unwrap();
        assert_eq!(rest(first, since), BARE_408);
        assert_eq!(rest(second, since), BARE_408);
    })
    .await;
}

#[actix_web::test]
async fn a_byte_now_and_then_is_late_too() {
    against(|address| {
        let stream = connect_and_ask(address);
        let since = Instant::now();
        let mut dripping = stream.try_clone().unwrap();
        let dripper = thread::spawn(move || {
            for byte in HALF {
                if dripping.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(400));
            }
        });
        assert_eq!(rest(stream, since), BARE_408);
        dripper.join().unwrap();
    })
    .await;
}

#[actix_web::test]
async fn late_head_pipelined_after_a_request_gets_a_bare_408() {
    against(|address| {
        let mut stream = connect(address);
        stream.write_all(&[HEALTH, HALF].concat()).unwrap();
        let since = Instant::now();
        expect_health(&mut stream);
        assert_eq!(rest(stream, since), BARE_408);
    })
    .await;
}

#[actix_web::test]
async fn an_idle_connection_is_closed_without_a_word() {
    against(|address| {
        let stream = connect_and_ask(address);
        assert_eq!(rest(stream, Instant::now()), "");
    })
    .await;
}

#[actix_web::test]
async fn a_slow_body_is_told_in_json_and_its_connection_is_closed() {
    against(|address| {
        let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let since = Instant::now();
        let bodies = ["Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{"];
        let streams = bodies.map(|body| {
            let mut stream = connect(address);
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
            stream
        });
        for stream in streams {
            let answer = rest(stream, since);
            assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
            assert!(answer.contains("connection: close\r\n"), "{answer}");
            assert!(answer.ends_with("{\"error\":\"the body did not arrive in time\"}"));
        }
    })
    .await;
}

/// How many bytes of 100 MB a client gets rid of, and the answer that it reads meanwhile.
fn pour(address: SocketAddr, head: &str, piece: &[u8]) -> (usize, String) {
    let mut stream = connect(address);
    let mut reading = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut answer = vec![];
        let _ = reading.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    stream.write_all(head.as_bytes()).unwrap();
    let mut sent = 0;
    while sent < 100_000_000 && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    (sent, reader.join().unwrap())
}

#[actix_web::test]
async fn a_hundred_megabytes_are_cut_off_before_twenty_and_the_client_hears_why() {
    against(|address| {
        let head = "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let declared = format!("{head}Content-Length: 100000000\r\n\r\n");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        let nobody_asked =
            "GET /healthcheck HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = [&b"10000\r\n"[..], &vec![b' '; 0x10000], b"\r\n"].concat();
        for (head, piece, status) in [
            (declared.as_str(), &chunk[7..], "413 Payload Too Large"),
            (chunked.as_str(), &chunk[..], "413 Payload Too Large"),
            (nobody_asked, &chunk[..], "200 OK"),
        ] {
            let (sent, answer) = pour(address, head, piece);
            assert!(sent < 20_000_000, "{sent} bytes were taken");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        }
    })
    .await;
}

/// More than the systems' buffers hold, read in pieces with pauses.
#[actix_web::test]
async fn who_reads_slowly_gets_it_all() {
    against(|address| {
        let mut stream = connect(address);
        let ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(299);
        let last = b"GET /healthcheck HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(&[&ask[..], last].concat()).unwrap();
        let (mut read, mut piece) = (vec![], vec![0; 1 << 16]);
        for pause in (0..12).map(|_| Duration::from_secs(1)).chain(iter::repeat(Duration::ZERO)) {
            thread::sleep(pause);
            match stream.read(&mut piece).unwrap() {
                0 => break,
                length => read.extend(&piece[..length]),
            }
        }
        let answers = read.windows(17).filter(|bytes| *bytes == b"HTTP/1.1 200 OK\r\n").count();
        assert_eq!(answers, 300);
        assert!(read.ends_with(b"{\"data\":\"hello world.\"}"));
    })
    .await;
}

#[actix_web::test]
async fn who_reads_no_answers_is_cut_off() {
    against(|address| {
        let mut stream = connect(address);
        stream.set_write_timeout(Some(Duration::from_mins(1))).unwrap();
        let ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
        let many = ask.repeat(10_000);
        // More than the buffers of the two systems hold.
        let cut_off = (0..1000).any(|_| stream.write_all(&many).is_err());
        assert!(cut_off);
        let mut others = connect(address);
        others.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let numbers = rest(others, Instant::now());
        let reason = "orders_http_connections_closed_total{reason=\"slow_reader\"} 1\n";
        assert!(numbers.contains(reason), "{numbers}");
    })
    .await;
}

/// A client that resets its connection is gone; one that only ends its half waits for the answer.
#[actix_web::test]
async fn a_request_whose_client_is_gone_is_given_up_and_counted() {
    let served = Served::start(silent(Duration::from_secs(2)));
    let address = served.address;
    let asking = rt::task::spawn_blocking(move || {
        let ask = b"GET /orders/7 HTTP/1.1\r\nHost: x\r\n\r\n";
        let [mut gone, mut waits] = [connect(address), connect(address)];
        gone.write_all(ask).unwrap();
        waits.write_all(ask).unwrap();
        waits.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(300));
        SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
        drop(gone);
        thread::sleep(Duration::from_millis(300));
        let mut others = connect(address);
        others.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        (rest(others, Instant::now()), rest(waits, Instant::now()))
    });
    let (numbers, answer) = asking.await.unwrap();
    served.stop().await;
    let route = "method=\"GET\",route=\"/orders/{id}\"";
    let count = format!("orders_http_requests_total{{{route},status=\"499\"}} 1\n");
    assert!(numbers.contains(&count), "{numbers}");
    assert!(numbers.contains("orders_http_requests_in_flight 2\n"), "{numbers}");
    assert!(answer.contains("{\"error\":\"the request took too long"), "{answer}");
}

/// More than a server looks at, while there is no answer to the first: it must not go round and
/// round over what it cannot use yet.
#[actix_web::test]
async fn what_is_sent_before_an_answer_waits_and_costs_nothing() {
    let (tell, response) = mpsc::channel();
    let ports = Ports {
        repo: Arc::new(Silent),
        distances: Arc::new(SilentHere(tell)),
        readiness: Arc::new(Silent),
    };
    let served = Served::start(Api::new(ports, Registry::new(), Duration::from_secs(2)));
    let address = served.address;
    let asking = rt::task::spawn_blocking(move || {
        let body = sample().to_string();
        let ask = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = connect(address);
        stream.write_all(&[ask.repeat(40).into_bytes(), vec![b'x'; 250_000]].concat()).unwrap();
        let thread = response.recv_timeout(Duration::from_secs(2)).unwrap();
        thread::sleep(Duration::from_millis(200));
        let before = processor_time(&thread);
        thread::sleep(Duration::from_secs(1));
        let spent = processor_time(&thread) - before;
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        (spent, first)
    });
    let (spent, first) = asking.await.unwrap();
    assert!(spent < 50, "{spent} hundredths of a second of one");
    assert_eq!(&first, b"HTTP/1.1 400");
    served.stop().await;
}

/// A provider that does not answer, and tells on which thread it was asked: below /proc, where it
/// is.
struct SilentHere(mpsc::Sender<PathBuf>);

#[async_trait]
impl DistanceProvider for SilentHere {
    async fn distance(&self, _: &Route) -> Result<DistanceOutcome, DistanceError> {
        let here = std::fs::read_link("/proc/thread-self").unwrap();
        // Only the first one is waited for.
        let _ = self.0.send(here);
        pending().await
    }
}

/// What a thread has used of the processor, in hundredths of a second. Those of other tests may be
/// busy.
fn processor_time(thread: &Path) -> u64 {
    let stat = std::fs::read_to_string(Path::new("/proc").join(thread).join("stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[actix_web::test]
async fn a_request_that_is_complete_in_time_is_served_however_it_comes() {
    against(|address| {
        let body = sample().to_string().replace("50.456399", "x");
        let request = format!(
            "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = connect(address);
        let since = Instant::now();
        for piece in request.as_bytes().chunks(request.len().div_ceil(20)) {
            stream.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(200));
        }
        let answer = rest(stream, since);
        assert!(answer.contains("{\"error\":\"origin[0], the latitude, must"), "{answer}");
    })
    .await;
}
