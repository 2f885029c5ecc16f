//! Statements that serve many requests: a macro that defines their types, and helpers.
//!
//! diesel's query builder cannot express them, and diesel does not cache `sql_query` as a prepared
//! statement. So each statement is a type with a `QueryId`, by which diesel's cache finds it.

use diesel::QueryResult;
use order_domain::IdempotencyKey;
use order_repo_diesel::{fail_all, rows::CorruptRow};

use crate::error::{Outcomes, StoreError};

/// Assigns rows to requests by the request's number, which each row begins with. A request without
/// a row has the outcome `None`.
pub(crate) fn rows_by_request<R, T>(
    requests: usize,
    rows: QueryResult<Vec<(i64, R)>>,
    convert: impl Fn(R) -> Result<T, CorruptRow>,
) -> Outcomes<Option<T>> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return fail_all(requests, &error.into()),
    };
    let mut outcomes: Vec<_> = std::iter::repeat_with(|| Ok(None)).take(requests).collect();
    for (n, row) in rows {
        outcomes[index(n)] = convert(row).map(Some).map_err(StoreError::from);
    }
    outcomes
}

/// The planner settings of each connection: tables are read by an index, however small they are
/// when a statement is planned. A plan is cached, and the table may grow by a factor of 1,000
/// before statistics are gathered again.
pub(crate) const PLANNER_SETTINGS: &str = "SET enable_seqscan = off";

/// The index of a request, from its number in a statement, which begins at 1.
pub(crate) fn index(n: i64) -> usize {
    usize::try_from(n - 1).expect("ordinality begins at 1")
}

/// The text of a key, as an entry of an array.
pub(crate) fn key_text(key: Option<&IdempotencyKey>) -> Option<String> {
    key.map(|key| key.as_str().to_owned())
}

/// Defines the type of a statement. Its fields are arrays with one entry for each request.
///
/// The SQL is in two parts. The arrays are bound between them, as the arguments of `unnest`.
macro_rules! statement {
    (
        $(#[$doc:meta])*
        $name:ident { $first:ident: $first_type:ty => $first_entry:ty,
            $($array:ident: $sql_type:ty => $entry:ty,)* } -> $row:ty,
        $before:expr, $after:expr
    ) => {
        $(#[$doc])*
        #[derive(diesel::query_builder::QueryId)]
        pub(crate) struct $name {
            pub(crate) $first: Vec<$first_entry>,
            $(pub(crate) $array: Vec<$entry>,)*
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $row;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                use diesel::sql_types::Array;
                out.push_sql($before);
                out.push_bind_param::<Array<$first_type>, _>(&self.$first)?;
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<Array<$sql_type>, _>(&self.$array)?;
                )*
                out.push_sql($after);
                Ok(())
            }
        }

        impl diesel::RunQueryDsl<diesel::PgConnection> for $name {}
    };
}
pub(crate) use statement;
