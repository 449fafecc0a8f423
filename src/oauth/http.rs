//! HTTP as a client: requests are built, sent, and their answers read.

pub(super) mod answer;
pub(super) mod discovery;
pub(super) mod request;
pub(super) mod transport;
pub(super) mod webhook;
