//! Where log lines go, and how they look.
//!
//! Whoever logs hands a line over and goes on: threads of their own write to standard output and to
//! the files. A line that finds no room because they cannot follow is dropped and counted.

mod files;
mod json;
mod lines;

use std::{
    io::{self, BufWriter},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt,
};

use self::{
    files::{RotatingFile, SharedFile},
    json::{JsonEvent, JsonMembers},
    lines::{Counted, OneLine},
};
pub(crate) use lines::one_line;

use crate::settings::{InvalidSetting, LogFormat, LogSettings};

/// How many lines may wait to be written, for each place.
const QUEUE: usize = 16_384;

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The threads that write, until [`finish`].
static WRITERS: Mutex<Vec<WorkerGuard>> = Mutex::new(vec![]);
/// What found no room in a queue, for each place.
static FULL: Mutex<Vec<ErrorCounter>> = Mutex::new(vec![]);
/// The files that lines go to, for [`reopen_files`].
static FILES: Mutex<Vec<SharedFile>> = Mutex::new(vec![]);
/// Lines that a file or standard output did not take.
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);

/// Logs to standard output, and to files where that is set, from now on.
///
/// # Errors
/// When the directory of the files cannot be made, or something logs already.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    // The server's own account of heads that are not HTTP is for who asks for it by its name: a
    // client can send any number of them. So is the pool's of what it cannot connect to: the
    // request that fails for it says the same, with its id.
    let filter = format!("actix_http=off,r2d2=off,{}", settings.filter);
    let mut places = vec![place(
        settings.format,
        LevelFilter::TRACE,
        Counted::new(BufWriter::new(io::stdout())),
    )];
    if let Some(directory) = &settings.directory {
        let unusable = |error: io::Error| InvalidSetting {
            name: "LOG_DIR",
            problem: format!("must be a directory for files: {}", error.kind()),
        };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        for level in [Level::INFO, Level::ERROR] {
            let name = format!("{}.log", level.as_str().to_lowercase());
            let file = SharedFile::new(RotatingFile::new(directory.join(name)));
            FILES.lock().unwrap_or_else(PoisonError::into_inner).push(file.clone());
            places.push(place(settings.format, level.into(), file));
        }
    }
    let started =
        tracing_subscriber::registry().with(places).with(EnvFilter::try_new(filter)?).try_init();
    started.map_err(|error| anyhow::anyhow!(error))
}

/// Opens the log files again at their paths, for a program that has moved them. A file that cannot
/// be opened is logged, and its lines go on to where they went before. Blocks.
pub(crate) fn reopen_files() {
    // Copied: a slow disk must not keep the lock.
    let files = FILES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut reopened = 0;
    for file in &files {
        match file.reopen() {
            Ok(()) => reopened += 1,
            Err(error) => tracing::error!(
                log.file.path = %file.path().display(),
                exception.message = %error,
                "the log file cannot be reopened; its lines go on to where they went before"
            ),
        }
    }
    tracing::info!(files = reopened, "reopened the log files");
}

/// Writes what was logged, and logs nothing more. A place that takes nothing is not waited for
/// longer than [`LAST_LINES`], nor is it an obstacle to the end of the process.
pub(crate) fn finish() {
    let mut writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    let (written, all_written) = mpsc::channel();
    for writer in writers.drain(..) {
        let written = written.clone();
        thread::spawn(move || {
            drop(writer);
            let _ = written.send(());
        });
    }
    drop(written);
    let until = Instant::now() + LAST_LINES;
    while all_written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
}

/// How many lines were logged and not written.
pub(crate) fn dropped_lines() -> u64 {
    let full = FULL.lock().unwrap_or_else(PoisonError::into_inner);
    let full: usize = full.iter().map(ErrorCounter::dropped_lines).sum();
    UNWRITTEN.load(Ordering::Relaxed) + u64::try_from(full).unwrap_or(u64::MAX)
}

/// A place that lines go to, from this level on.
fn place(
    format: LogFormat,
    level: LevelFilter,
    writer: impl io::Write + Send + 'static,
) -> Box<dyn Layer<Registry> + Send + Sync> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE)
        .lossy(true)
        .thread_name("log")
        .finish(writer);
    FULL.lock().unwrap_or_else(PoisonError::into_inner).push(writer.error_counter());
    WRITERS.lock().unwrap_or_else(PoisonError::into_inner).push(guard);
    layer(format, writer).with_filter(level).boxed()
}

fn layer<S>(format: LogFormat, writer: NonBlocking) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // Colours are control characters, and no line has any.
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || OneLine(writer.clone()));
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.fmt_fields(JsonMembers).event_format(JsonEvent).boxed(),
    }
}
