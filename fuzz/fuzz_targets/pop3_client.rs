//! The POP3 client's side: any bytes, split anywhere, give the same answers. The client gets only answers of the proxy,
//! and none of its bytes goes to the provider.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::pop3::client(input));
