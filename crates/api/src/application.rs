//! The wiring: which adapter serves which port, and the life of the service around it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use order_distance_geodesic::GeodesicDistanceProvider;
use order_distance_google::GoogleDistanceProvider;
use order_domain::{DistanceProvider, OrderRepo, Orders};
use order_http::{BoundServer, Limits};
use order_repo_postgres::PgOrderRepo;
use order_repo_sqlite::SqliteOrderRepo;

use crate::settings::{DatabaseSettings, DistanceSettings, Settings};

/// How long requests in flight may take to finish when the service stops.
const SHUTDOWN: Duration = Duration::from_secs(15);

/// The service, with its database open and its address taken, ready to run.
pub struct Application {
    bound: BoundServer,
}

impl Application {
    /// Opens the database, applies pending migrations, and listens.
    ///
    /// # Errors
    /// When the database cannot be opened or the address cannot be had.
    pub async fn build(settings: &Settings) -> anyhow::Result<Self> {
        let repo = open_repo(&settings.database).await?;
        let orders = Orders::new(repo, distance_provider(&settings.distance)?);
        let limits = Limits { workers: settings.workers, shutdown: SHUTDOWN };
        let bound = order_http::bind(settings.listen, orders, limits)
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        tracing::info!(
            listen.address = %bound.address,
            repository = %settings.database,
            distance.provider = %settings.distance,
            "order-api is listening"
        );
        Ok(Self { bound })
    }

    /// Where it listens, with the port that the system chose if it was asked to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.bound.address
    }

    /// Serves until `stop` is done; then accepts nothing more and finishes what is in flight.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut server = self.bound.server;
        let handle = server.handle();
        tokio::select! {
            ended = &mut server => return ended.context("the server failed"),
            () = stop => tracing::info!("stopping: requests in flight are finished"),
        }
        let (ended, ()) = tokio::join!(server, handle.stop(true));
        ended.context("the server failed")
    }
}

/// Opens the database, or creates it, and applies pending migrations.
async fn open_repo(settings: &DatabaseSettings) -> anyhow::Result<Arc<dyn OrderRepo>> {
    let settings = settings.clone();
    let opening = move || -> anyhow::Result<Arc<dyn OrderRepo>> {
        Ok(match settings {
            DatabaseSettings::Sqlite { path } => Arc::new(SqliteOrderRepo::open(&path)?),
            DatabaseSettings::Postgres { database, pool_size } => {
                Arc::new(PgOrderRepo::open(&database, pool_size)?)
            }
        })
    };
    tokio::task::spawn_blocking(opening).await?
}

/// Creates the database if it is missing, and applies pending migrations. Blocks.
pub(crate) fn migrate(settings: &DatabaseSettings) -> anyhow::Result<()> {
    match settings {
        DatabaseSettings::Sqlite { path } => Ok(SqliteOrderRepo::migrate(path)?),
        DatabaseSettings::Postgres { database, .. } => Ok(PgOrderRepo::migrate(database)?),
    }
}

fn distance_provider(settings: &DistanceSettings) -> anyhow::Result<Arc<dyn DistanceProvider>> {
    Ok(match settings {
        DistanceSettings::Geodesic => {
            tracing::warn!(
                "distances are estimates: the shortest line on the globe, not the way by road"
            );
            Arc::new(GeodesicDistanceProvider::new())
        }
        DistanceSettings::Google { endpoint, key } => {
            Arc::new(GoogleDistanceProvider::new(endpoint.clone(), key.clone())?)
        }
    })
}
