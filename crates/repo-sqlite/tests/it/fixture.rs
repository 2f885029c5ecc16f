//! A database file in a new directory, and connections to it that bypass the repository.

use std::{fmt::Debug, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use diesel::{connection::SimpleConnection, prelude::*, sql_types::Text};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
pub(crate) use order_conformance::repo::fixtures::{new_order, take_without_key};
use order_conformance::repo::{Dialect, RepoFixture, SqlFixture, SqlSession};
use order_domain::{NewOrder, OrderRepo, PlaceOutcome, PlacedOrder};
use order_repo_sqlite::SqliteOrderRepo;
use tempfile::TempDir;

pub(crate) struct Fixture {
    directory: TempDir,
}

pub(crate) async fn fixture() -> Fixture {
    Fixture::new()
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("orders.db")
    }

    pub(crate) fn open(&self) -> SqliteOrderRepo {
        SqliteOrderRepo::open(&self.path()).unwrap()
    }

    /// A connection of another program.
    pub(crate) fn raw(&self) -> SqliteConnection {
        let mut raw = SqliteConnection::establish(self.path().to_str().unwrap()).unwrap();
        raw.batch_execute("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON").unwrap();
        raw
    }
}

#[async_trait]
impl RepoFixture for Fixture {
    async fn repo(&self) -> Arc<dyn OrderRepo> {
        Arc::new(self.open())
    }
}

impl SqlFixture for Fixture {
    fn another(&self) -> Box<dyn SqlFixture> {
        Box::new(Self::new())
    }

    /// The first connection creates the file.
    fn create(&self) {}

    fn migrate(&self) -> Result<(), Box<dyn Debug>> {
        SqliteOrderRepo::migrate(&self.path()).map_err(|error| Box::new(error) as _)
    }

    fn revert_migrations(&self) {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/sqlite");
        let files = || FileBasedMigrations::from_path(directory).unwrap();
        let mut raw = self.raw();
        assert!(!raw.has_pending_migration(files()).unwrap(), "one is not compiled in");
        raw.revert_all_migrations(files()).unwrap();
    }

    fn schema(&self) -> String {
        #[derive(QueryableByName)]
        struct Item {
            #[diesel(sql_type = Text)]
            sql: String,
        }
        let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
                     AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND name NOT LIKE 'sqlite%' \
                     ORDER BY name";
        let items: Vec<Item> = diesel::sql_query(query).load(&mut self.raw()).unwrap();
        items.into_iter().map(|item| item.sql).collect()
    }

    fn session(&self) -> SqlSession {
        let mut raw = self.raw();
        SqlSession::new(move |sql| raw.batch_execute(sql).map_err(|error| error.to_string()))
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            time: |seconds| format!("{seconds}000000"),
            interval: |time| time.as_micros().to_string(),
            overriding: "",
            ignore_checks: "PRAGMA ignore_check_constraints = ON;",
            corruptions: &[
                "created_at = -9223372036854775808",
                "created_at = 9223372036854775807",
                "created_at = -62167219200000001",
                "created_at = 253402300800000000",
                "status = 'TAKEN', taken_at = 9223372036854775807",
            ],
            rejected: &[
                ("origin_latitude", "x'00'"),
                ("origin_longitude", "x'00'"),
                ("destination_latitude", "x'00'"),
                ("destination_longitude", "x'00'"),
                ("distance", "x'00'"),
                ("distance", "1.5"),
                ("status", "x'00'"),
                ("created_at", "x'00'"),
                ("updated_at", "x'00'"),
                ("taken_at", "x'00'"),
                ("take_key", "x'00'"),
            ],
        }
    }
}

pub(crate) async fn place(repo: &SqliteOrderRepo, order: NewOrder) -> PlacedOrder {
    match repo.place(order).await.unwrap() {
        PlaceOutcome::Placed(placed) => placed,
        PlaceOutcome::KeyUsed(earlier) => panic!("the key was used for {earlier:?}"),
    }
}
