//! How many calls run and wait at the same time.

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use crate::CallError;

/// A limit on the calls in flight, and a queue of the same length. The limit keeps a slow provider
/// from occupying sockets and memory without bound.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    calls: Semaphore,
    places: Semaphore,
    max: usize,
}

impl ConcurrencyLimit {
    pub(crate) fn new(max: usize) -> Self {
        Self { calls: Semaphore::new(max), places: Semaphore::new(max), max }
    }

    /// Waits until a call may start, in the order of arrival.
    ///
    /// # Errors
    /// When the queue is full, or at the deadline.
    pub(crate) async fn acquire(
        &self,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_>, CallError> {
        if let Ok(permit) = self.calls.try_acquire() {
            return Ok(permit);
        }
        let _place = self.places.try_acquire().map_err(|_| CallError::QueueFull)?;
        let permit = timeout_at(deadline, self.calls.acquire()).await;
        Ok(permit.map_err(|_| CallError::QueueFull)?.expect("the semaphore is never closed"))
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.max - self.calls.available_permits()
    }

    pub(crate) fn queued(&self) -> usize {
        self.max - self.places.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    #[tokio::test]
    async fn call_beyond_the_queue_is_rejected_immediately() {
        let limit = ConcurrencyLimit::new(1);
        let first = limit.acquire(soon()).await.unwrap();
        let later = Instant::now() + Duration::from_mins(1);
        let mut second = Box::pin(limit.acquire(later));
        assert!(timeout_at(soon(), &mut second).await.is_err(), "it waits");
        assert_eq!((limit.in_flight(), limit.queued()), (1, 1));
        assert!(matches!(limit.acquire(later).await, Err(CallError::QueueFull)));

        drop(first);
        let _second = second.await.unwrap();
        assert_eq!((limit.in_flight(), limit.queued()), (1, 0));
    }

    #[tokio::test]
    async fn wait_ends_at_the_deadline() {
        let limit = ConcurrencyLimit::new(1);
        let _first = limit.acquire(soon()).await.unwrap();
        assert!(matches!(limit.acquire(soon()).await, Err(CallError::QueueFull)));
        assert_eq!(limit.queued(), 0);
    }

    #[tokio::test]
    async fn dropped_wait_frees_its_place() {
        let limit = ConcurrencyLimit::new(1);
        let _first = limit.acquire(soon()).await.unwrap();
        let later = Instant::now() + Duration::from_mins(1);
        assert!(timeout_at(soon(), limit.acquire(later)).await.is_err());
        assert_eq!(limit.queued(), 0);
    }
}
