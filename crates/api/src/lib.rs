//! The composition root: settings, wiring, startup and shutdown.
//!
//! The only crate that knows every adapter. It constructs them and passes them on. Deliberately
//! absent: the rules of orders (`order-domain`), the REST API (`order-http`), SQL, distances. Tests
//! use the same entry as production: [`Application::build`].

mod application;
mod commands;
mod fd_limit;
mod healthcheck;
mod logging;
mod panics;
mod settings;
mod signals;

pub use application::Application;
pub use commands::run;
pub use logging::LogGuard;
pub use settings::{InvalidSetting, Settings};
