//! The middleware around the endpoints, one file each. [`routes`](crate::routes) has their order.

pub(crate) mod access_log;
pub(crate) mod catch_panic;
pub(crate) mod common_headers;
pub(crate) mod compression;
pub(crate) mod deadline;
pub(crate) mod error_format;
pub(crate) mod request_id;
mod response;
