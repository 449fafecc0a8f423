//! Each command that imap-codec accepts reads the same in the proxy's own reader.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/invariants/mod.rs"]
mod invariants;

libfuzzer_sys::fuzz_target!(|input: &[u8]| invariants::imap::command(input));
