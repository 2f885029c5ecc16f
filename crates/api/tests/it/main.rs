//! The whole: the rules of the house, and the real service over real adapters.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod house;
mod running;
