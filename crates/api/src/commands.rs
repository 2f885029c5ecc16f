//! The command line: its commands, their effects, and exit codes.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, anyhow, bail};
use clap::{
    ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand,
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
    settings::{
        DatabaseSettings, InvalidSetting, OPTIONS, SECRETS_HELP, SettingOption, Settings, Source,
    },
    signals::Signals,
};

/// The order service of a food-delivery business.
///
/// Each option can also be set by the environment variable that its help names. An empty
/// variable counts as unset.
#[derive(Parser)]
#[command(name = "order-api", version, after_help = SECRETS_HELP)]
struct CommandLine {
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

/// A command line that cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("{0}; see order-api --help")]
struct UsageError(String);

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    panics::log_all();
    match panics::catch(|| run_command(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_with_error(&error),
    }
}

fn run_command(arguments: impl IntoIterator<Item = OsString>) -> anyhow::Result<()> {
    // Starts, stops and waits. Requests are served on the server's own threads.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    // Before anything else, because these signals terminate the process until it listens to them.
    let reopen = runtime
        .block_on(async { Signals::reopen() })
        .context("the process cannot listen to signals")?;
    let (command, options) = match parse_command_line(arguments) {
        Ok(parsed) => parsed,
        Err(error) => return handle_clap_error(&error),
    };
    // The options include their variables. Only secrets are not options.
    let lookup = |name: &str| match options.try_get_one::<OsString>(name) {
        Ok(value) => value.cloned(),
        Err(_) => std::env::var_os(name),
    };
    execute(command, Source(&lookup), runtime, reopen)
}

fn parse_command_line(
    arguments: impl IntoIterator<Item = OsString>,
) -> clap::error::Result<(Command, ArgMatches)> {
    let command = CommandLine::command().args(OPTIONS.iter().map(SettingOption::argument));
    let matches = command.try_get_matches_from(arguments)?;
    let line = CommandLine::from_arg_matches(&matches)?;
    Ok((line.command.unwrap_or_default(), matches))
}

fn execute(
    command: Command,
    source: Source<'_>,
    runtime: Runtime,
    reopen: Signals,
) -> anyhow::Result<()> {
    let settings = || -> anyhow::Result<Settings> {
        let mut settings = Settings::parse(source.0)?;
        settings.max_connections = settings.max_connections.min(raise_fd_limit());
        Ok(settings)
    };
    match command {
        Command::Serve => {
            let settings = settings()?;
            serve(&settings, start_logging(&settings)?, runtime, reopen)
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
            // Always exits with 0 or 1: Docker reserves 2.
            let listen = Settings::listen(source).map_err(|error| anyhow!("{error}"))?;
            let body = healthcheck::call(listen)?;
            Ok(writeln!(io::stdout(), "{body}")?)
        }
        Command::Backup { target } => match settings()?.database {
            DatabaseSettings::Sqlite { path } => Ok(SqliteOrderRepo::backup(&path, &target)?),
            DatabaseSettings::Postgres { .. } => {
                bail!("backup copies only the embedded database; use pg_dump for PostgreSQL")
            }
        },
    }
}

/// Starts to log. The first lines name the settings that have no effect.
fn start_logging(settings: &Settings) -> anyhow::Result<LogGuard> {
    let log = logging::start(&settings.log)?;
    for unused in &settings.unused {
        tracing::warn!(
            settings = unused.names.join(", "),
            reason = unused.reason,
            "settings have no effect"
        );
    }
    Ok(log)
}

fn serve(
    settings: &Settings,
    log: LogGuard,
    runtime: Runtime,
    reopen: Signals,
) -> anyhow::Result<()> {
    let served = runtime.block_on(async {
        tokio::spawn(reopen_log_files(reopen, log.files.clone()));
        // Both receive every signal.
        let (mut stop, mut abort) = (Signals::stop()?, Signals::stop()?);
        let application = tokio::select! {
            _ = stop.recv() => return Ok(()),
            application = Application::build(settings, &log) => application?,
        };
        let aborted = async {
            abort.recv().await;
            abort.recv().await
        };
        tokio::select! {
            served = application.run_until_stopped(stop.recv()) => served,
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
fn handle_clap_error(error: &clap::Error) -> anyhow::Result<()> {
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
    bail!(UsageError(problem))
}

/// Prints the message as one line on standard error. Every message that ends the program passes
/// here.
fn exit_with_error(error: &anyhow::Error) -> ExitCode {
    let message = logging::one_line(&format!("{error:#}"));
    // Without standard error, the exit code remains.
    let _ = writeln!(io::stderr(), "order-api: {message}");
    let is_usage = error.is::<InvalidSetting>() || error.is::<UsageError>();
    // clap also uses 2.
    ExitCode::from(if is_usage { 2 } else { 1 })
}
