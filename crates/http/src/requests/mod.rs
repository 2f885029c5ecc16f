//! Reads what clients send, once, at the door.
//!
//! Each request is an extractor, so that a handler gets values of the domain or is not called.
//! All that is wrong in a request is named together. `validator` guards the shape (what must be
//! there, of which JSON type); the meaning (what a latitude is) is the domain's.

mod body;
mod find_order;
mod list_orders;
mod parameters;
mod place_order;
mod take_order;

pub(crate) use find_order::FindOrder;
pub(crate) use list_orders::ListOrders;
pub(crate) use parameters::IDEMPOTENCY_KEY;
pub(crate) use place_order::{PlaceOrder, PlaceOrderBody};
pub(crate) use take_order::{TakeOrder, TakeOrderBody};

use std::borrow::Cow;

use crate::problem::{Fault, Problem};

/// A name that a client made up, as a sentence shows it: also an empty one can be seen.
fn shown(name: &str) -> &str {
    if name.is_empty() { "\"\"" } else { name }
}

/// How much of a name that a client made up is repeated. Those that are known have 11 at most.
const MAX_NAME_CHARS: usize = 64;

/// The beginning of a name that a client made up, so that a response is not as long as its request.
fn shortened(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(MAX_NAME_CHARS) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// What is wrong in a request, gathered while it is read.
#[derive(Debug, Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Keeps the value, or what is wrong with it.
    fn check<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Keeps the value, or all that is wrong with it.
    fn check_all<T>(&mut self, result: Result<T, Vec<Fault>>) -> Option<T> {
        result.map_err(|faults| self.0.extend(faults)).ok()
    }

    /// The parts of the request, if nothing at all is wrong with it.
    fn none_or_refuse<T>(self, parts: Option<T>) -> Result<T, Problem> {
        match parts {
            Some(parts) if self.0.is_empty() => Ok(parts),
            _ => Err(Problem::invalid(self.0)),
        }
    }
}
