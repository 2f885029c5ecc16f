//! The statement that reports whether the database accepts changes.

use std::sync::Arc;

use diesel::{
    prelude::*,
    result::{DatabaseErrorKind, Error as QueryError},
    sql_types::{Bool, Nullable, Text},
};
use order_domain::StoreStatus;

use crate::{
    error::{Outcomes, StoreError},
    open::{has_migrations_table, known_versions},
    statement::statement,
};

statement! {
    /// Reports whether all known migrations are applied, whether this session is read-only, whether
    /// a new session is, and whether the role has the privileges that the statements need. No
    /// policy of row security may apply, because one can hide any row and reject any change.
    ///
    /// A session keeps the settings of its database and its role from the time when it began, so
    /// only the catalog shows what a new session receives. The column is null if this session
    /// cannot read it. A setting in the connection's address takes precedence over both.
    ///
    /// The statement reads catalogs only, so it does not wait for locks on the tables of orders.
    ReportStatus {
        versions: Text => String,
    } -> (Bool, Bool, Nullable<Bool>, Nullable<Bool>),
    "WITH known AS ( \
         SELECT version FROM unnest(",
    ") AS known (version) \
     ), schema AS ( \
         SELECT NOT EXISTS ( \
             SELECT FROM known WHERE version NOT IN ( \
                 SELECT version FROM __diesel_schema_migrations \
             ) \
         ) AS is_up_to_date \
     ), needed (relation, privilege, columns) AS ( VALUES \
         ('orders', 'SELECT', '{id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, status, created_at, taken_at, take_key, \
             ctid}'::text[]), \
         ('orders', 'INSERT', '{id, origin_latitude, origin_longitude, destination_latitude, \
             destination_longitude, distance, status, created_at, updated_at}'), \
         ('orders', 'UPDATE', '{status, updated_at, taken_at, take_key}'), \
         ('placement_keys', 'SELECT', '{key, order_id, created_at, ctid}'), \
         ('placement_keys', 'INSERT', '{key, order_id, created_at}'), \
         ('placement_keys', 'UPDATE', '{order_id, created_at}') \
     ), stored AS ( \
         SELECT split_part(entry, '=', 2)::boolean AS is_read_only \
         FROM pg_db_role_setting, unnest(setconfig) AS entry \
         WHERE split_part(entry, '=', 1) = 'default_transaction_read_only' \
             AND setdatabase IN ( \
                 0, (SELECT oid FROM pg_database WHERE datname = current_database())) \
             AND setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user)) \
         ORDER BY setrole <> 0 DESC, setdatabase <> 0 DESC \
         LIMIT 1 \
     ), session AS ( \
         SELECT setting::boolean AS is_read_only, source FROM pg_settings \
         WHERE name = 'default_transaction_read_only' \
     ) \
     SELECT schema.is_up_to_date, \
         current_setting('transaction_read_only')::boolean, \
         pg_is_in_recovery() OR CASE \
             WHEN session.source IN ('client', 'session') THEN session.is_read_only \
             WHEN stored.is_read_only IS NOT NULL THEN stored.is_read_only \
             WHEN session.source IN ('global', 'database', 'user', 'database user') THEN NULL \
             ELSE session.is_read_only \
         END, \
         CASE WHEN schema.is_up_to_date THEN ( \
             SELECT bool_and(has_column_privilege(relation, column_name, privilege)) \
             FROM needed, unnest(columns) AS column_name \
         ) AND has_table_privilege('placement_keys', 'DELETE') \
             AND NOT row_security_active('orders') AND NOT row_security_active('placement_keys') \
             AND has_sequence_privilege('orders_id_seq', 'USAGE, UPDATE') END \
     FROM schema CROSS JOIN session LEFT JOIN stored ON true"
}

#[derive(Queryable)]
struct Report {
    is_up_to_date: bool,
    session_is_read_only: bool,
    new_session_is_read_only: Option<bool>,
    has_privileges: Option<bool>,
}

/// Reports, in one round trip, whether the database accepts changes.
///
/// The outcome is [`StoreError::ReadOnly`] if only this session rejects changes: another one may
/// accept them.
pub(crate) fn check_status(
    connection: &mut PgConnection,
    requests: &[()],
) -> Outcomes<StoreStatus> {
    let status = report_status(connection);
    requests.iter().map(|()| status.clone()).collect()
}

fn report_status(connection: &mut PgConnection) -> Result<StoreStatus, StoreError> {
    let statement = ReportStatus { versions: known_versions() };
    let report = match statement.get_result::<Report>(connection) {
        Ok(report) => report,
        // Without this table the statement is invalid.
        Err(_) if matches!(has_migrations_table(connection), Ok(false)) => {
            return Ok(StoreStatus::MigrationsPending);
        }
        Err(error) => return Err(error.into()),
    };
    if !report.is_up_to_date {
        Ok(StoreStatus::MigrationsPending)
    } else if report.new_session_is_read_only == Some(true) {
        Ok(StoreStatus::ReadOnly)
    } else if report.session_is_read_only {
        Err(read_only_session())
    } else if report.has_privileges == Some(true) {
        Ok(StoreStatus::Ready)
    } else {
        Ok(StoreStatus::ReadOnly)
    }
}

fn read_only_session() -> StoreError {
    let text = "the session is read-only, by a setting that has changed since".to_owned();
    let kind = DatabaseErrorKind::ReadOnlyTransaction;
    StoreError::ReadOnly(Arc::new(QueryError::DatabaseError(kind, Box::new(text))))
}
