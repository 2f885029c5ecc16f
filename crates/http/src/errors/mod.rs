//! Errors of the API: the table of codes, the faults of a request, and the two formats.

mod code;
mod format;
mod problem;
mod violation;

pub(crate) use code::ErrorCode;
pub(crate) use format::{ErrorFormat, PROBLEM_JSON};
pub(crate) use problem::{ErrorResponse, Problem, ProblemResponse, error_chain};
pub(crate) use violation::{Location, Violation, Violations, display_name, shorten};
