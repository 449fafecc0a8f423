//! The mail program's side: any bytes, cut anywhere, give the same answers, and only lines of ours.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::imap::client(input));
