//! Settings of the log.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use tracing_subscriber::EnvFilter;

use super::{InvalidSetting, invalid, source::Source};

/// What is logged, in which format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// Whether a line is a JSON object; otherwise it is text for people.
    pub(crate) is_json: bool,
    /// A level or a filter of `tracing-subscriber`.
    pub(crate) filter: String,
    /// The directory for log files, if there are any.
    pub(crate) directory: Option<PathBuf>,
}

impl LogSettings {
    pub(super) fn parse(source: Source<'_>) -> Result<Self, InvalidSetting> {
        let is_json = match source.get("LOG_FORMAT")?.as_deref() {
            Some("text") => false,
            Some("json") => true,
            None => !io::stdout().is_terminal(),
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
        Ok(Self { is_json, filter, directory })
    }
}
