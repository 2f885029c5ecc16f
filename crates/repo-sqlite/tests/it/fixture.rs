//! A database file in a directory of its own, and ways around the repository into it.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use diesel::{connection::SimpleConnection, prelude::*};
use order_conformance::repo::RepoFixture;
pub(crate) use order_conformance::repo::fixtures::{key, keyed, new_order, newest};
use order_domain::{NewOrder, OrderId, OrderRepo, PlaceOutcome, PlacedOrder, Take};
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

    /// A connection that knows nothing of the repository, as another program would have.
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

pub(crate) async fn place(repo: &SqliteOrderRepo, order: NewOrder) -> PlacedOrder {
    match repo.place(order).await.unwrap() {
        PlaceOutcome::Placed(placed) => placed,
        PlaceOutcome::KeyUsed(earlier) => panic!("its key had already made {earlier:?}"),
    }
}

pub(crate) fn wish(id: OrderId) -> Take {
    Take { id, key: None }
}
