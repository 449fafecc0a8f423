//! The provider's side: any bytes, split anywhere, give the same verdict, and the provider gets only lines of
//! the proxy.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::imap::provider(input));
