//! The sender's side: any bytes, split anywhere, give the same answers. The client gets only replies of the
//! proxy, and none of them goes to the provider.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::submission::client(input));
