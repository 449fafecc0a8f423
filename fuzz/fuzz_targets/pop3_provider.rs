//! The provider's side of POP3: any bytes, split anywhere, give the same verdict, and the provider gets only the lines
//! of a sign-in. The bytes after it are read alike for every split.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::pop3::provider(input));
