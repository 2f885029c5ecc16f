//! What the statements for many members have in common.
//!
//! diesel has no words for them, and its `sql_query` is prepared anew each time. So each is a
//! fragment of a query of its own, with an identity by which diesel's cache knows it.

use diesel::QueryResult;
use order_domain::IdempotencyKey;
use order_repo_diesel::all_fail;

use crate::error::StoreError;

/// What a batch gives: one outcome for each member, in the order of the members. A row that
/// cannot be spoils the outcome of the member that met it, and no other.
pub(crate) type Outcomes<T> = Vec<Result<T, StoreError>>;

/// The outcomes of so many members that ask for one thing each, out of rows with their numbers.
pub(crate) fn each_its_row<R, T>(
    members: usize,
    rows: QueryResult<Vec<(i64, R)>>,
    read: impl Fn(R) -> Result<T, StoreError>,
) -> Outcomes<Option<T>> {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return all_fail(members, &error.into()),
    };
    let mut outcomes: Vec<_> = std::iter::repeat_with(|| Ok(None)).take(members).collect();
    for (n, row) in rows {
        outcomes[index(n)] = read(row).map(Some);
    }
    outcomes
}

/// What the planner is told on each connection: a table is reached by an index, however small it is
/// when a statement is planned. A plan is kept, and the table may grow by a factor of 1,000 before
/// statistics are gathered again.
pub(crate) const PLANNER_SETTINGS: &str = "SET enable_seqscan = off";

/// Which member it is that a statement knows by this number.
pub(crate) fn index(n: i64) -> usize {
    usize::try_from(n - 1).expect("ordinality begins at 1")
}

/// A key as an entry of an array.
pub(crate) fn entry(key: Option<&IdempotencyKey>) -> Option<String> {
    key.map(|key| key.as_str().to_owned())
}

/// Makes the type of a statement: arrays with one entry for each member go in, rows come out.
///
/// The text is in two parts. Between them stand the arrays, as the arguments of `unnest`.
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
