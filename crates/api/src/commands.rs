//! The command line: its commands, their effects, and exit codes.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use order_repo_sqlite::SqliteOrderRepo;
use tokio::runtime::Runtime;

use crate::{
    application::{Application, migrate},
    fd_limit::raise_fd_limit,
    healthcheck,
    logging::{self, LogFiles, LogGuard},
    panics,
    settings::{DatabaseSettings, InvalidSetting, Options, SECRETS_HELP, Settings},
    signals::Signals,
};

/// The order service of a food-delivery business.
///
/// Each option can also be set by the environment variable that its help names. An empty
/// variable counts as unset.
#[derive(Parser)]
#[command(name = "order-api", version, after_help = SECRETS_HELP)]
struct CommandLine {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Default, Subcommand)]
enum Command {
    /// Run the service (the default): create the database if it is missing, migrate it, listen
    #[default]
    Serve,
    /// Create the database if it is missing, apply pending migrations, and exit
    Migrate,
    /// Print the OpenAPI document of the API and exit
    Openapi,
    /// Print the effective settings, with secrets redacted, and exit
    Config,
    /// Call the running service, print the response, and exit with 0 or 1
    Healthcheck,
    /// Copy the embedded database to a new file and exit; the service may be running
    Backup {
        /// The file to write; it must not exist
        #[arg(value_name = "FILE")]
        target: PathBuf,
    },
}

/// Exit code for an invalid setting or command line, as clap has it.
const EXIT_USAGE: u8 = 2;

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    panics::log_all();
    let result = panics::catch(|| Ok(run_command(arguments, Process::start()?)));
    match result.unwrap_or_else(|error| Err(Failure::new(&error, 1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit_with_error(&failure),
    }
}

/// What every command starts with.
struct Process {
    /// Starts, stops and waits. Requests are served on the server's own threads.
    runtime: Runtime,
    /// Listened to first, because these signals terminate the process until then.
    reopen: Signals,
}

impl Process {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot be started")?;
        let reopen = runtime
            .block_on(async { Signals::reopen() })
            .context("the process cannot listen to signals")?;
        Ok(Self { runtime, reopen })
    }
}

/// A message and an exit code other than 0.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn new(error: &anyhow::Error, code: u8) -> Self {
        Self { message: format!("{error:#}"), code }
    }
}

fn run_command(
    arguments: impl IntoIterator<Item = OsString>,
    process: Process,
) -> Result<(), Failure> {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return handle_clap_error(&error),
    };
    let command = line.command.unwrap_or_default();
    let is_healthcheck = matches!(command, Command::Healthcheck);
    execute(command, &line.options, process).map_err(|error| {
        // A health check ends with 0 or 1: Docker reserves 2.
        let is_usage = error.is::<InvalidSetting>() && !is_healthcheck;
        Failure::new(&error, if is_usage { EXIT_USAGE } else { 1 })
    })
}

fn execute(command: Command, options: &Options, process: Process) -> anyhow::Result<()> {
    let settings = || -> anyhow::Result<Settings> {
        let mut settings = Settings::parse(options, |name| std::env::var_os(name))?;
        settings.max_connections = settings.max_connections.min(raise_fd_limit());
        Ok(settings)
    };
    match command {
        Command::Serve => {
            let settings = settings()?;
            serve(&settings, start_logging(&settings)?, process)
        }
        Command::Migrate => {
            let settings = settings()?;
            let _log = start_logging(&settings)?;
            migrate(&settings.database)?;
            tracing::info!(repository = %settings.database, "all migrations are applied");
            Ok(())
        }
        Command::Openapi => Ok(io::stdout().write_all(order_http::openapi_document().as_bytes())?),
        Command::Config => Ok(io::stdout().write_all(settings()?.to_string().as_bytes())?),
        Command::Healthcheck => {
            let body = healthcheck::call(Settings::listen(options)?)?;
            Ok(writeln!(io::stdout(), "{body}")?)
        }
        Command::Backup { target } => back_up(&settings()?.database, &target),
    }
}

fn back_up(database: &DatabaseSettings, target: &Path) -> anyhow::Result<()> {
    match database {
        DatabaseSettings::Sqlite { path } => Ok(SqliteOrderRepo::backup(path, target)?),
        DatabaseSettings::Postgres { .. } => {
            bail!("backup copies only the embedded database; use pg_dump for PostgreSQL")
        }
    }
}

/// Starts to log. The first lines name the settings that have no effect.
fn start_logging(settings: &Settings) -> anyhow::Result<LogGuard> {
    let log = logging::start(&settings.log)?;
    for unused in &settings.unused {
        tracing::warn!(settings = %unused, reason = unused.reason, "settings have no effect");
    }
    Ok(log)
}

fn serve(settings: &Settings, log: LogGuard, process: Process) -> anyhow::Result<()> {
    let Process { runtime, reopen } = process;
    let served = runtime.block_on(async {
        tokio::spawn(reopen_log_files(reopen, log.files()));
        // Both receive every signal.
        let (mut stop, mut abort) = (Signals::stop()?, Signals::stop()?);
        let application = tokio::select! {
            _ = stop.recv() => return Ok(()),
            application = Application::build(settings, &log) => application?,
        };
        let stopped = async {
            stop.recv().await;
        };
        let aborted = async {
            abort.recv().await;
            abort.recv().await
        };
        tokio::select! {
            served = application.run_until_stopped(stopped) => served,
            signal = aborted => {
                tracing::warn!("terminating immediately after a second signal");
                drop(log);
                // The exit code that shells report for a process that a signal terminated.
                std::process::exit(128 + signal.as_raw_value())
            }
        }
    });
    // A signal during startup must not wait for the database.
    runtime.shutdown_background();
    served
}

/// Reopens the log files at each signal.
async fn reopen_log_files(mut signals: Signals, files: LogFiles) {
    loop {
        signals.recv().await;
        let files = files.clone();
        // The disk may be slow, and this thread also handles the signals that stop the service.
        if let Err(error) = tokio::task::spawn_blocking(move || files.reopen()).await {
            tracing::error!(exception.message = %error, "the log files cannot be reopened");
        }
    }
}

/// Prints help or the version as clap does. Turns an error into one line that names the option but
/// not its value, which may be a secret.
fn handle_clap_error(error: &clap::Error) -> Result<(), Failure> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // The reader may close the pipe.
        let _ = error.print();
        return Ok(());
    }
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if option.starts_with('-') => {
            option.split(['=', ' ']).next()
        }
        _ => None,
    };
    let problem = match (error.kind(), option) {
        (ErrorKind::UnknownArgument, Some(option)) => format!("unknown option {option}"),
        (ErrorKind::MissingRequiredArgument, _) => "missing argument".to_owned(),
        (_, Some(option)) => format!("invalid use of {option}: expected one value, given once"),
        (_, None) => "unknown command or argument".to_owned(),
    };
    Err(Failure { message: format!("{problem}; see order-api --help"), code: EXIT_USAGE })
}

/// Prints the message as one line on standard error. Every message that ends the program passes
/// here.
fn exit_with_error(failure: &Failure) -> ExitCode {
    // Without standard error, the exit code remains.
    let _ = writeln!(io::stderr(), "order-api: {}", logging::one_line(&failure.message));
    ExitCode::from(failure.code)
}
