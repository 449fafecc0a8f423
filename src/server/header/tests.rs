use proptest::collection::vec;
use proptest::prelude::*;
use proxy_header::{ProxiedAddress, Tlv};

use super::fields::tests::sealed;
use super::*;

const SIGNATURE_BYTES: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const CLIENT: &str = "192.0.2.7:56324";

/// The result for a header that is read as `next` demands, and the number of bytes left behind it.
fn played(bytes: &[u8]) -> (String, usize) {
    let mut at = 0;
    loop {
        let told = match next(&bytes[..at]) {
            Ok(Next::Done(Header::From(source))) => source.to_string(),
            Ok(Next::Done(Header::Local)) => "local".to_owned(),
            Ok(Next::Read(wanted)) => {
                assert!(wanted > 0 && at + wanted <= LONGEST, "{wanted} at {at}");
                if at == bytes.len() {
                    return ("more".to_owned(), 0);
                }
                at = bytes.len().min(at + wanted);
                continue;
            }
            Err(error) => error.to_string(),
        };
        return (told, bytes.len() - at);
    }
}

fn v2(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE_BYTES, &[version, family], &length, rest].concat()
}

/// From 192.0.2.7 to 192.0.2.1.
const V4: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0xdc, 0x04, 0, 25];

#[test]
fn security_row_44_headers_are_read_to_their_last_byte_and_no_further() {
    let tls = b"\x16\x03\x01";
    let tlv = |kind: u8, value: &[u8]| [&[kind, 0, u8::try_from(value.len()).unwrap()], value].concat();
    let v6: Vec<u8> = [&[0x20, 1, 0x0d, 0xb8], &[0; 11][..], &[7], &[0; 15], &[1, 0, 80, 0, 25]].concat();
    for (header, told) in [
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\r\n".to_vec(), CLIENT),
        (b"PROXY TCP6 2001:db8::7 ::1 56324 25\r\n".to_vec(), "[2001:db8::7]:56324"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 0 0\r\n".to_vec(), "192.0.2.7:0"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "local"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), "local"),
        (v2(0x21, 0x11, &V4), CLIENT),
        (v2(0x21, 0x11, &[&V4[..], &tlv(4, b"..."), &tlv(0x20, &[1, 0, 0, 0, 0])].concat()), CLIENT),
        (v2(0x21, 0x11, &[&V4[..], &tlv(0xea, &[1, 2]), &tlv(5, &[7; 128])].concat()), CLIENT),
        (v2(0x21, 0x21, &v6), "[2001:db8::7]:80"),
        (v2(0x20, 0x00, &[]), "local"),
        (v2(0x20, 0x11, &V4), "local"),
        (v2(0x20, 0x31, &[b'/'; 216]), "local"),
        (v2(0x21, 0x00, &[]), "local"),
    ] {
        let bytes = [&header[..], tls].concat();
        assert_eq!(played(&bytes), (told.to_owned(), tls.len()), "{}", header.escape_ascii());
        for cut in 0..header.len() {
            assert_eq!(played(&header[..cut]).0, "more", "{}", header[..cut].escape_ascii());
        }
    }
}

/// Kind and length are judged, and the content only where it counts.
#[test]
fn security_row_44_fields_that_are_no_text_break_no_header_and_tls_is_read_from_its_own() {
    let tlv = |kind: u8, value: &[u8]| [&[kind, 0, u8::try_from(value.len()).unwrap()], value].concat();
    let (authority, netns) = (tlv(2, b"mail\xff.example"), tlv(0x30, &[0xfe; 3]));
    for (field, tls) in [
        (tlv(0x20, &[1, 0, 0, 0, 0]), Some(true)),
        (tlv(0x20, &[7, 0, 0, 0, 0, 0x21, 0, 2, b'\xff', 0]), Some(true)),
        (tlv(0x20, &[0, 0, 0, 0, 0]), Some(false)),
        (tlv(0x20, &[]), None),
        (Vec::new(), None),
    ] {
        let header = v2(0x21, 0x11, &[&V4[..], &authority, &field, &netns].concat());
        assert_eq!(played(&header).0, CLIENT, "{}", header.escape_ascii());
        assert_eq!(says_tls(&header, Header::From(CLIENT.parse().unwrap())), tls);
    }
    let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\r\n";
    assert_eq!(says_tls(line, Header::From(CLIENT.parse().unwrap())), None);
}

#[test]
fn security_row_44_a_checksum_that_does_not_fit_is_a_broken_header() {
    let v6 = [&[0x20, 1, 0x0d, 0xb8], &[7; 28][..], &[0, 80, 0, 25]].concat();
    for (family, addresses, source) in [(0x11, &V4[..], CLIENT), (0x21, &v6[..], "[2001:db8:707:")] {
        let fields = [addresses, &[4, 0, 1, 9], &[3, 0, 4, 0, 0, 0, 0]].concat();
        let header = sealed(v2(0x21, family, &fields));
        assert!(played(&header).0.starts_with(source));
        // All but the byte that says that a checksum follows.
        for at in (FIXED..header.len()).filter(|at| at + 7 != header.len()) {
            let mut lie = header.clone();
            lie[at] ^= 1;
            let told = played(&lie).0;
            assert!(told.contains("broken") || told == "more", "byte {at}: {told}");
        }
    }
    assert!(played(&v2(0x21, 0x11, &[&V4[..], &[3, 0, 3, 0, 0, 0]].concat())).0.contains("broken"));
}

#[test]
fn security_row_44_what_is_no_header_ends_the_connection() {
    let long = format!("PROXY TCP4 192.0.2.7 192.0.2.1 56324 25{}\r\n", " ".repeat(100));
    let mut huge = v2(0x21, 0x11, &V4);
    huge[14] = 0xff;
    let mut wider = v2(0x21, 0x11, &[&V4[..], &[4, 0, 9]].concat());
    wider.extend_from_slice(b"abcdef");
    for (bytes, why) in [
        (b"a LOGIN x y\r\n".to_vec(), "no PROXY protocol header came"),
        (b"\x16\x03\x01\x02\x00".to_vec(), "no PROXY"),
        (b"proxy TCP4 192.0.2.7 192.0.2.1 56324 25\r\n".to_vec(), "no PROXY"),
        (b"\r\nEHLO x".to_vec(), "no PROXY"),
        (long.into_bytes(), "longer than 107 bytes"),
        (b"PROXY x\r\n\r\n\r\n\r\n".to_vec(), "too short"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2 192.0.2.1 56324 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 2001:db8::7 ::1 56324 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 99999\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7  192.0.2.1 56324 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 25 \r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 -1 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 25\r\n".to_vec(), "its ports are none"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 025\r\n".to_vec(), "its ports are none"),
        (b"PROXY TCP4 192.0.2.007 192.0.2.1 56324 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY UDP4 192.0.2.7 192.0.2.1 56324 25\r\n".to_vec(), "its addresses are none"),
        (b"PROXY TCP4 0.0.0.0 192.0.2.1 56324 25\r\n".to_vec(), "no address that a client has"),
        (huge, "longer than 536 bytes"),
        (v2(0x21, 0x11, &V4[..8]), "its addresses are none"),
        (v2(0x21, 0x21, &V4), "its addresses are none"),
        (v2(0x21, 0x31, &[b'/'; 216]), "a Unix socket"),
        (v2(0x21, 0x12, &V4), "UDP"),
        (v2(0x21, 0x41, &V4), "its addresses are none"),
        (v2(0x11, 0x11, &V4), "version or command"),
        (v2(0x22, 0x11, &V4), "version or command"),
        (wider, "longer than the header"),
    ] {
        let told = played(&bytes).0;
        assert!(told.contains(why), "{}: {told}", bytes.escape_ascii());
    }
}

proptest! {
    #[test]
    fn security_row_44_what_a_balancer_writes_is_what_is_read(
        source: SocketAddr, destination: SocketAddr, field in vec(any::<u8>(), 0..200), behind in vec(any::<u8>(), 0..40),
    ) {
        prop_assume!(source.is_ipv4() == destination.is_ipv4() && is_a_clients(source.ip()));
        let mut header = ProxyHeader::with_address(ProxiedAddress::stream(source, destination));
        let (mut one, mut two) = ([0; 600], [0; 600]);
        let length = header.encode_to_slice_v1(&mut one).unwrap();
        let expected = SocketAddr::new(source.ip(), source.port()).to_string();
        prop_assert_eq!(played(&[&one[..length], &behind].concat()), (expected.clone(), behind.len()));
        header.append_tlv(Tlv::Custom(0xe0, field.into()));
        let length = header.encode_to_slice_v2(&mut two).unwrap();
        prop_assert_eq!(played(&[&two[..length], &behind].concat()), (expected, behind.len()));
    }

    #[test]
    fn security_row_44_no_bytes_are_too_much_for_it(
        start in 0..4_usize, bytes in vec(any::<u8>(), 0..700),
    ) {
        let begun = [&b""[..], b"PROXY TCP4 ", SIGNATURE_BYTES, b"\r\n\r\n\0\r\nQUIT\n\x21\x11"][start];
        played(&[begun, &bytes].concat());
    }
}
