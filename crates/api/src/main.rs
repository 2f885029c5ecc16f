//! The binary `order-api`.

use std::process::ExitCode;

fn main() -> ExitCode {
    order_api::run(std::env::args_os())
}
