//! The real service, started: its command line, its life, races and crashes.

mod backup;
mod commands;
mod concurrent_keys;
mod contract;
mod crash;
mod demo;
mod exit_messages;
mod faults;
mod file_loss;
mod google;
mod invalid_settings;
mod libpq_environment;
mod limits;
mod logs;
mod monitoring;
mod race;
mod read_only;
mod readiness;
mod reopening;
mod restarts;
mod secrets;
mod service;
mod shutdown;
mod slow_clients;
mod support;
mod wire;
