mod batches;
mod cells;
mod corruption;
mod failover;
mod faults;
mod fixture;
mod locks;
mod opening;
mod poolers;
mod readiness;
mod stalls;

mod clauses {
    order_conformance::order_repo_clauses!(crate::on_postgres::fixture::fixture);
    order_conformance::sql_repo_clauses!(crate::on_postgres::fixture::fixture);
}
