//! The rules of the workspace, and the running service with its real adapters.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod running;
mod workspace_rules;
