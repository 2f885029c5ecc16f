//! The binary `order-api`: reads the command line and does what it says.

use std::process::ExitCode;

fn main() -> ExitCode {
    order_api::run(std::env::args_os())
}
