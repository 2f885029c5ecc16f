//! A new database, and sessions in it that bypass the repository.

use std::{
    fmt::Debug,
    num::NonZero,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
pub(crate) use order_conformance::repo::fixtures::{
    key, keyed, new_order, newest, take_with_key, take_without_key,
};
use order_conformance::repo::{Dialect, RepoFixture, SqlFixture, SqlSession};
use order_domain::{NewOrder, OrderRepo, PlaceOutcome, PlacedOrder};
use order_repo_postgres::{ConnectionInfo, OpenError, PgOrderRepo};
use order_test_postgres::{Session, TestDb};

use super::cells::restrict_ids;

pub(crate) struct Fixture {
    pub(crate) database: TestDb,
    /// The first id of the cell to which the database belongs, if it belongs to one.
    first_id: Option<i64>,
    /// Held while the ids are restricted, so that they are restricted once.
    restricting: Mutex<()>,
}

pub(crate) async fn fixture() -> Fixture {
    Fixture::new()
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { database: TestDb::new(), first_id: None, restricting: Mutex::default() }
    }

    /// A database of the cell whose first id this is.
    pub(crate) fn of_cell(first_id: i64) -> Self {
        Self { first_id: Some(first_id), ..Self::new() }
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::parse(&self.database.url()).unwrap()
    }

    pub(crate) fn open(&self) -> PgOrderRepo {
        open(&self.database.url(), 8)
    }

    /// Restricts the ids to those of the cell, if the database belongs to one.
    fn restrict_ids(&self) {
        if let Some(first) = self.first_id {
            let _restricting = self.restricting.lock().unwrap();
            restrict_ids(&mut self.raw(), first);
        }
    }

    /// A session of another program.
    pub(crate) fn raw(&self) -> Session {
        self.database.session()
    }
}

#[async_trait]
impl RepoFixture for Fixture {
    async fn repo(&self) -> Arc<dyn OrderRepo> {
        let repo = self.open();
        self.restrict_ids();
        Arc::new(repo)
    }
}

impl SqlFixture for Fixture {
    fn another(&self) -> Box<dyn SqlFixture> {
        Box::new(Self { first_id: self.first_id, ..Self::new() })
    }

    fn create(&self) {
        self.database.create();
    }

    fn migrate(&self) -> Result<(), Box<dyn Debug>> {
        PgOrderRepo::migrate(&self.info()).map_err(|error| Box::new(error) as Box<_>)?;
        self.restrict_ids();
        Ok(())
    }

    fn revert_migrations(&self) {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
        let files = || FileBasedMigrations::from_path(directory).unwrap();
        let mut session = self.raw();
        let connection = session.connection();
        assert!(!connection.has_pending_migration(files()).unwrap(), "one is not compiled in");
        connection.revert_all_migrations(files()).unwrap();
    }

    fn schema(&self) -> String {
        self.raw().text(
            "SELECT coalesce(string_agg(line, E'\\n' ORDER BY line), '') FROM ( \
                 SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' \
                 UNION ALL SELECT 'constraint ' || conrelid::regclass || pg_get_constraintdef(oid) \
                     FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
                 UNION ALL SELECT 'column ' || table_name || '.' || column_name || ' ' \
                     || data_type || ' ' || is_nullable \
                     FROM information_schema.columns WHERE table_schema = 'public' \
                 UNION ALL SELECT 'sequence ' || sequencename || max_value || cache_size \
                     FROM pg_sequences WHERE schemaname = 'public' \
                 UNION ALL SELECT 'relation ' || relname \
                     FROM pg_class WHERE relnamespace = 'public'::regnamespace \
             ) AS lines (line) WHERE line NOT LIKE '%\\_\\_diesel%'",
        )
    }

    fn session(&self) -> SqlSession {
        let mut session = self.raw();
        SqlSession::new(move |sql| session.try_to_execute(sql))
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            time: |seconds| format!("to_timestamp({seconds})"),
            interval: |time| format!("interval '{} microseconds'", time.as_micros()),
            overriding: "OVERRIDING SYSTEM VALUE",
            ignore_checks: "
                DO $$ DECLARE c name; BEGIN
                    FOR c IN SELECT conname FROM pg_constraint
                        WHERE conrelid = 'orders'::regclass AND contype = 'c'
                    LOOP EXECUTE format('ALTER TABLE orders DROP CONSTRAINT %I', c); END LOOP;
                END $$;",
            corruptions: &[
                "destination_longitude = 'NaN'",
                "created_at = '-infinity'",
                "created_at = 'infinity'",
                "created_at = '0002-12-31 BC'",
                "created_at = '10000-01-02'",
                "status = 'TAKEN', taken_at = 'infinity'",
                "status = 'TAKEN', taken_at = '-infinity'",
            ],
            rejected: &[],
        }
    }
}

/// Opens the database at an address, with a number of connections.
pub(crate) fn open(url: &str, connections: u32) -> PgOrderRepo {
    try_open(url, connections).unwrap()
}

pub(crate) fn try_open(url: &str, connections: u32) -> Result<PgOrderRepo, OpenError> {
    PgOrderRepo::open(&ConnectionInfo::parse(url).unwrap(), NonZero::new(connections).unwrap())
}

pub(crate) async fn place(repo: &PgOrderRepo, order: NewOrder) -> PlacedOrder {
    match repo.place(order).await.unwrap() {
        PlaceOutcome::Placed(placed) => placed,
        PlaceOutcome::KeyUsed(earlier) => panic!("the key was used for {earlier:?}"),
    }
}
