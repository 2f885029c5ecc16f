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
                an_order_reads_back_exactly,
                a_later_order_has_the_larger_id,
                equal_placements_without_a_key_make_different_orders,
                an_unknown_order_is_not_found,
                times_are_microseconds_since_the_epoch,
            }
            placement_keys {
                a_placement_key_replays,
                a_placement_key_with_another_route_tells_the_first_order,
                placement_keys_are_compared_exactly,
                a_failed_placement_frees_its_key,
                keys_of_placements_and_of_takes_are_apart,
            }
            taking {
                a_take_changes_one_order_and_only_its_state,
                a_taken_order_stays_as_it_was_taken,
                an_answered_change_shows_everywhere,
            }
            take_keys {
                the_winners_key_repeats_the_take,
                a_take_key_of_another_order_is_told_first,
                a_refused_take_leaves_its_key_free,
                take_keys_are_compared_exactly,
            }
            racing {
                an_order_is_taken_once,
                each_of_many_orders_is_taken_once,
                racers_on_one_placement_key_make_one_order,
                racers_with_one_take_key_are_one_take,
                one_take_key_takes_at_most_one_order,
                ids_are_unique_among_racers,
            }
            listing {
                the_list_is_newest_first,
                past_the_end_there_is_nothing,
                the_status_filter_shows_only_those,
                the_status_filter_follows_a_take,
                the_cursor_shows_every_order_once_while_others_place,
            }
            concurrency {
                calls_at_the_same_time_get_each_its_own_outcome,
                a_call_that_conflicts_fails_no_other,
                everybody_reads_what_they_were_answered,
            }
            cancellation {
                a_dropped_placement_leaves_all_or_nothing,
                a_dropped_take_leaves_all_or_nothing,
                dropped_reads_leave_room_for_others,
                a_dropped_call_takes_no_other_with_it,
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
