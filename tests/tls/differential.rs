//! Security row 40: compares our session with rustls's own connection by scripts of records.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::session_script::session;

/// Steps of scripts (see `session_script`), most of them meaningful.
#[rustfmt::skip]
const STEPS: &[&[u8]] = &[
    // Data, empty and not.
    &[0, 5, b'h', b'e', b'l', b'l', b'o'], &[0, 0], &[0, 1, b'x'],
    // Handshake records: nothing, a byte, a header, whole messages.
    &[1, 0], &[1, 1, 24], &[1, 4, 24, 0, 0, 1], &[1, 5, 24, 0, 0, 1, 0], &[1, 4, 0, 0, 0, 0], &[1, 4, 1, 0, 0, 9],
    &[1, 10, 24, 0, 0, 1, 0, 24, 0, 0, 1, 0],
    // Alerts.
    &[2, 1, 0], &[2, 1, 90], &[2, 2, 40], &[2, 1, 112], &[2, 3, 0], &[3, 21, 0], &[3, 21, 1, 1],
    &[3, 21, 4, 1, 90, 1, 90],
    // Other types.
    &[3, 20, 1, 1], &[3, 24, 1, 0], &[3, 0, 0],
    // Inner plaintexts, long records, padding.
    &[4, 0], &[4, 3, 0, 0, 0], &[4, 3, b'x', 23, 0], &[5, 0, 67], &[5, 0, 75], &[5, 1, 67], &[5, 0, 6], &[6, 1, 67],
    &[6, 1, 75], &[6, 0, 1], &[5, 0, 4], &[5, 0, 5],
    // Messages in one record or in many: a ticket, a hello, a HelloRequest, a CertificateRequest.
    &[7, 4, 0, 17, 0, 0, 1, 0, 1, 2, 3, 4, 1, 0, 0, 3, 7, 7, 7, 0, 0, 50],
    &[7, 4, 0, 17, 0, 0, 1, 0, 1, 2, 3, 4, 1, 0, 0, 3, 7, 7, 7, 0, 0, 5],
    &[7, 1, 0, 4, 3, 3, 1, 2, 200], &[7, 0, 0, 0, 200], &[7, 13, 0, 3, 0, 0, 0, 200], &[7, 1, 255, 2, 0, 0, 9],
    &[7, 24, 0, 1, 1, 2],
    // Key updates, good and bad.
    &[8, 0], &[8, 1], &[8, 1], &[8, 2],
    // Raw bytes.
    &[9, 6, 20, 3, 3, 0, 1, 1], &[9, 7, 21, 3, 3, 0, 2, 2, 40], &[9, 5, 23, 3, 3, 255, 255], &[9, 5, 22, 3, 3, 0, 0],
    &[9, 5, 23, 3, 3, 65, 1],
    // Repeated, swapped, dropped, changed, and shortened records.
    &[10, 0], &[11, 3], &[11, 31], &[11, 33], &[12], &[13], &[14, 0, 1], &[14, 1, 1], &[14, 2, 1], &[14, 3, 1],
    &[14, 4, 1], &[14, 9, 128], &[15, 0, 0], &[15, 0, 1], &[15, 20, 0],
];

fn scripts() -> impl Strategy<Value = Vec<u8>> {
    let step = prop_oneof![
        4 => Just(STEPS[0].to_vec()),
        12 => select(STEPS).prop_map(<[u8]>::to_vec),
        3 => vec(any::<u8>(), 0..20),
    ];
    (any::<u8>(), any::<u8>(), vec(step, 0..10))
        .prop_map(|(mode, cut, steps)| [vec![mode, cut], steps.concat()].concat())
}

/// Scripts of such steps, or random bytes as a new fuzzer makes them.
fn any_scripts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => scripts(), 1 => vec(any::<u8>(), 0..60)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn security_row_40_our_session_and_rustls_read_the_same_and_end_alike(script in any_scripts()) {
        session(&script);
    }
}

/// Each step alone, between data, for both versions and roles, so that no step depends on chance.
#[test]
fn security_row_40_each_kind_of_record_is_taken_as_rustls_takes_it() {
    for mode in 0..4 {
        for (at, step) in STEPS.iter().enumerate() {
            for behind in [STEPS[0], STEPS[at], &[11, 2]] {
                let script = [&[mode + 8, 255][..], STEPS[0], step, behind, STEPS[0]].concat();
                session(&script);
            }
        }
    }
}

/// The seeds of the fuzz target pass, if the checkout contains them.
#[test]
fn the_seeds_of_the_fuzz_target_are_scripts_that_hold() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/session");
    let files: Vec<_> = std::fs::read_dir(seeds).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 50, "{} seeds", files.len());
    files.iter().for_each(|file| session(&std::fs::read(file).unwrap()));
}
