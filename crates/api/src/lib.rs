//! The composition root: settings, wiring, start and shutdown.
//!
//! The one place that knows every adapter. It constructs and passes; it does no work of its own.
//! Deliberately absent: what an order is (`order-domain`), how requests are read and answered
//! (`order-http`), SQL, distances. Tests use the same door as production:
//! [`Application::build`].

mod application;
mod commands;
mod descriptors;
mod healthcheck;
mod logging;
mod panics;
mod reopening;
mod settings;
mod shutdown;

pub use application::Application;
pub use commands::run;
pub use settings::{
    DatabaseSettings, DistanceSettings, InvalidSetting, LogFormat, LogSettings, Options,
    SettingValue, Settings, UnusedSettings,
};
