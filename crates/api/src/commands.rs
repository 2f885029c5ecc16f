//! The command line: what each command does, and how the process ends.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::pin,
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
    descriptors, healthcheck, logging, panics,
    reopening::ReopenSignals,
    settings::{DatabaseSettings, InvalidSetting, Options, SECRETS_HELP, Settings},
    shutdown::StopSignals,
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
    /// Print the settings in effect and exit
    Config,
    /// Ask the running service how it is, print its answer, and exit with 0 or 1
    Healthcheck,
    /// Copy the embedded database to a new file, while the service runs or not, and exit
    Backup {
        /// The file to write; it must not exist
        #[arg(value_name = "FILE")]
        target: PathBuf,
    },
}

/// Wrong settings or options; the code that clap uses, too.
const EXIT_USAGE: u8 = 2;

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    panics::log_all();
    let ended = panics::catch(|| {
        // First of all: until they are caught, these signals terminate the process.
        let process = Process::start()?;
        Ok(run_command(arguments, process))
    });
    let ended = ended.unwrap_or_else(|error| Err(Failure::of(&error, 1)));
    logging::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => exit_with_error(&failure),
    }
}

/// What every command starts with.
struct Process {
    /// Requests are served on the server's own threads; this one starts, stops and waits.
    runtime: Runtime,
    reopen: ReopenSignals,
}

impl Process {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("the runtime cannot be started")?;
        let reopen = runtime
            .block_on(async { ReopenSignals::catch() })
            .context("signals cannot be caught")?;
        Ok(Self { runtime, reopen })
    }
}

/// Why the program ends with another exit code than 0.
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    fn of(error: &anyhow::Error, code: u8) -> Self {
        Self { message: format!("{error:#}"), code }
    }
}

fn run_command(
    arguments: impl IntoIterator<Item = OsString>,
    process: Process,
) -> Result<(), Failure> {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => return end_without_running(&error),
    };
    let command = line.command.unwrap_or_default();
    let is_healthcheck = matches!(command, Command::Healthcheck);
    execute(command, &line.options, process).map_err(|error| {
        // A health check says 0 or 1; Docker reserves 2.
        let usage = error.is::<InvalidSetting>() && !is_healthcheck;
        Failure::of(&error, if usage { EXIT_USAGE } else { 1 })
    })
}

fn execute(command: Command, options: &Options, process: Process) -> anyhow::Result<()> {
    let settings = || -> anyhow::Result<Settings> {
        let mut settings = Settings::parse(options, |name| std::env::var_os(name))?;
        settings.max_connections = settings.max_connections.min(descriptors::for_connections());
        Ok(settings)
    };
    match command {
        Command::Serve => serve(&settings()?, process),
        Command::Migrate => {
            let settings = settings()?;
            start_logging(&settings)?;
            migrate(&settings.database)?;
            tracing::info!(repository = %settings.database, "the database has all migrations");
            Ok(())
        }
        Command::Openapi => Ok(io::stdout().write_all(order_http::openapi_document().as_bytes())?),
        Command::Config => Ok(io::stdout().write_all(settings()?.to_string().as_bytes())?),
        Command::Healthcheck => {
            let answer = healthcheck::ask(Settings::listen(options)?)?;
            Ok(writeln!(io::stdout(), "{answer}")?)
        }
        Command::Backup { target } => back_up(&settings()?.database, &target),
    }
}

fn back_up(database: &DatabaseSettings, target: &Path) -> anyhow::Result<()> {
    match database {
        DatabaseSettings::Sqlite { path } => Ok(SqliteOrderRepo::backup(path, target)?),
        DatabaseSettings::Postgres { .. } => {
            bail!("backup copies the embedded database only; for PostgreSQL use pg_dump")
        }
    }
}

/// Starts the log, and says first which settings have no effect.
fn start_logging(settings: &Settings) -> anyhow::Result<()> {
    logging::start(&settings.log)?;
    for unused in &settings.unused {
        tracing::warn!(settings = %unused, reason = unused.reason, "settings have no effect");
    }
    Ok(())
}

fn serve(settings: &Settings, process: Process) -> anyhow::Result<()> {
    start_logging(settings)?;
    let Process { runtime, reopen } = process;
    let served = runtime.block_on(async {
        tokio::spawn(reopen.reopen_log_files());
        let mut stop = pin!(StopSignals::catch()?.first());
        let application = tokio::select! {
            () = &mut stop => return Ok(()),
            application = Application::build(settings) => application?,
        };
        application.run_until_stopped(stop).await
    });
    // A caller that stops a start does not wait for the database that the start waits for.
    runtime.shutdown_background();
    served
}

/// Help and the version go out as clap has them. An error becomes one line that names the option
/// but not what was given to it, which may be a secret.
fn end_without_running(error: &clap::Error) -> Result<(), Failure> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // A closed pipe is the reader's choice.
        let _ = error.print();
        return Ok(());
    }
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if option.starts_with('-') => {
            option.split(['=', ' ']).next()
        }
        _ => None,
    };
    let what = match (error.kind(), option) {
        (ErrorKind::UnknownArgument, Some(option)) => format!("there is no option {option}"),
        (ErrorKind::MissingRequiredArgument, _) => "an argument is missing".to_owned(),
        (_, Some(option)) => format!("{option} is not given as it must be"),
        (_, None) => "there is no such command".to_owned(),
    };
    Err(Failure { message: format!("{what}; see order-api --help"), code: EXIT_USAGE })
}

/// Ends with one line on standard error, whatever the message consists of. Every message with which
/// the program ends passes here.
fn exit_with_error(failure: &Failure) -> ExitCode {
    // Where there is no standard error, the exit code still says it.
    let _ = writeln!(io::stderr(), "order-api: {}", logging::one_line(&failure.message));
    ExitCode::from(failure.code)
}
