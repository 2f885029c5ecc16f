//! `with-postgres [--durable] COMMAND [ARGUMENT…]`: runs a command with a new PostgreSQL server.
//!
//! The command receives the server's address in `TEST_DATABASE_URL`, and client programs such as
//! `psql` in `PGHOST` and so on. If `TEST_DATABASE_URL` is set already, no server is started.
//! `--durable` starts the server with PostgreSQL's default durability instead of a faster one.

use std::{env, os::unix::process::CommandExt, process::Command};

use order_test_postgres::{Server, ServerSettings};

fn main() {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    let mut settings = ServerSettings::Fast;
    if arguments.first().is_some_and(|first| first == "--durable") {
        arguments.remove(0);
        settings = ServerSettings::Durable;
    }
    let (program, arguments) = arguments.split_first().expect("a command to run");
    if env::var_os("TEST_DATABASE_URL").is_some_and(|url| !url.is_empty()) {
        let failed = Command::new(program).args(arguments).exec();
        panic!("{}: {failed}", program.display());
    }
    let server = Server::start(settings);
    let mut command = Command::new(program);
    command.args(arguments).env("TEST_DATABASE_URL", server.url("postgres"));
    command.envs(server.environment());
    // This process becomes the command, so that signals reach it. The pipe that keeps the server
    // running must survive that, as only the standard streams do: it becomes the standard input.
    let failed = command.stdin(server.into_liveness_pipe()).exec();
    panic!("{}: {failed}", program.display());
}
