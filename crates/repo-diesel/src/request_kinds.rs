//! The list of the request kinds of a repository.

/// The connections that a kind of request uses. Writes that wait for the database hold the
/// connections of their share only, so they never keep reads waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Requests that are served while changes wait.
    Reads,
    /// Changes, and reads that belong to a change.
    Writes,
}

/// An entry of the list, as far as it does not depend on the types of request and outcome.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What the system shows for the threads.
    pub name: &'static str,
    /// The connections that it uses.
    pub share: Share,
    /// How many batches may be in flight at the same time.
    pub in_flight: usize,
}

/// Declares the list of the request kinds of a repository: a struct with one queue for each kind.
///
/// An entry is `name: Request => Outcome, access, share, in_flight, limit, function;`. `access` is
/// `read` or `write`, the method of the executor that starts the queue. `limit` makes for each
/// batch a function that decides whether one more request fits, see [`limits`](crate::limits).
/// `function` serves a batch.
#[macro_export]
macro_rules! request_kinds {
    (@kind $kind:ident, $share:ident, $in_flight:literal) => {
        $crate::Kind {
            name: stringify!($kind),
            share: $crate::Share::$share,
            in_flight: $in_flight,
        }
    };
    (
        $(#[$doc:meta])*
        struct $name:ident($queue:ident, $executor:ty);
        $(
            $kind:ident: $request:ty => $outcome:ty,
            $access:ident, $share:ident, $in_flight:literal, $limit:path, $function:path;
        )*
    ) => {
        $(#[$doc])*
        pub(crate) struct $name {
            $(pub(crate) $kind: $queue<$request, $outcome>,)*
        }

        impl $name {
            /// The kinds of requests.
            pub(crate) const KINDS: &[$crate::Kind] = &[
                $($crate::request_kinds!(@kind $kind, $share, $in_flight)),*
            ];

            /// Starts the threads of all queues.
            pub(crate) fn start(executor: &$executor) -> Self {
                Self {
                    $($kind: executor.$access(
                        $crate::request_kinds!(@kind $kind, $share, $in_flight),
                        $limit,
                        |connection, requests: &[$request]| $function(connection, requests),
                    ),)*
                }
            }

            /// How many requests wait at this moment.
            pub(crate) fn queued(&self) -> usize {
                0 $(+ self.$kind.queued())*
            }
        }
    };
}
