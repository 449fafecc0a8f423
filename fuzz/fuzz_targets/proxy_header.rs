//! A load balancer's header: any bytes give a result, the reader asks for no byte behind the header, and the result
//! does not depend on the bytes behind it.

#![no_main]

use imap_oauth_proxy::server::header::{Next, next};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut at = 0;
    while let Ok(Next::Read(wanted)) = next(&input[..at]) {
        assert!(wanted > 0 && at + wanted <= 536);
        if at == input.len() {
            break;
        }
        at = input.len().min(at + wanted);
    }
});
