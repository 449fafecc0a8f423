//! The user's own certificate files: checked, watched, and loaded only as a matching pair.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use imap_oauth_proxy::tls::{Identity, IdentityError, OwnCertificateError, TlsSettings};
use rcgen::KeyPair;
use time::Duration;

use crate::harness::{Listener, MailProgram, OtherCa, now, shown};

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn settings(directory: &Path) -> TlsSettings {
    TlsSettings {
        certificate: Some((directory.join("fullchain.pem"), directory.join("privkey.pem"))),
        hostnames: Vec::new(),
        state_directory: directory.join("state"),
        shared: None,
    }
}

fn write(directory: &Path, certificate: &str, key: &str) {
    fs::write(directory.join("fullchain.pem"), certificate).unwrap();
    fs::write(directory.join("privkey.pem"), key).unwrap();
    fs::set_permissions(directory.join("privkey.pem"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn refusal(settings: &TlsSettings) -> OwnCertificateError {
    match Identity::load(settings.clone(), now()).unwrap_err() {
        IdentityError::Own(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn own_files_are_shown_and_followed_and_broken_ones_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    let ca = OtherCa::new();
    let (first, first_key) = ca.sign(&ca.parameters("mail.example"));
    let (second, second_key) = ca.sign(&ca.parameters("mail.example"));
    let chain = |leaf: &[u8]| pem("CERTIFICATE", leaf) + &ca.0.pem();
    write(directory.path(), &chain(&first), &first_key.serialize_pem());
    fs::write(directory.path().join("ca.pem"), ca.0.pem()).unwrap();

    let identity = Arc::new(Identity::load(settings.clone(), now()).unwrap());
    assert_eq!((identity.ca_file(), identity.warnings()), (None, vec![]));
    assert!(!settings.state_directory.exists());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&directory.path().join("ca.pem"));
    let client = program.connect(listener.address, "mail.example").await.unwrap();
    listener.next().await.unwrap();
    assert_eq!(shown(&client), first);
    assert_eq!(client.get_ref().1.peer_certificates().unwrap().len(), 2);

    // A half-finished renewal: the new chain with the old key.
    write(directory.path(), &chain(&second), &first_key.serialize_pem());
    let error = identity.refresh(now()).unwrap_err();
    assert!(matches!(error, IdentityError::Own(OwnCertificateError::Mismatch { .. })), "{error}");
    assert_eq!(shown(&program.connect(listener.address, "mail.example").await.unwrap()), first);
    listener.next().await.unwrap();

    write(directory.path(), &chain(&second), &second_key.serialize_pem());
    assert!(identity.refresh(now()).unwrap());
    assert_eq!(shown(&program.connect(listener.address, "mail.example").await.unwrap()), second);
    listener.next().await.unwrap();
}

#[test]
fn keys_come_as_pkcs_8_pkcs_1_and_sec_1() {
    let directory = tempfile::tempdir().unwrap();
    let ca = OtherCa::new();
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let ecdsa = KeyPair::generate().unwrap();
    for (key, label) in [(&rsa, "RSA PRIVATE KEY"), (&ecdsa, "EC PRIVATE KEY")] {
        let certificate = ca.parameters("mail.example").signed_by(key, &ca.0).unwrap().pem();
        write(directory.path(), &certificate, &key.serialize_pem());
        Identity::load(settings(directory.path()), now()).unwrap();
        // The last field of PKCS #8 contains the older form.
        let pkcs8 = key.serialize_der();
        let inner = inner_key(&pkcs8);
        write(directory.path(), &certificate, &pem(label, inner));
        Identity::load(settings(directory.path()), now()).unwrap();
    }
}

/// The OCTET STRING of a PKCS #8 key (RFC 5208 §5).
fn inner_key(pkcs8: &[u8]) -> &[u8] {
    use x509_parser::der_parser::der::parse_der_sequence;
    let (_, sequence) = parse_der_sequence(pkcs8).unwrap();
    sequence.as_sequence().unwrap()[2].as_slice().unwrap()
}

#[test]
fn what_is_wrong_with_own_files_is_said_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    assert!(matches!(refusal(&settings), OwnCertificateError::Unreadable(..)));

    let ca = OtherCa::new();
    let (certificate, key) = ca.sign(&ca.parameters("mail.example"));
    let (certificate, key) = (pem("CERTIFICATE", &certificate), key.serialize_pem());
    write(directory.path(), &key, &key);
    assert!(matches!(refusal(&settings), OwnCertificateError::NoCertificate(_)));
    write(directory.path(), &pem("CERTIFICATE", b"\x30\x01"), &key);
    assert!(matches!(refusal(&settings), OwnCertificateError::NoCertificate(_)));
    write(directory.path(), &certificate, &certificate);
    assert!(matches!(refusal(&settings), OwnCertificateError::NoKey(_)));
    write(directory.path(), &certificate, &pem("PRIVATE KEY", b"\x30\x01"));
    assert!(matches!(refusal(&settings), OwnCertificateError::NoKey(_)));
    write(directory.path(), &certificate, &pem("ENCRYPTED PRIVATE KEY", b"\x30\x01"));
    assert!(matches!(refusal(&settings), OwnCertificateError::Encrypted(_)));
    write(directory.path(), &(ca.0.pem() + &certificate), &key);
    assert!(matches!(refusal(&settings), OwnCertificateError::Mismatch { .. }));
}

#[test]
fn row_24_an_exposed_key_and_a_near_end_are_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let ca = OtherCa::new();
    let (certificate, key) = ca.sign(&ca.parameters("mail.example"));
    write(directory.path(), &pem("CERTIFICATE", &certificate), &key.serialize_pem());
    fs::set_permissions(directory.path().join("privkey.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let identity = Identity::load(settings(directory.path()), now()).unwrap();
    assert_eq!(identity.warnings().len(), 1);
    assert!(warning(&identity, 0).contains("(mode 644)"), "{:?}", identity.warnings());
    // No file changes, but time passes: of the thirty days left, the last fourteen bring a warning.
    assert!(!identity.refresh(now() + Duration::days(15)).unwrap());
    assert!(identity.refresh(now() + Duration::days(17)).unwrap());
    assert!(warning(&identity, 1).contains(" ends on "), "{:?}", identity.warnings());
    assert!(identity.refresh(now() + Duration::days(31)).unwrap());
    assert!(warning(&identity, 1).contains(" ended on "), "{:?}", identity.warnings());
}

fn warning(identity: &Identity, index: usize) -> String {
    identity.warnings()[index].to_string()
}
