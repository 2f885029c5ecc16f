//! Wiring: builds the adapters that the settings choose, and the server on top of them.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use order_distance_geodesic::GeodesicDistanceProvider;
use order_distance_google::{DistanceMatrixApi, RoutesApi};
use order_distance_http::{DistanceApi, HttpDistanceProvider};
use order_distance_osrm::OsrmApi;
use order_domain::{DistanceProvider, OrderRepo, PoolStatus, Readiness};
use order_http::{AppState, Ports};
use order_http_server::{Limits, Server};
use order_metrics::{
    MeteredDistanceProvider, MeteredOrderRepo, Registry, register_connections,
    register_dropped_log_lines, register_provider,
};
use order_repo_postgres::PgOrderRepo;
use order_repo_sqlite::SqliteOrderRepo;

use crate::{
    logging::LogGuard,
    settings::{DatabaseSettings, DistanceSettings, Settings},
};

/// The service with an open database and a bound address, ready to run.
pub struct Application {
    state: Arc<AppState>,
    server: Server,
}

impl Application {
    /// Opens the database, applies pending migrations, and listens.
    ///
    /// # Errors
    /// When the database cannot be opened or the address cannot be bound.
    pub async fn build(settings: &Settings, log: &LogGuard) -> anyhow::Result<Self> {
        let registry = order_metrics::registry(env!("CARGO_PKG_VERSION"));
        register_dropped_log_lines(&registry, log.dropped_lines());
        let distances = distance_provider(&settings.distance, &registry)?;
        let (repo, readiness) = open_repo(&settings.database, &registry).await?;
        let ports = Ports {
            repo: Arc::new(MeteredOrderRepo::new(repo, &registry)),
            distances: Arc::new(MeteredDistanceProvider::new(distances, &registry)),
            readiness,
        };
        let limits = Limits {
            workers: settings.workers,
            max_connections: settings.max_connections,
            drain: settings.shutdown_drain,
            request_timeout: settings.request_timeout,
        };
        let state = AppState::new(ports, registry, settings.request_timeout);
        let app_state = Arc::clone(&state);
        let app = move || order_http::app(&app_state);
        let server = Server::bind(settings.listen, limits, state.connection_metrics(), app)
            .with_context(|| format!("cannot listen on {}", settings.listen))?;
        tracing::info!(
            listen.address = %server.local_addr(),
            repository = %settings.database,
            distance.provider = %settings.distance,
            connections.limit = limits.max_connections,
            "order-api is listening"
        );
        Ok(Self { state, server })
    }

    /// The bound address. It has the port that the system chose if the settings have port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Serves until `stop` is ready. Then drains, stops accepting, and finishes the requests in
    /// flight.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn run_until_stopped(self, stop: impl Future) -> anyhow::Result<()> {
        let Self { state, server } = self;
        let stop = async {
            stop.await;
            state.begin_shutdown();
            tracing::info!("stopping: finishing the requests in flight");
        };
        server.run(stop).await.context("the server failed")
    }
}

/// An open repository by the ports that it implements.
type OpenRepo = (Arc<dyn OrderRepo>, Arc<dyn Readiness>);

/// Registers metrics of the repository's connections. Returns the repository by its ports.
fn register_repo<R: OrderRepo + Readiness + 'static>(
    repo: R,
    pool_status: fn(&R) -> PoolStatus,
    registry: &Registry,
) -> OpenRepo {
    let repo = Arc::new(repo);
    let measured = Arc::clone(&repo);
    register_connections(registry, move || pool_status(&measured));
    (Arc::clone(&repo) as _, repo)
}

/// Opens the database on a blocking thread. Creates it if it is missing, and applies pending
/// migrations.
async fn open_repo(settings: &DatabaseSettings, registry: &Registry) -> anyhow::Result<OpenRepo> {
    let (settings, registry) = (settings.clone(), registry.clone());
    let opening = move || -> anyhow::Result<OpenRepo> {
        Ok(match settings {
            DatabaseSettings::Sqlite { path } => {
                let repo = SqliteOrderRepo::open(&path)?;
                register_repo(repo, SqliteOrderRepo::pool_status, &registry)
            }
            DatabaseSettings::Postgres { database, pool_size } => {
                let repo = PgOrderRepo::open(&database, pool_size)?;
                register_repo(repo, PgOrderRepo::pool_status, &registry)
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

fn distance_provider(
    settings: &DistanceSettings,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn DistanceProvider>> {
    Ok(match settings.clone() {
        DistanceSettings::Geodesic => {
            tracing::warn!(
                "distances are great-circle estimates, not road distances; \
                 set GMAP_TOKEN or OSRM_URL for road distances"
            );
            Arc::new(GeodesicDistanceProvider::default())
        }
        DistanceSettings::Google { endpoint, key } => {
            over_http(DistanceMatrixApi::new(endpoint, key), registry)?
        }
        DistanceSettings::GoogleRoutes { endpoint, key } => {
            over_http(RoutesApi::new(endpoint, key), registry)?
        }
        DistanceSettings::Osrm { endpoint, snap_limit } => {
            over_http(OsrmApi::new(endpoint, snap_limit), registry)?
        }
    })
}

/// Creates a provider on an HTTP API, and registers its metrics.
fn over_http(
    api: impl DistanceApi,
    registry: &Registry,
) -> anyhow::Result<Arc<dyn DistanceProvider>> {
    let provider = Arc::new(HttpDistanceProvider::new(api)?);
    let measured = Arc::clone(&provider);
    register_provider(registry, move || measured.status());
    Ok(provider)
}
