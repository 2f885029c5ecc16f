//! A database of its own, and ways around the repository into it.

use std::{num::NonZero, sync::Arc};

use async_trait::async_trait;
use order_conformance::repo::RepoFixture;
pub(crate) use order_conformance::repo::fixtures::{key, keyed, new_order, newest};
use order_domain::{NewOrder, OrderId, OrderRepo, PlaceOutcome, PlacedOrder, Take};
use order_repo_postgres::{ConnectionInfo, PgOrderRepo};
use order_test_postgres::{Session, TestDb};

pub(crate) struct Fixture {
    pub(crate) database: TestDb,
}

pub(crate) async fn fixture() -> Fixture {
    Fixture::new()
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self { database: TestDb::new() }
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        ConnectionInfo::parse(&self.database.url()).unwrap()
    }

    pub(crate) fn open(&self) -> PgOrderRepo {
        PgOrderRepo::open(&self.info(), NonZero::new(8).unwrap()).unwrap()
    }

    /// A session that knows nothing of the repository, as another program would have.
    pub(crate) fn raw(&self) -> Session {
        self.database.session()
    }
}

#[async_trait]
impl RepoFixture for Fixture {
    async fn repo(&self) -> Arc<dyn OrderRepo> {
        Arc::new(self.open())
    }
}

pub(crate) async fn place(repo: &PgOrderRepo, order: NewOrder) -> PlacedOrder {
    match repo.place(order).await.unwrap() {
        PlaceOutcome::Placed(placed) => placed,
        PlaceOutcome::KeyUsed(earlier) => panic!("its key had already made {earlier:?}"),
    }
}

pub(crate) fn wish(id: OrderId) -> Take {
    Take { id, key: None }
}
