//! The REST API: routes, wire formats, errors.
//!
//! A request is parsed once, at the door ([`requests`](self)), answered by one verb of
//! [`Orders`](order_domain::Orders), and rendered. Deliberately absent: what an order is and
//! every rule about it (`order-domain`), where orders are kept, who knows distances, settings
//! and signals (`order-api`).
//!
//! * `routes` says which paths exist, `handlers` what they do;
//! * `requests` reads what clients send: shape by `validator`, meaning by the domain;
//! * `views` and `links` write what clients get;
//! * `code` is the table of errors, `problem` an error in both its forms;
//! * `openapi` is all of this as a document, `docs` the page that shows it;
//! * `headers` reads lists in headers;
//! * `finish` gives each answer its form, headers and compression, by what `negotiation` reads of
//!   a client's wishes, and its `request_id`; and an answer to a request that takes too long, by
//!   its `progress`;
//! * `account` says of each request what became of it, in the log and in `metrics`;
//! * `api` is what all requests share, `probe` whether it is ready.

mod account;
mod api;
mod code;
mod docs;
mod finish;
mod handlers;
mod headers;
mod links;
mod metrics;
mod negotiation;
mod openapi;
mod probe;
mod problem;
mod progress;
mod request_id;
mod requests;
mod routes;
mod views;

pub use api::{Api, Ports};
pub use openapi::openapi_document;
pub use routes::app;
