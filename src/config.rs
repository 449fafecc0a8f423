//! The configuration, validated: what the rest of the program reads has no wrong value in it.

mod provider;

pub use provider::{AppGrant, ClientAuthentication, Endpoint, Mechanism, Provider};
