//! TLS over real sockets: which connections are accepted and refused, and the log's words for them. The
//! numbers in test names are rows of the security checklist.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod after_handshake;
mod authority;
#[path = "../common/mod.rs"]
mod common;
mod differential;
mod downstream;
mod harness;
mod key_updates;
mod own_certificate;
#[path = "../peer/mod.rs"]
mod peer;
mod records;
mod resumption;
#[path = "../session_script/mod.rs"]
mod session_script;
mod sessions;
mod upstream;
