//! A `PgBouncer` in front of a server.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    Server,
    server::{SUPERUSER, UNPRIVILEGED, is_root, signal, wait_for},
    supervisor::Supervisor,
};

/// How long it may take to start.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// The script of the supervisor. Its arguments are the program and its directory.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
"$1" "$2/pgbouncer.ini" </dev/null &
cat >/dev/null
kill -9 $!
wait
rm -rf "$2"
"#;

/// When `PgBouncer` returns a session of the server to its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "PgBouncer's manual explains them")]
pub enum PoolMode {
    Session,
    Transaction,
    Statement,
}

/// A `PgBouncer` on a free port of 127.0.0.1. It ends with this value, or when the process of the
/// test ends in any way.
#[derive(Debug)]
pub struct PgBouncer {
    server_port: u16,
    password: String,
    pool_size: u8,
    port: u16,
    running: Option<Running>,
}

/// A running process and its directory.
#[derive(Debug)]
struct Running {
    directory: PathBuf,
    _supervisor: Supervisor,
}

impl PgBouncer {
    /// Starts a pooler that opens at most `pool_size` sessions for each database and user.
    #[must_use]
    pub fn start(server: &Server, mode: PoolMode, pool_size: u8) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (server_port, password) = (server.port(), server.password().to_owned());
        let mut bouncer = Self { server_port, password, pool_size, port, running: None };
        bouncer.run(mode);
        bouncer
    }

    /// Ends it, which closes all connections, and starts it in another mode on the same port.
    pub fn restart(&mut self, mode: PoolMode) {
        // The port is free once the old process has ended.
        self.running = None;
        self.run(mode);
    }

    /// Changes the mode and keeps all connections.
    pub fn reload(&self, mode: PoolMode) {
        let directory = &self.running.as_ref().unwrap().directory;
        self.configure(mode, directory);
        let pid = fs::read_to_string(directory.join("pid")).unwrap();
        signal("HUP", pid.trim());
    }

    /// The address of a database behind the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    fn configure(&self, mode: PoolMode, directory: &Path) {
        let Self { server_port, password, pool_size, port, .. } = self;
        let mode = format!("{mode:?}").to_lowercase();
        let users = format!("\"{SUPERUSER}\" \"{password}\"\n");
        fs::write(directory.join("users"), users).unwrap();
        let directory_name = directory.display();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {directory_name}/users\n\
             logfile = {directory_name}/log\npidfile = {directory_name}/pid\n\
             pool_mode = {mode}\ndefault_pool_size = {pool_size}\n"
        );
        fs::write(directory.join("pgbouncer.ini"), settings).unwrap();
    }

    fn run(&mut self, mode: PoolMode) {
        let directory = tempfile::Builder::new().prefix("order-api-pgbouncer-").tempdir().unwrap();
        self.configure(mode, directory.path());
        let running = Running::start(directory.keep());
        let log = running.directory.join("log");
        self.running = Some(running);
        let accepts = || TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        let why = || fs::read_to_string(&log).unwrap_or_else(|_| "it wrote no log".to_owned());
        wait_for(START_TIMEOUT, accepts, || format!("PgBouncer does not start: {}", why()));
    }
}

impl Running {
    fn start(directory: PathBuf) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", SUPERVISOR, "sh"]).args([&program(), &directory]).current_dir("/");
        // PgBouncer does not run as root.
        if is_root(&directory) {
            chown(&directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
            command.uid(UNPRIVILEGED);
        }
        let supervisor = Supervisor::start(&mut command);
        Self { directory, _supervisor: supervisor }
    }
}

/// The path where Debian installs it, which is not in every user's search path, or else its name.
fn program() -> PathBuf {
    let installed = Path::new("/usr/sbin/pgbouncer");
    let runs = |program: &Path| Command::new(program).arg("--version").output().is_ok();
    let found = [installed, Path::new("pgbouncer")].into_iter().find(|program| runs(program));
    found.expect("PgBouncer is not installed. On Debian or Ubuntu: sudo make test-deps").into()
}
