//! Panics: one line in the log, and one line on standard error if a panic ends the process.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
};

use anyhow::anyhow;

thread_local! {
    /// The location of the last panic on this thread.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Logs each panic, instead of printing it on several lines.
pub(crate) fn log_all() {
    set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str();
        tracing::error!(panic.location = location, exception.message = message, "panicked");
        // The thread's locals may be gone, and a panic here would abort the process.
        let _ = LOCATION.try_with(|last| last.replace(location));
    }));
}

/// Runs `work`, and converts a panic to an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let location = LOCATION.take().unwrap_or_else(|| "an unknown location".to_owned());
        Err(anyhow!("internal error: panicked at {location}: {message}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error_with_its_message() {
        let error = catch::<()>(|| panic!("it is {}", "wrong")).unwrap_err().to_string();
        assert!(error.starts_with("internal error: panicked at "), "{error}");
        assert!(error.ends_with(": it is wrong"), "{error}");
        assert_eq!(catch(|| Ok(7)).unwrap(), 7);
    }
}
