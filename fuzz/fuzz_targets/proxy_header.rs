//! A load balancer's header: any bytes come to one end, whatever is asked for belongs to the header, and what a header
//! says does not depend on what follows it.

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
