//! Panics: one line in the log, and one line at the end where the process ends by one.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
};

use anyhow::anyhow;

thread_local! {
    /// Where this thread has panicked last.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Logs each panic, instead of printing it on several lines.
pub(crate) fn log_all() {
    set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(panic.place = place, panic.message = panic.payload_as_str(), "panicked");
        // It is gone where the thread ends, and a panic here would abort the process.
        let _ = LOCATION.try_with(|location| location.replace(place));
    }));
}

/// Does `work`, and makes a panic an error.
pub(crate) fn catch<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let message = (payload.downcast_ref::<&str>().copied())
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let location = LOCATION.take().unwrap_or_else(|| "an unknown place".to_owned());
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
