//! The clauses of [`OrderRepo`].
//!
//! What happens to a connection is in [`disconnects`], for stores that have some.
//!
//! How long a key is remembered is not here: only the adapter can shift the clock of its
//! database.

mod cancellation;
mod concurrency;
pub mod disconnects;
pub mod fixtures;
mod listing;
mod placement_keys;
mod placing;
mod racing;
mod take_keys;
mod taking;

use std::sync::Arc;

use async_trait::async_trait;
use order_domain::OrderRepo;

/// A store of its own for one test, empty at first. It lasts until this value is dropped.
#[async_trait]
pub trait RepoFixture: Send + Sync {
    /// One more repository on the store, as independent of the others as if another process had
    /// opened it: it shares the store with them and nothing else.
    async fn repo(&self) -> Arc<dyn OrderRepo>;
}

/// Stamps one test for each clause of [`OrderRepo`].
///
/// The argument is the path of an `async fn() -> impl RepoFixture`; see
/// [`RepoFixture`]. It is called once a test.
#[macro_export]
macro_rules! order_repo_clauses {
    // The one list of clauses. A clause that is missing here is dead code, and a warning.
    (@each $action:ident $argument:tt) => {
        $crate::order_repo_clauses! { @$action $argument
            placing {
                order_reads_back_exactly,
                later_order_has_the_larger_id,
                equal_placements_without_a_key_create_different_orders,
                unknown_order_is_not_found,
                times_are_microseconds_since_the_epoch,
            }
            placement_keys {
                placement_key_replays_its_placement,
                placement_key_with_another_route_returns_the_first_order,
                placement_keys_are_compared_exactly,
                failed_placement_leaves_its_key_free,
                placement_keys_and_take_keys_are_independent,
            }
            taking {
                take_changes_only_the_state_of_one_order,
                taken_order_does_not_change,
                acknowledged_change_is_visible_to_all_repositories,
            }
            take_keys {
                winners_key_replays_the_take,
                take_key_of_another_order_takes_precedence,
                rejected_take_leaves_its_key_free,
                take_keys_are_compared_exactly,
            }
            racing {
                order_is_taken_once_by_concurrent_takers,
                each_of_many_orders_is_taken_once,
                concurrent_placements_with_one_key_create_one_order,
                concurrent_takes_with_one_key_are_one_take,
                one_take_key_takes_at_most_one_order,
                ids_of_concurrent_placements_are_unique,
            }
            listing {
                list_is_newest_first,
                list_past_the_end_is_empty,
                status_filter_lists_only_that_status,
                status_filter_reflects_a_take,
                cursor_lists_every_order_once_during_placements,
            }
            concurrency {
                concurrent_calls_each_receive_their_own_outcome,
                conflicting_call_fails_no_other_call,
                reads_include_every_acknowledged_change,
            }
            cancellation {
                dropped_placement_is_all_or_nothing,
                dropped_take_is_all_or_nothing,
                dropped_reads_free_their_place,
                dropped_call_fails_no_other_call,
            }
        }
    };
    (@reexport [] $($room:ident { $($clause:ident,)+ })+) => {
        $(pub use $room::{$($clause),+};)+
    };
    (@generate [$fixture:path] $($room:ident { $($clause:ident,)+ })+) => {
        $($(
            #[test]
            fn $clause() {
                $crate::__private::run(async {
                    let fixture = $fixture().await;
                    $crate::repo::$clause(&fixture).await;
                });
            }
        )+)+
    };
    ($fixture:path) => { $crate::order_repo_clauses! { @each generate [$fixture] } };
}

order_repo_clauses! { @each reexport [] }
