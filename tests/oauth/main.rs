//! OAuth against small real HTTP servers on loopback: the requests, the results of every answer, and the
//! whole flow from a consent to tokens.

// Test helpers fail tests by panics.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod app;
mod authorization;
mod callback;
mod device;
mod discovery;
mod revoke;
mod shared_callback;
mod support;
mod token_endpoint;
