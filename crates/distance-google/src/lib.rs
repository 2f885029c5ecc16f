//! A [`DistanceProvider`](order_domain::DistanceProvider) on Google Maps: the length of the road,
//! as the Distance Matrix API tells it.
//!
//! `endpoint` says where Google is, `provider` asks (one client, tries, a deadline), `reply` reads
//! the answer, `error` sorts what went wrong, `circuit` stops asking when Google wants to be left
//! alone, `cures` and `scrub` log what an operator can mend, without the key.
//!
//! Deliberately absent: a cache (Google's terms restrict storing results; sharing of questions is
//! a decorator's work), settings (the composition root hands over endpoint and key), and the
//! logging of causes, which happens once, where an error stops.
//!
//! The API has the status *Legacy*: since October 2026 it cannot be enabled in new Cloud projects,
//! existing ones go on. Google documents it at
//! <https://developers.google.com/maps/documentation/distance-matrix/distance-matrix>.

mod circuit;
mod coding;
mod cures;
mod endpoint;
mod error;
mod provider;
mod reply;
mod scrub;

pub use endpoint::{DEFAULT_ENDPOINT, Endpoint, InvalidEndpoint};
pub use error::BuildError;
pub use provider::GoogleDistanceProvider;
