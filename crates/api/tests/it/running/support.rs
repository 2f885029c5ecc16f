//! Starts the real service, in this process or as one of its own, and asks it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use order_api::{Application, Options, Settings};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// The binary under test, with none of this machine's settings.
pub(crate) fn order_api() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-api"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Where the orders of a test are.
pub(crate) fn database(directory: &Path) -> String {
    format!("sqlite://{}", directory.join("data/orders.db").display())
}

/// The service in this process, through the same door as production.
pub(crate) struct InProcess {
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl InProcess {
    pub(crate) fn start(directory: &Path) -> Self {
        let options = Options {
            listen: Some("127.0.0.1:0".into()),
            database_url: Some(database(directory).into()),
            workers: Some("2".into()),
            ..Options::default()
        };
        let settings = Settings::parse(&options, |_| None).unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let application = Application::build(&settings).await?;
                tell.send(application.address())?;
                application.run_until_stopped(async { stopped.await.unwrap_or(()) }).await
            })
        });
        let address = told.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { client: Client::new(address), stop: Some(stop), thread: Some(thread) }
    }

    /// Stops as on a signal, and tells how that went.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The service as a process of its own. Dropping it kills it as `kill -9` does.
pub(crate) struct Process {
    pub(crate) client: Client,
    child: Child,
}

impl Process {
    pub(crate) fn start(directory: &Path) -> Self {
        let mut child = order_api()
            .env("LISTEN", "127.0.0.1:0")
            .env("DATABASE_URL", database(directory))
            .env("LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, told) = mpsc::channel();
        // Reads to the end, so that the service never waits for a reader of its log.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap();
                if let Some(address) = line["listen.address"].as_str() {
                    let _ = tell.send(address.parse::<SocketAddr>().unwrap());
                }
            }
        });
        let address = told.recv_timeout(Duration::from_secs(30)).unwrap();
        Self { client: Client::new(address), child }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end; the exit code, if it ended by itself.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that keeps connections, as a courier's phone does.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    agent: ureq::Agent,
}

/// An answer: its status, its headers and its JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_mins(1)))
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .new_agent();
        Self { address, agent }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        read(self.agent.get(url).call()).unwrap()
    }

    pub(crate) fn post(&self, key: Option<&str>) -> Result<Answer, ureq::Error> {
        let body = json!({
            "origin": ["50.456399", "12.707580"],
            "destination": ["59.436487", "24.747193"],
        });
        let url = format!("http://{}/orders", self.address);
        send(self.agent.post(url), key, &body)
    }

    pub(crate) fn take(&self, id: i64, key: Option<&str>) -> Result<Answer, ureq::Error> {
        let url = format!("http://{}/orders/{id}", self.address);
        send(self.agent.patch(url), key, &json!({"status": "TAKEN"}))
    }

    /// Places an order and tells its id.
    pub(crate) fn place(&self) -> i64 {
        let answer = self.post(None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json["id"].as_i64().unwrap()
    }
}

fn send(
    request: ureq::RequestBuilder<ureq::typestate::WithBody>,
    key: Option<&str>,
    body: &Value,
) -> Result<Answer, ureq::Error> {
    let mut request = request.header("Content-Type", "application/json");
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    read(request.send(body.to_string()))
}

fn read(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Answer, ureq::Error> {
    let mut answer = answer?;
    let text = answer.body_mut().read_to_string()?;
    Ok(Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        json: serde_json::from_str(&text).unwrap(),
    })
}
