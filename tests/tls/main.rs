//! TLS over real sockets: who gets in, who is refused, and what the log would say.
//! The numbers in test names are rows of the security checklist.

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
