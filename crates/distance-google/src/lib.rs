//! Google's APIs for road distances, as a [`DistanceApi`](order_distance_http::DistanceApi).
//!
//! * `distance_matrix`: the Distance Matrix API, for keys of projects that have it
//! * `routes`: the Routes API, its successor, for every key
//! * `operator_hints`: log lines for operators, without the API key
//!
//! Deliberately absent: connections, retries and deadlines (`order-distance-http`), and settings
//! (`order-api` passes the endpoint and the key).

mod distance_matrix;
mod operator_hints;
mod routes;

pub use distance_matrix::DistanceMatrixApi;
pub use routes::RoutesApi;
