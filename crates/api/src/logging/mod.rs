//! Logging: formats lines, and writes them to standard output and to files.
//!
//! A caller that logs never waits: threads of `tracing-appender` write the lines. Lines that do not
//! fit into their queues are dropped and counted.

mod dropped_lines;
mod json;
mod rotating_file;
mod sanitize;

use std::{
    fs,
    io::{self, BufWriter},
    sync::{atomic::Ordering, mpsc},
    thread,
    time::Duration,
};

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt,
};

use self::{
    dropped_lines::{CountingWriter, DroppedLines},
    json::{JsonEvent, JsonMembers},
    rotating_file::RotatingFile,
    sanitize::SanitizingWriter,
};
pub(crate) use sanitize::one_line;

use crate::settings::{InvalidSetting, LogSettings};

/// How many lines may wait to be written, for each sink.
const QUEUE_LINES: usize = 16_384;

/// How long the end of the process waits for lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The running log. Dropping it writes the lines that wait; later lines are lost.
///
/// The default value belongs to a process that has not started to log.
#[derive(Debug, Default)]
pub struct LogGuard {
    workers: Vec<WorkerGuard>,
    overflows: Vec<ErrorCounter>,
    dropped: DroppedLines,
    pub(crate) files: LogFiles,
}

/// Starts to log to standard output, and to files if `LOG_DIR` is set.
///
/// # Errors
/// When the directory of the files cannot be created, or the process logs already.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<LogGuard> {
    let mut log = LogGuard::default();
    let stdout = CountingWriter::new(BufWriter::new(io::stdout()), log.dropped.clone());
    let mut sinks = vec![log.sink(settings.is_json, LevelFilter::TRACE, stdout)];
    if let Some(directory) = &settings.directory {
        fs::create_dir_all(directory).map_err(|error| {
            let problem = format!("must be a directory for files: {}", error.kind());
            InvalidSetting::new("LOG_DIR", problem)
        })?;
        for (level, name) in [(LevelFilter::INFO, "info.log"), (LevelFilter::ERROR, "error.log")] {
            let file = RotatingFile::new(directory.join(name), log.dropped.clone());
            sinks.push(log.sink(settings.is_json, level, file.clone()));
            log.files.0.push(file);
        }
    }
    // A client can cause any number of lines of actix-http by sending heads that are not HTTP. The
    // connection pool's errors repeat what the request that fails logs with its id.
    let filter = format!("actix_http=off,r2d2=off,{}", settings.filter);
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::registry().with(sinks).with(filter).try_init()?;
    Ok(log)
}

impl LogGuard {
    /// Creates a sink for lines of this level and above, with a thread that writes them.
    fn sink(
        &mut self,
        is_json: bool,
        level: LevelFilter,
        writer: impl io::Write + Send + 'static,
    ) -> Box<dyn Layer<Registry> + Send + Sync> {
        let (writer, worker) = NonBlockingBuilder::default()
            .buffered_lines_limit(QUEUE_LINES)
            .lossy(true)
            .thread_name("log")
            .finish(writer);
        self.overflows.push(writer.error_counter());
        self.workers.push(worker);
        // Colours are control characters.
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || SanitizingWriter(writer.clone()));
        if is_json {
            lines.fmt_fields(JsonMembers).event_format(JsonEvent).with_filter(level).boxed()
        } else {
            lines.with_filter(level).boxed()
        }
    }

    /// Returns a function that counts the lines that were logged and not written.
    pub(crate) fn dropped_lines(&self) -> impl Fn() -> u64 + Send + Sync + use<> {
        let (overflows, dropped) = (self.overflows.clone(), self.dropped.clone());
        move || {
            let overflowed: usize = overflows.iter().map(ErrorCounter::dropped_lines).sum();
            dropped.load(Ordering::Relaxed) + overflowed as u64
        }
    }
}

impl Drop for LogGuard {
    /// Waits at most `FLUSH_TIMEOUT`. On threads, because a worker whose output accepts nothing
    /// blocks the thread that drops its guard.
    fn drop(&mut self) {
        let (written, all_written) = mpsc::channel::<()>();
        for worker in self.workers.drain(..) {
            let written = written.clone();
            let _ = thread::Builder::new().spawn(move || {
                drop(worker);
                drop(written);
            });
        }
        drop(written);
        let _ = all_written.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// The log files.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogFiles(Vec<RotatingFile>);

impl LogFiles {
    /// Opens the files again at their paths, after another program has moved them. Logs a file
    /// that cannot be opened, and continues to write where it did before. Blocks.
    pub(crate) fn reopen(&self) {
        let mut reopened = 0;
        for file in &self.0 {
            match file.reopen() {
                Ok(()) => reopened += 1,
                Err(error) => tracing::error!(
                    log.file.path = %file.path.display(),
                    exception.message = %error,
                    "the log file cannot be reopened; lines are still written to the open file"
                ),
            }
        }
        tracing::info!(files = reopened, "reopened the log files");
    }
}
