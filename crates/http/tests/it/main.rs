//! The API over mocked ports: status, body and headers of every answer.

mod errors;
mod find;
mod headers;
mod list;
mod order_of_checks;
mod place;
mod support;
mod take;
