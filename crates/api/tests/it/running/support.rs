//! Starts the service, in this process or in a child process, and sends requests to it.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use order_api::{Application, LogGuard, Settings};
use order_test_postgres::{Server, TestDb};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) use super::{
    client::{Client, JsonResponse},
    wire::{Request, Response},
};

/// The binary under test, with an empty environment.
pub(crate) fn order_api() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_order-api"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// The store of a test's orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// What the services of one test share: their database, a directory, and other settings.
pub(crate) struct Fixture {
    directory: TempDir,
    /// Tests declare their server before the fixture, so that the database is dropped first.
    database: Option<TestDb>,
    settings: Vec<(&'static str, String)>,
}

impl Fixture {
    /// With a file, or a database on the shared server. The service creates either.
    pub(crate) fn new(store: Store) -> Self {
        Self::of((store == Store::Postgres).then(TestDb::new))
    }

    /// With a database on the test's own server, which the test may stop or kill.
    pub(crate) fn on_server(server: &Server) -> Self {
        Self::of(Some(TestDb::on_server(server)))
    }

    fn of(database: Option<TestDb>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match &database {
            Some(database) => database.url(),
            None => format!("sqlite://{}", directory.path().join("data/orders.db").display()),
        };
        Self { directory, database, settings: vec![("DATABASE_URL", url)] }
    }

    /// Sets a variable of the environment.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    pub(crate) fn database_url(&self) -> String {
        self.get("DATABASE_URL").unwrap().into_string().unwrap()
    }

    /// The test's temporary directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The PostgreSQL database.
    pub(crate) fn database(&self) -> &TestDb {
        self.database.as_ref().unwrap()
    }

    /// All settings, as variables of the environment.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str()))
    }

    fn get(&self, wanted: &str) -> Option<OsString> {
        let found = self.settings.iter().rev().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.into())
    }
}

/// The service in this process, built as in production.
pub(crate) struct InProcess {
    pub(crate) client: Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl InProcess {
    pub(crate) fn start(fixture: &Fixture) -> Self {
        let settings = Settings::parse(|name| match name {
            "LISTEN" => Some("127.0.0.1:0".into()),
            "WORKERS" => Some("2".into()),
            _ => fixture.get(name),
        });
        let settings = settings.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let application = Application::build(&settings, &LogGuard::default()).await?;
                sender.send(application.address())?;
                application.run_until_stopped(async { stopped.await.unwrap_or(()) }).await
            })
        });
        let address = receiver.recv_timeout(TIMEOUT).unwrap();
        Self { client: Client::new(address), stop: Some(stop), thread: Some(thread) }
    }

    /// Stops as on a signal, and returns the result of the run.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The service as a child process. Dropping it kills it, as `kill -9` does.
pub(crate) struct Process {
    pub(crate) client: Client,
    child: Child,
    /// Standard output so far.
    log: Arc<Mutex<String>>,
    /// Reads standard output to its end.
    log_reader: Option<JoinHandle<()>>,
}

/// The limit for any single step, on a machine that is busy with other tests.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

impl Process {
    pub(crate) fn start(fixture: &Fixture) -> Self {
        Self::start_with_log_format(fixture, "json")
    }

    /// Starts it with `LOG_FORMAT`.
    pub(crate) fn start_with_log_format(fixture: &Fixture, format: &str) -> Self {
        Self::spawn(order_api().env("LOG_FORMAT", format), fixture)
    }

    /// Starts it by a line of shell, in which `$0` is the program.
    pub(crate) fn start_with_shell(fixture: &Fixture, line: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", line, env!("CARGO_BIN_EXE_order-api")]).env_clear().stdin(Stdio::null());
        Self::spawn(shell.env("LOG_FORMAT", "json"), fixture)
    }

    /// Starts it, and does not read its standard output after that.
    pub(crate) fn start_with_unread_log(fixture: &Fixture) -> Self {
        let mut child = Self::command(order_api().env("LOG_FORMAT", "json"), fixture);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            lines.read_line(&mut line).unwrap();
            if let Some(address) = address_in(&line) {
                break address;
            }
        };
        // Keeps the pipe open without reading it.
        std::mem::forget(lines);
        Self { client: Client::new(address), child, log: Arc::default(), log_reader: None }
    }

    fn command(command: &mut Command, fixture: &Fixture) -> Child {
        command
            .env("LISTEN", "127.0.0.1:0")
            .envs(fixture.environment())
            .current_dir(fixture.directory())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn spawn(command: &mut Command, fixture: &Fixture) -> Self {
        let mut child = Self::command(command, fixture);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, receiver) = mpsc::channel();
        let log = Arc::<Mutex<String>>::default();
        let shared = Arc::clone(&log);
        // Reads to the end, so that the service never waits for a reader of its log.
        let log_reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                shared.lock().unwrap().extend([line.as_str(), "\n"]);
                if let Some(address) = address_in(&line) {
                    let _ = sender.send(address);
                }
            }
        });
        let address = receiver.recv_timeout(TIMEOUT).unwrap();
        Self { client: Client::new(address), child, log, log_reader: Some(log_reader) }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The log so far; after [`Self::stop`], the whole log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Stops it as an orchestrator does. It must exit with 0, and log that it stops.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0));
        if let Some(log_reader) = self.log_reader.take() {
            log_reader.join().unwrap();
            assert!(self.log().contains("stopping"), "{}", self.log());
        }
    }

    /// Waits until it ends. Returns its exit code, unless a signal killed it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

/// The address in the line of the log that reports it.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, value) = line.split_once("listen.address")?;
    let value = value.trim_start_matches(['"', ':', '=']);
    value.split(['"', ' ']).next()?.parse().ok()
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sets a flag when it is dropped, so that the threads of a failing test end, too.
pub(crate) struct StopOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
