//! How and what is logged.

use std::{
    fmt,
    io::{self, IsTerminal},
    path::PathBuf,
};

use tracing_subscriber::EnvFilter;

use super::{InvalidSetting, Options, set};

/// How and what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// A level or a filter of `tracing-subscriber`.
    pub filter: String,
    /// Where log files are written, too.
    pub directory: Option<PathBuf>,
}

impl LogSettings {
    pub(super) fn parse(options: &Options) -> Result<Self, InvalidSetting> {
        let directory = set("LOG_DIR", options.log_dir.as_ref())?;
        Ok(Self {
            format: log_format(set("LOG_FORMAT", options.log_format.as_ref())?)?,
            filter: log_filter(set("LOG_LEVEL", options.log_level.as_ref())?)?,
            directory: directory.map(Into::into),
        })
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

fn log_format(value: Option<&str>) -> Result<LogFormat, InvalidSetting> {
    let default = if io::stdout().is_terminal() { "text" } else { "json" };
    match value.unwrap_or(default) {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(InvalidSetting::new("LOG_FORMAT", "must be text or json")),
    }
}

/// A lone word is a level: the filter language would take a misspelt one for the name of a
/// module, and log nothing else.
fn log_filter(value: Option<&str>) -> Result<String, InvalidSetting> {
    let value = value.unwrap_or("info");
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let level = levels.iter().any(|level| level.eq_ignore_ascii_case(value));
    let filter = value.contains('=') && EnvFilter::builder().parse(value).is_ok();
    if level || filter {
        return Ok(value.to_owned());
    }
    let problem =
        "must be error, warn, info, debug, trace or a filter such as info,order_http=debug";
    Err(InvalidSetting::new("LOG_LEVEL", problem))
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
