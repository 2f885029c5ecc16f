//! What distance providers over HTTP share.
//!
//! A provider implements [`DistanceApi`]: what it sends for a route, and what a response means.
//! [`HttpDistanceProvider`] makes a [`DistanceProvider`](order_domain::DistanceProvider) of it, with
//! one pool of connections, deadlines, and limits for the time when the provider is slow or down.
//!
//! * `api`: the trait
//! * `provider`: a call, from its place in the queue to its outcome
//! * `circuit`: the circuit breaker
//! * `concurrency`: how many calls run and wait at the same time
//! * `response`: reads and decodes a body of bounded length
//! * `error`: why a call has no outcome
//! * `endpoint`, `redact`, `throttle`: URLs, texts and log lines without secrets
//!
//! Deliberately absent: a cache (terms of providers restrict storing results), the sharing of
//! concurrent calls (`order-domain`), and the logging of errors, which happens once, where they are
//! handled.

mod api;
mod circuit;
mod concurrency;
mod endpoint;
mod error;
mod provider;
mod redact;
mod response;
mod throttle;

pub use api::DistanceApi;
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use error::{BuildError, CallError, InvalidResponse};
pub use provider::HttpDistanceProvider;
pub use redact::redact;
pub use reqwest::{Client, RequestBuilder, StatusCode, Url, header::HeaderValue};
pub use response::{Response, single};
pub use throttle::Throttle;
