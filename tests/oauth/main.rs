//! OAuth against small real HTTP servers on loopback: what is sent, what comes of every answer, and
//! the whole way from a consent to tokens.

// Helpers of tests fail like tests.
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
