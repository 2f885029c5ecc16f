//! The wiring: which adapter serves which port, and the life of the service around it.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use order_distance_geodesic::GeodesicDistanceProvider;
use order_distance_google::GoogleDistanceProvider;
use order_domain::{DistanceProvider, OrderRepo, Readiness};
use order_http::{Api, Ports};
use order_http_server::{Limits, Server};
use order_metrics::{
    ConnectionUse, MeteredDistanceProvider, MeteredOrderRepo, Registry, register_connections,
    register_dropped_log_lines,
};
use order_repo_postgres::PgOrderRepo;
use order_repo_sqlite::SqliteOrderRepo;

use crate::{
    logging,
    settings::{DatabaseSettings, DistanceSettings, Settings},
};

/// The service, with its database open and its address taken, ready to run.
pub struct Application {
    api: Api,
    server: Server,
}

impl Application {
    /// Opens the database, applies pending migrations, and listens.
    ///
    /// # Errors
    /// When the database cannot be opened or the address cannot be had.
    pub async fn build(settings: &Settings) -> anyhow::Result<Self> {
        let registry = order_metrics::registry(env!("CARGO_PKG_VERSION"));
        register_dropped_log_lines(&registry, logging::dropped_lines);
        let distances = distance_provider(&settings.distance)?;
        let opened = open_repo(&settings.database, &registry).await?;
        let ports = Ports {
            repo: Arc::new(MeteredOrderRepo::new(opened.repo, &registry)),
            distances: Arc::new(MeteredDistanceProvider::new(distances, &registry)),
            readiness: opened.readiness,
        };
        let limits = Limits {
            workers: settings.workers,
            max_connections: settings.max_connections,
            drain: settings.shutdown_drain,
            request_timeout: settings.request_timeout,
        };
        let api = Api::new(ports, registry, settings.request_timeout);
        let served = api.clone();
        let app = move || order_http::app(&served);
        let server = Server::bind(settings.listen, limits, api.connection_metrics(), app)
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        tracing::info!(
            listen.address = %server.address(),
            repository = %settings.database,
            distance.provider = %settings.distance,
            connections.limit = limits.max_connections,
            "order-api is listening"
        );
        Ok(Self { api, server })
    }

    /// Where it listens, with the port that the system chose if it was asked to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Serves until `stop` is done; then accepts nothing more, after the drain, and finishes what
    /// is in flight.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { api, server } = self;
        let stop = async {
            stop.await;
            api.begin_shutdown();
            tracing::info!("stopping: requests in flight are finished");
        };
        server.run(stop).await.context("the server failed")
    }
}

/// A database that is open, by all that it does.
struct Opened {
    repo: Arc<dyn OrderRepo>,
    readiness: Arc<dyn Readiness>,
}

impl Opened {
    /// Shows how the connections of `repo` are used, as it tells it itself.
    fn new<R: OrderRepo + Readiness + 'static>(
        repo: R,
        connections: fn(&R) -> order_repo_postgres::ConnectionUse,
        registry: &Registry,
    ) -> Self {
        let repo = Arc::new(repo);
        let seen = Arc::clone(&repo);
        register_connections(registry, move || {
            let seen = connections(&seen);
            let (idle, busy) = (seen.idle, seen.busy);
            ConnectionUse { idle, busy, limit: seen.limit, waiting: seen.waiting }
        });
        Self { repo: Arc::clone(&repo) as _, readiness: repo }
    }
}

/// Opens the database, or creates it, and applies pending migrations.
async fn open_repo(settings: &DatabaseSettings, registry: &Registry) -> anyhow::Result<Opened> {
    let (settings, registry) = (settings.clone(), registry.clone());
    let opening = move || -> anyhow::Result<Opened> {
        Ok(match settings {
            DatabaseSettings::Sqlite { path } => {
                let repo = SqliteOrderRepo::open(&path)?;
                Opened::new(repo, SqliteOrderRepo::connections, &registry)
            }
            DatabaseSettings::Postgres { database, pool_size } => {
                let repo = PgOrderRepo::open(&database, pool_size)?;
                Opened::new(repo, PgOrderRepo::connections, &registry)
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
