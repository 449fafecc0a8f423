//! The POP3 client's side: any bytes, cut anywhere, give the same answers, and only answers of ours; none of them is said
//! to a provider.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::pop3::client(input));
