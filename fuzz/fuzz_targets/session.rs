//! Records after a TLS handshake: any sequence gives the same data and the same end as rustls's own
//! connection.

#![no_main]

#[path = "../../tests/peer/mod.rs"]
mod peer;
#[path = "../../tests/session_script/mod.rs"]
mod session_script;

libfuzzer_sys::fuzz_target!(|input: &[u8]| session_script::session(input));
