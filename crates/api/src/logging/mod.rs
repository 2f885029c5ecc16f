//! Where log lines go, and how they look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

/// Logs to standard output from now on. A panic is logged like anything else.
///
/// # Errors
/// When something logs already.
pub(crate) fn start(settings: &LogSettings) -> anyhow::Result<()> {
    // The server's own account of its threads is for who asks for it by its name. So is the pool's
    // of what it cannot connect to: the request that fails for it says the same, with its id.
    let filter = EnvFilter::try_new(format!("actix_server=warn,r2d2=off,{}", settings.filter))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal());
    let started = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error))?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(panic.place = place, panic.message = panic.payload_as_str(), "panicked");
    }));
    Ok(())
}
