//! The provider's side of POP3: any bytes, cut anywhere, give the same verdict, and nothing is said but what a sign-in
//! consists of; what is overheard after it is overheard alike, however it came.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::pop3::provider(input));
