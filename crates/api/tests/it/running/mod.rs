//! The real service, started: its command line, its life, races and crashes.

mod commands;
mod crash;
mod race;
mod service;
mod shutdown;
mod support;
