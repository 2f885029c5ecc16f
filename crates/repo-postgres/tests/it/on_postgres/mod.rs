mod batches;
mod corruption;
mod expiry;
mod faults;
mod fixture;
mod locks;
mod opening;
mod poolers;
mod readiness;
mod stalls;
mod tables;

/// The law of the port. How long a key is remembered is in `expiry`.
mod law {
    order_conformance::order_repo_clauses!(crate::on_postgres::fixture::fixture);
}
