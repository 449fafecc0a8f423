//! HTTP requests to providers: building, sending, and reading the answers.

pub(super) mod answer;
pub(super) mod discovery;
pub(super) mod exchange;
pub(super) mod request;
pub(super) mod transport;
pub(super) mod webhook;
