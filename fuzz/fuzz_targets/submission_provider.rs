//! The submission server's side: any bytes, cut anywhere, give the same verdict, and only lines of ours go up.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::submission::provider(input));
