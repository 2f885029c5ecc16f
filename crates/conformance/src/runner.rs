//! Runs a clause in a runtime of its own.

use std::{future::Future, time::Duration};

use tokio::{runtime::Builder, time::timeout};

/// More than ten times as long as any clause takes. A call that never ends must fail, not hang.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Runs one clause in a new runtime. The macros use this instead of `#[tokio::test]`, so that the
/// adapters do not need tokio for it.
pub fn run(clause: impl Future<Output = ()>) {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let ended = runtime.block_on(async { timeout(TIMEOUT, clause).await });
    // A call that hangs must not block the end of the test.
    runtime.shutdown_timeout(Duration::from_secs(5));
    assert!(ended.is_ok(), "a call did not end within {TIMEOUT:?}");
}
