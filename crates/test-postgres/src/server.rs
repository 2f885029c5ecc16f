//! A server that lives as long as the process that started it.

use std::{
    fs, iter,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

pub(crate) const SUPERUSER: &str = "order_api_test";

/// How long it may take a server to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// `nobody` on every Linux. Root may not run PostgreSQL.
pub(crate) const UNPRIVILEGED: u32 = 65534;

/// Stops the server and removes its directory when its standard input ends, which it does when
/// the process that holds the other end is gone: finished, panicked or killed.
const KEEPER: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$1/pg_ctl" stop -D "$2/data" -m immediate -w
rm -rf "$2"
"#;

/// What a server is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSettings {
    /// Writes are not forced to the disk: fast, and safe against all but a loss of power.
    Fast,
    /// As `initdb` makes it: a commit that was answered survives the loss of power.
    Durable,
}

/// A PostgreSQL server in a temporary directory, on a free port of 127.0.0.1.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    directory: PathBuf,
    as_root: bool,
    port: u16,
    password: String,
    keeper: Option<Keeper>,
}

/// A server that stands still. It goes on when this is dropped, also by a test that fails.
#[derive(Debug)]
pub struct Frozen {
    processes: Vec<String>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.processes {
            signal("CONT", pid);
        }
    }
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    lifeline: Option<ChildStdin>,
}

impl Server {
    /// Makes a server and starts it.
    #[must_use]
    pub fn start(settings: ServerSettings) -> Self {
        let mut server = Self::new();
        server.initialise(settings);
        server.start_on_a_free_port();
        server
    }

    /// A server that has a directory and neither data nor processes.
    fn new() -> Self {
        let programs = server_programs();
        let directory = tempfile::Builder::new().prefix("order-api-postgres-").tempdir().unwrap();
        let directory = directory.keep();
        let as_root = is_root(&directory);
        if as_root {
            chown(&directory, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        // Random as the name is: another server on this machine does not know it.
        let password = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let mut server = Self { programs, directory, as_root, port: 0, password, keeper: None };
        server.keeper = Some(server.keep());
        server
    }

    /// Makes a hot standby of this server and starts it.
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

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        let output = self.pg_ctl(&["promote"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// The address of a database on it, with the superuser's name and password.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// The password of the superuser.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops it as an administrator does: sessions are cut off, what is committed is kept.
    pub fn stop(&self) {
        let output = self.pg_ctl(&["stop", "-m", "fast"]);
        assert!(output.status.success(), "{output:?}");
    }

    /// Makes it stand still: it keeps its connections and answers nothing, as long as the value
    /// lives that this gives.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let processes = self.halted_processes();
        for pid in &processes {
            signal("STOP", pid);
        }
        Frozen { processes }
    }

    /// Kills all its processes as `kill -9` does.
    ///
    /// The first one alone would not do: the others notice its end a moment later, and finish
    /// what they are at.
    pub fn kill(&self) {
        let killed = self.halted_processes();
        for pid in &killed {
            signal("KILL", pid);
        }
        let dead = || killed.iter().all(|pid| is_dead(pid));
        wait_for(PATIENCE, dead, || "its processes live on".to_owned());
        // In a container nobody may bury the dead, and a new server takes a dead one for alive.
        fs::remove_file(self.pid_file()).unwrap();
    }

    /// Starts it again, on the same port. After a kill it recovers first.
    pub fn start_again(&self) {
        wait_for(PATIENCE, || self.try_to_start(), || self.log());
    }

    /// Another program of PostgreSQL, such as `psql`, which finds this server.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.envs(self.environment());
        command
    }

    /// By these variables libpq, and so every program of PostgreSQL, finds this server.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGPASSWORD", self.password.clone()),
        ]
    }

    /// Gives the lifeline away: the server now lives as long as whoever holds this.
    ///
    /// # Panics
    /// When it was given away before.
    #[must_use]
    pub fn into_lifeline(mut self) -> ChildStdin {
        let keeper = self.keeper.as_mut().expect("there is a keeper as long as the server lives");
        keeper
            .lifeline
            .take()
            .expect("a lifeline is given away once, because this takes the server")
    }

    fn keep(&self) -> Keeper {
        let mut process = self
            .unprivileged("sh")
            .args(["-c", KEEPER, "sh"])
            .args([&self.programs, &self.directory])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the group that Ctrl-C reaches, nor in the one that a test runner kills.
            .process_group(0)
            .spawn()
            .unwrap();
        Keeper { lifeline: process.stdin.take(), process }
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

    /// Between the look for a free port and its use somebody else may take it.
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
            // The server inherits its output. A pipe would stay open as long as the server lives.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap()
    }

    fn unprivileged(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if self.as_root {
            command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
        }
        command
    }

    /// The first one, which is made to stand still, and then its children.
    ///
    /// While it runs it starts one for each connection that is opened, so that a list made earlier
    /// may lack the one that goes on to answer.
    fn halted_processes(&self) -> Vec<String> {
        let first = fs::read_to_string(self.pid_file()).unwrap();
        let first = first.lines().next().unwrap().to_owned();
        signal("STOP", &first);
        // The signal is on its way when `kill` returns.
        wait_for(PATIENCE, || stands_still(&first), || "its first process goes on".to_owned());
        let others = children(&first);
        iter::once(first).chain(others).collect()
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

impl Drop for Server {
    fn drop(&mut self) {
        let Some(Keeper { mut process, lifeline }) = self.keeper.take() else { return };
        // Where the lifeline was given away, somebody else decides.
        if let Some(lifeline) = lifeline {
            drop(lifeline);
            let _ = process.wait();
        }
    }
}

/// Waits until something is so, and fails when that takes too long.
pub fn wait_for(
    patience: Duration,
    mut condition: impl FnMut() -> bool,
    what_is_wrong: impl Fn() -> String,
) {
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "{}", what_is_wrong());
        sleep(Duration::from_millis(50));
    }
}

/// Whether this process, which has made a directory, runs as root.
pub(crate) fn is_root(directory: &Path) -> bool {
    fs::metadata(directory).unwrap().uid() == 0
}

/// A process that has ended by itself meanwhile needs no signal.
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

/// Gone, or waiting to be buried.
fn is_dead(pid: &str) -> bool {
    state(pid).is_none_or(|state| state == 'Z')
}

fn stands_still(pid: &str) -> bool {
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
    fn frozen_server_answers_no_connection() {
        let server = Server::start(ServerSettings::Fast);
        let (over, answers) = (AtomicBool::new(false), AtomicU64::new(0));
        let ask = || {
            while !over.load(Relaxed) {
                let mut session = Session::open(&server.url("postgres"));
                for _ in 0..100 {
                    session.execute("SELECT 1");
                    answers.fetch_add(1, Relaxed);
                    sleep(Duration::from_millis(2));
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(ask);
            }
            for round in 0..20 {
                wait_for(PATIENCE, || answers.swap(0, Relaxed) > 0, || "no answer".to_owned());
                let frozen = server.freeze();
                // What was under way has arrived by then.
                sleep(Duration::from_millis(50));
                let before = answers.load(Relaxed);
                sleep(Duration::from_millis(100));
                let after = answers.load(Relaxed);
                drop(frozen);
                over.store(round == 19 || after != before, Relaxed);
                assert_eq!(after, before, "answers while all stand still, round {round}");
            }
        });
    }
}
