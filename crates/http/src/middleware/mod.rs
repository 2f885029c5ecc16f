//! The middleware around the endpoints, one file each. [`routes`](crate::routes) has their order.

mod access_log;
mod catch_panic;
mod common_headers;
mod compression;
mod deadline;
mod error_format;
mod request_id;
mod response;

pub(crate) use access_log::access_log;
pub(crate) use catch_panic::catch_panic;
pub(crate) use common_headers::common_headers;
pub(crate) use compression::compression;
pub(crate) use deadline::deadline;
pub(crate) use error_format::error_format;
pub(crate) use request_id::request_id;
