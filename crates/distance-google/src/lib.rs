//! A [`DistanceProvider`](order_domain::DistanceProvider) on the Distance Matrix API of Google
//! Maps, which returns the road distance.
//!
//! * `endpoint`: the URL of the API
//! * `provider`: the HTTP client, retries and the deadline of a call
//! * `body`, `reply`: from the bytes of a response to an outcome
//! * `error`: why a call has no outcome
//! * `circuit`: a circuit breaker for `OVER_QUERY_LIMIT`
//! * `operator_hints`, `redact`: log lines for operators, without the API key
//!
//! Deliberately absent: a cache (Google's terms restrict storing results), the sharing of
//! concurrent calls (`order-domain`), settings (`order-api` passes the endpoint and the key), and
//! the logging of errors, which happens once, where they are handled.
//!
//! The API has the status *Legacy*: since October 2026 it cannot be enabled in new Cloud projects.
//! Existing projects keep it. Google documents it at
//! <https://developers.google.com/maps/documentation/distance-matrix/distance-matrix>.

mod body;
mod circuit;
mod endpoint;
mod error;
mod operator_hints;
mod provider;
mod redact;
mod reply;

pub use endpoint::{DEFAULT_ENDPOINT, Endpoint, InvalidEndpoint};
pub use error::BuildError;
pub use provider::GoogleDistanceProvider;
