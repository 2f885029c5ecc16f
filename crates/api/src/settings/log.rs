//! Settings of the log.

use std::{
    fmt,
    io::{self, IsTerminal},
    path::PathBuf,
};

use tracing_subscriber::EnvFilter;

use super::{InvalidSetting, source::Source};

/// What is logged, in which format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The format of a line.
    pub format: LogFormat,
    /// A level or a filter of `tracing-subscriber`.
    pub filter: String,
    /// The directory for log files, if there are any.
    pub directory: Option<PathBuf>,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// A JSON object.
    Json,
}

impl LogSettings {
    pub(super) fn parse(source: Source<'_>) -> Result<Self, InvalidSetting> {
        let invalid = |name, problem: &str| Err(InvalidSetting::new(name, problem));
        let format = match source.get("LOG_FORMAT")?.as_deref() {
            Some("text") => LogFormat::Text,
            None if io::stdout().is_terminal() => LogFormat::Text,
            Some("json") | None => LogFormat::Json,
            Some(_) => return invalid("LOG_FORMAT", "must be text or json"),
        };
        let filter = source.get("LOG_LEVEL")?.unwrap_or_else(|| "info".to_owned());
        // A single word is a level: as a filter, a misspelt level would be the name of a module,
        // and nothing else would be logged.
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let is_level = levels.iter().any(|level| level.eq_ignore_ascii_case(&filter));
        let is_filter = filter.contains('=') && EnvFilter::builder().parse(&filter).is_ok();
        if !is_level && !is_filter {
            return invalid(
                "LOG_LEVEL",
                "must be error, warn, info, debug, trace or a filter such as info,order_http=debug",
            );
        }
        let directory = source.get("LOG_DIR")?.map(PathBuf::from);
        Ok(Self { format, filter, directory })
    }
}

impl fmt::Display for LogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LOG_FORMAT={}", self.format)?;
        writeln!(f, "LOG_LEVEL={}", self.filter)?;
        match &self.directory {
            Some(directory) => writeln!(f, "LOG_DIR={}", directory.display()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
