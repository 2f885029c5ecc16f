//! An HTTP client of the service, and a plain TCP client for what HTTP libraries cannot send.

use std::{
    io::Write,
    iter,
    net::{SocketAddr, TcpStream},
};

use order_test_postgres::wait_for;
use serde_json::{Value, json};

use super::{
    support::TIMEOUT,
    wire::{Request, Response},
};

/// A client that reuses connections.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    agent: ureq::Agent,
    problem_json: bool,
}

/// A response with a JSON body.
#[derive(Debug)]
pub(crate) struct JsonResponse {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) json: Value,
}

impl JsonResponse {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        Self { address, agent, problem_json: false }
    }

    /// The same client, which requests problem JSON for errors.
    pub(crate) fn problem_json(&self) -> Self {
        Self { problem_json: true, ..self.clone() }
    }

    /// Waits until the service has reconnected to its database.
    pub(crate) fn wait_for_database(&self) {
        let is_connected = || self.get("/orders?page=1&limit=1").status == 200;
        wait_for(TIMEOUT, is_connected, || "the service does not reconnect".to_owned());
    }

    /// Sends a request on a new connection.
    pub(crate) fn send_request(&self, request: &Request) -> Response {
        self.exchange(&request.clone().header("Connection", "close").bytes())
    }

    /// Sends bytes on a new connection and reads until the service closes it.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> Response {
        let mut stream = self.connect();
        // The service may respond and close before it has read everything.
        let _ = stream.write_all(bytes);
        Response::read(stream)
    }

    /// Opens a plain TCP connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> JsonResponse {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.agent.get(url);
        if self.problem_json {
            request = request.header("Accept", "application/problem+json");
        }
        read(request.call()).unwrap()
    }

    /// The value of a metric, by its name and labels as `/metrics` prints them.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("there is no {name}: {text}")).parse().unwrap()
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        let response = self.send_request(&Request::new("GET /metrics"));
        assert_eq!(response.status, 200);
        response.text().to_owned()
    }

    /// The ids of each page, from this one on, following `rel="next"`.
    pub(crate) fn pages(&self, path: &str) -> impl Iterator<Item = Vec<i64>> {
        let mut next = Some(path.to_owned());
        iter::from_fn(move || {
            let response = self.get(&next.take()?);
            let link = response.header("link").unwrap().split_once(">; rel=\"next\"");
            next = link.map(|(path, _)| path.strip_prefix('<').unwrap().to_owned());
            let orders = response.json.as_array().unwrap();
            Some(orders.iter().map(|order| order["id"].as_i64().unwrap()).collect())
        })
    }

    pub(crate) fn post(&self, key: Option<&str>) -> Result<JsonResponse, ureq::Error> {
        self.post_from(["50.456399", "12.707580"], key)
    }

    pub(crate) fn post_from(
        &self,
        origin: [&str; 2],
        key: Option<&str>,
    ) -> Result<JsonResponse, ureq::Error> {
        let body = json!({"origin": origin, "destination": ["59.436487", "24.747193"]});
        let url = format!("http://{}/orders", self.address);
        self.send(self.agent.post(url), key, &body)
    }

    pub(crate) fn take(&self, id: i64, key: Option<&str>) -> Result<JsonResponse, ureq::Error> {
        let url = format!("http://{}/orders/{id}", self.address);
        self.send(self.agent.patch(url), key, &json!({"status": "TAKEN"}))
    }

    /// Places an order and returns its id.
    pub(crate) fn place(&self) -> i64 {
        let response = self.post(None).unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        response.json["id"].as_i64().unwrap()
    }

    fn send(
        &self,
        request: ureq::RequestBuilder<ureq::typestate::WithBody>,
        key: Option<&str>,
        body: &Value,
    ) -> Result<JsonResponse, ureq::Error> {
        let mut request = request.header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        if self.problem_json {
            request = request.header("Accept", "application/problem+json");
        }
        read(request.send(body.to_string()))
    }
}

fn read(
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<JsonResponse, ureq::Error> {
    let mut response = response?;
    let text = response.body_mut().read_to_string()?;
    Ok(JsonResponse {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        json: serde_json::from_str(&text).unwrap(),
    })
}
