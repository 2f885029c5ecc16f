//! A PostgreSQL server that runs as long as the process that started it.

use std::{
    fs, iter,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::supervisor::Supervisor;

pub(crate) const SUPERUSER: &str = "order_api_test";

/// How long a server may take to start or stop.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The unprivileged user 65534 of every Linux. PostgreSQL does not run as root.
pub(crate) const UNPRIVILEGED: u32 = 65534;

/// The script of the supervisor. Its arguments are the directories of the programs and of the
/// server.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$1/pg_ctl" stop -D "$2/data" -m immediate -w
rm -rf "$2"
"#;

/// The durability of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSettings {
    /// Writes are not flushed to the disk. A commit survives anything but a loss of power.
    Fast,
    /// The default of `initdb`: a commit that was acknowledged survives a loss of power.
    Durable,
}

/// A PostgreSQL server in a temporary directory, on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    directory: PathBuf,
    is_root: bool,
    port: u16,
    password: String,
    supervisor: Option<Supervisor>,
}

/// A suspended server. It is resumed when this is dropped, also by a test that fails.
#[derive(Debug)]
pub struct Suspended {
    processes: Vec<String>,
}

impl Drop for Suspended {
    fn drop(&mut self) {
        for pid in &self.processes {
            signal("CONT", pid);
        }
    }
}

impl Server {
    /// Creates a server and starts it.
    #[must_use]
    pub fn start(settings: ServerSettings) -> Self {
        let mut server = Self::new();
        server.initialise(settings);
        server.start_on_a_free_port();
        server
    }

    /// Creates the directory of a server, without data.
    fn new() -> Self {
        let programs = server_programs();
        let directory = tempfile::Builder::new().prefix("order-api-postgres-").tempdir().unwrap();
        let directory = directory.keep();
        let is_root = is_root(&directory);
        if is_root {
            chown(&directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        // The name is random, so no other server on this machine has the same password.
        let password = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let mut server = Self { programs, directory, is_root, port: 0, password, supervisor: None };
        server.supervisor = Some(server.start_supervisor());
        server
    }

    /// Creates a hot standby of this server and starts it.
    #[must_use]
    pub fn start_standby(&self) -> Self {
        let mut standby = Self::new();
        // The copy has the roles of the original.
        standby.password.clone_from(&self.password);
        let output = standby
            .unprivileged(self.programs.join("pg_basebackup"))
            .envs(self.environment())
            .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"])
            .arg(standby.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        standby.start_on_a_free_port();
        standby
    }

    /// Promotes a standby to a primary.
    pub fn promote(&self) {
        let output = self.pg_ctl(&["promote"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// The address of a database on this server, with the superuser's name and password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// The password of the superuser.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it in fast mode, as an administrator does: sessions are closed, commits are kept.
    pub fn stop(&self) {
        let output = self.pg_ctl(&["stop", "-m", "fast"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Suspends it: it keeps its connections and does not respond until the returned value is
    /// dropped.
    #[must_use]
    pub fn suspend(&self) -> Suspended {
        let processes = self.suspend_postmaster();
        for pid in &processes {
            signal("STOP", pid);
        }
        Suspended { processes }
    }

    /// Kills all its processes with `SIGKILL`.
    ///
    /// Killing the postmaster alone is not enough: its children notice its end a moment later, and
    /// finish their work.
    pub fn kill(&self) {
        let killed = self.suspend_postmaster();
        for pid in &killed {
            signal("KILL", pid);
        }
        let dead = || killed.iter().all(|pid| is_dead(pid));
        wait_for(TIMEOUT, dead, || "its processes do not end".to_owned());
        // A container may not reap zombies, and a new server treats a zombie as a running server.
        fs::remove_file(self.pid_file()).unwrap();
    }

    /// Starts it after a stop or kill, on the same port. After a kill it recovers first.
    pub fn restart(&self) {
        wait_for(TIMEOUT, || self.try_to_start(), || self.log());
    }

    /// A command for a client program of PostgreSQL, such as `psql`, which connects to this server.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.envs(self.environment());
        command
    }

    /// The variables by which libpq, and so every client program, connects to this server.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGPASSWORD", self.password.clone()),
        ]
    }

    /// Returns the pipe that keeps the server running: it stops when the pipe is closed.
    #[must_use]
    pub fn into_liveness_pipe(mut self) -> ChildStdin {
        let supervisor = self.supervisor.take().expect("every server has a supervisor");
        supervisor.into_liveness_pipe()
    }

    fn start_supervisor(&self) -> Supervisor {
        let mut shell = self.unprivileged("sh");
        shell.args(["-c", SUPERVISOR, "sh"]).args([&self.programs, &self.directory]);
        Supervisor::start(&mut shell)
    }

    fn initialise(&self, settings: ServerSettings) {
        let password_file = self.directory.join("password");
        fs::write(&password_file, &self.password).unwrap();
        let output = self
            .unprivileged(self.programs.join("initdb"))
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])
            .args(["--username", SUPERUSER, "--pwfile"])
            .args([&password_file, Path::new("-D"), &self.data()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let configuration = self.data().join("postgresql.conf");
        let text = fs::read_to_string(&configuration).unwrap();
        let fsync = if settings == ServerSettings::Fast { "off" } else { "on" };
        // A socket would need a lock file, which a killed server leaves behind.
        let added = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = ''\n\
             max_connections = 300\nfsync = {fsync}\n"
        );
        fs::write(&configuration, text + &added).unwrap();
    }

    /// Another process may take a free port before this server uses it.
    fn start_on_a_free_port(&mut self) {
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            self.port = free.local_addr().unwrap().port();
            drop(free);
            if self.try_to_start() {
                return;
            }
        }
        panic!("PostgreSQL does not start:\n{}", self.log());
    }

    fn try_to_start(&self) -> bool {
        let port = format!("-p {}", self.port);
        let log = self.directory.join("log");
        self.pg_ctl(&["start", "-o", &port, "-l", log.to_str().unwrap()]).status.success()
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Output {
        self.unprivileged(self.programs.join("pg_ctl"))
            .args(arguments)
            .args(["-w", "-t", "60", "-D"])
            .arg(self.data())
            // The server inherits the output. A pipe would stay open as long as the server runs.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap()
    }

    fn unprivileged(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if self.is_root {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }

    /// Suspends the postmaster, and returns it and its children.
    ///
    /// A running postmaster starts a child for each new connection, which an earlier list would
    /// lack.
    fn suspend_postmaster(&self) -> Vec<String> {
        let postmaster = fs::read_to_string(self.pid_file()).unwrap();
        let postmaster = postmaster.lines().next().unwrap().to_owned();
        signal("STOP", &postmaster);
        // The signal may not have arrived when `kill` returns.
        wait_for(TIMEOUT, || is_stopped(&postmaster), || "the postmaster does not stop".to_owned());
        let others = children(&postmaster);
        iter::once(postmaster).chain(others).collect()
    }

    fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

/// Waits until a condition is true, and panics with `failure` after the timeout.
pub fn wait_for(
    timeout: Duration,
    mut condition: impl FnMut() -> bool,
    failure: impl Fn() -> String,
) {
    let deadline = Instant::now() + timeout;
    while !condition() {
        assert!(Instant::now() < deadline, "{}", failure());
        sleep(Duration::from_millis(50));
    }
}

/// Whether this process, which owns the directory, runs as root.
pub(crate) fn is_root(directory: &Path) -> bool {
    fs::metadata(directory).unwrap().uid() == 0
}

/// Sends a signal to a process, if it has not ended meanwhile.
pub(crate) fn signal(name: &str, pid: &str) {
    let kill = format!("kill -{name} {pid} 2>/dev/null || true");
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

fn children(pid: &str) -> Vec<String> {
    let is_child = |status: &str| status.contains(&format!("\nPPid:\t{pid}\n"));
    let processes = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    processes
        .filter(|process| {
            fs::read_to_string(process.path().join("status")).is_ok_and(|status| is_child(&status))
        })
        .map(|process| process.file_name().into_string().unwrap())
        .collect()
}

/// Whether a process has ended. A zombie has.
fn is_dead(pid: &str) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

fn is_stopped(pid: &str) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'T' | 'Z'))
}

fn state(pid: &str) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.split_once("\nState:\t")?.1.chars().next()
}

fn server_programs() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("server-programs.sh");
    let output = Command::new("sh").arg(script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

#[cfg(test)]
mod on_postgres {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::Session;

    #[test]
    fn suspended_server_does_not_respond() {
        let server = Server::start(ServerSettings::Fast);
        let (done, results) = (AtomicBool::new(false), AtomicU64::new(0));
        let query = || {
            while !done.load(Relaxed) {
                let mut session = Session::open(&server.url("postgres"));
                for _ in 0..100 {
                    session.execute("SELECT 1");
                    results.fetch_add(1, Relaxed);
                    sleep(Duration::from_millis(2));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(query);
            }
            for round in 0..20 {
                wait_for(TIMEOUT, || results.swap(0, Relaxed) > 0, || "no result".to_owned());
                let suspended = server.suspend();
                // Results in flight have arrived by then.
                sleep(Duration::from_millis(50));
                let before = results.load(Relaxed);
                sleep(Duration::from_millis(100));
                let after = results.load(Relaxed);
                drop(suspended);
                done.store(round == 19 || after != before, Relaxed);
                assert_eq!(after, before, "results while suspended, round {round}");
            }
        });
    }
}
