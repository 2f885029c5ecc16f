//! The real service, started: its command line, its life, races and crashes.

mod commands;
mod contract;
mod crash;
mod demo;
mod faults;
mod google;
mod race;
mod service;
mod shutdown;
mod support;
mod wire;
