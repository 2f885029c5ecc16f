//! The clauses of [`OrderRepo`].
//!
//! [`order_repo_clauses!`](crate::order_repo_clauses) generates tests of clauses that use only the
//! port, [`sql_repo_clauses!`](crate::sql_repo_clauses) those that also use the SQL database below
//! it. [`disconnects`] has clauses for stores that are reached over connections.

mod cancellation;
mod concurrency;
mod corruption;
pub mod disconnects;
mod expiry;
pub mod fixtures;
mod listing;
mod locks;
mod opening;
mod placement_keys;
mod placing;
mod racing;
mod schema;
mod sql;
mod take_keys;
mod taking;

use std::sync::Arc;

use async_trait::async_trait;
use order_domain::OrderRepo;
pub use sql::{Dialect, SqlFixture, SqlSession};

/// An empty store for one test, which lasts until this value is dropped.
#[async_trait]
pub trait RepoFixture: Send + Sync {
    /// Opens one more repository on the store. It shares nothing but the store with the others, as
    /// if another process had opened it.
    async fn repo(&self) -> Arc<dyn OrderRepo>;
}

/// Generates one test for each clause of [`OrderRepo`].
///
/// The argument is the path of an `async fn() -> impl RepoFixture`. Each test calls it once.
#[macro_export]
macro_rules! order_repo_clauses {
    // The list of clauses. A clause that is missing here is dead code, which is a warning.
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
    (@reexport [] $($module:ident { $($clause:ident,)+ })+) => {
        $(pub use $module::{$($clause),+};)+
    };
    (@generate [$fixture:path] $($module:ident { $($clause:ident,)+ })+) => {
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

/// Generates one test for each clause of an [`OrderRepo`] on an SQL database.
///
/// The argument is the path of an `async fn() -> impl SqlFixture`. Each test calls it once.
#[macro_export]
macro_rules! sql_repo_clauses {
    // The list of clauses. A clause that is missing here is dead code, which is a warning.
    (@each $action:ident $argument:tt) => {
        $crate::order_repo_clauses! { @$action $argument
            opening {
                reopened_store_keeps_orders_and_keys,
                threads_open_one_new_store_concurrently,
                failed_migration_leaves_the_tables_unchanged,
            }
            schema {
                migrations_run_up_down_and_up_again,
                newer_schema_is_accepted,
                tables_reject_invalid_rows,
            }
            expiry {
                placement_key_is_remembered_for_24_hours,
                expired_key_is_unknown_before_it_is_deleted,
                take_key_never_expires,
            }
            corruption {
                row_that_violates_a_domain_rule_is_corrupt,
                store_without_its_tables_is_unavailable,
            }
            locks {
                lock_does_not_delay_outcomes_without_a_change,
            }
        }
    };
    ($fixture:path) => {
        $crate::sql_repo_clauses! { @each generate [$fixture] }
    };
}

sql_repo_clauses! { @each reexport [] }
