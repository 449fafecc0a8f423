//! The local CA: made once, never changed silently, valid for our names only; and its leaf certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Barrier};

use imap_oauth_proxy::tls::{Authority, AuthorityError, Identity, IdentityError, TlsSettings};
use rcgen::{CertificateParams, Issuer, KeyPair};
use time::Duration;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, ParsedExtension, X509Certificate};

use crate::common::Site;
use crate::harness::{Listener, MailProgram, now, provider, settings, shown};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn with_hostnames(directory: &std::path::Path, hostnames: &[&str]) -> TlsSettings {
    TlsSettings {
        hostnames: hostnames.iter().map(|name| (*name).to_owned()).collect(),
        ..settings(directory)
    }
}

#[test]
fn row_24_keys_are_private_and_the_directory_too() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("state");
    Identity::load(settings(&directory), now()).unwrap();
    assert_eq!(mode(&directory), 0o700);
    for file in ["ca.key", "leaf-ecdsa.pem", "leaf-rsa.pem"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    // No half-written file is left behind.
    let mut files: Vec<_> = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ca.key", "ca.pem", "leaf-ecdsa.pem", "leaf-rsa.pem", "tls.lock"]);
}

#[test]
fn whoever_comes_first_makes_the_ca_and_all_get_the_same_one() {
    let directory = tempfile::tempdir().unwrap();
    // The lock belongs to the open file, so it excludes threads as well as processes.
    let barrier = Barrier::new(8);
    let identities = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    Identity::load(settings(directory.path()), now()).unwrap();
                    Authority::open(&settings(directory.path()), now()).unwrap().fingerprint()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(identities.iter().all(|fingerprint| *fingerprint == identities[0]), "{identities:?}");
}

#[test]
fn the_ca_says_whose_it_is_and_may_sign_our_names_only() {
    let directory = tempfile::tempdir().unwrap();
    let settings = with_hostnames(directory.path(), &["mail.example", "192.0.2.7"]);
    let authority = Authority::open(&settings, now()).unwrap();
    assert!(authority.subject().starts_with("imap-oauth-proxy CA "), "{}", authority.subject());
    assert!(authority.subject().contains('@'), "{}", authority.subject());
    assert_eq!(
        authority.pem().trim(),
        fs::read_to_string(authority.ca_file()).unwrap().replace("\r\n", "\n").trim()
    );

    let (_, certificate) = X509Certificate::from_der(authority.certificate()).unwrap();
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    let names = certificate.name_constraints().unwrap().unwrap();
    assert!(names.critical && names.value.excluded_subtrees.is_none());
    let permitted: Vec<_> =
        names.value.permitted_subtrees.as_ref().unwrap().iter().map(|subtree| subtree.base.clone()).collect();
    let v6 = [&[0; 15][..], &[1], &[255; 16]].concat();
    assert_eq!(
        permitted,
        [
            GeneralName::DNSName("localhost"),
            GeneralName::DNSName("mail.example"),
            GeneralName::IPAddress(&[127, 0, 0, 1, 255, 255, 255, 255]),
            GeneralName::IPAddress(&v6),
            GeneralName::IPAddress(&[192, 0, 2, 7, 255, 255, 255, 255]),
        ]
    );
    let years = (authority.not_after() - now()).whole_days() / 365;
    assert_eq!(years, 10);
}

#[test]
fn leaves_are_what_apple_windows_and_nss_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    let settings = with_hostnames(directory.path(), &["mail.example"]);
    let authority = Authority::open(&settings, now()).unwrap();
    let (_, ca) = X509Certificate::from_der(authority.certificate()).unwrap();
    let ca_key_id = key_ids(&ca).0.unwrap();
    Identity::load(settings, now()).unwrap();
    for (file, encipherment) in [("leaf-ecdsa.pem", false), ("leaf-rsa.pem", true)] {
        let der = CertificateDer::from_pem_file(directory.path().join(file)).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        assert!(!leaf.is_ca());
        let validity = leaf.validity();
        let days = (validity.not_after.to_datetime() - validity.not_before.to_datetime()).whole_days();
        assert_eq!(days, 397);
        assert!(validity.not_before.to_datetime() <= now() - Duration::hours(23));
        let serial = leaf.raw_serial();
        assert!(serial.len() == 16 && serial[0] & 0x80 == 0, "{serial:02x?}");
        let (own, issuer) = key_ids(&leaf);
        assert!(own.is_some());
        assert_eq!(issuer, Some(ca_key_id.clone()));
        let usage = leaf.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature());
        assert_eq!(usage.key_encipherment(), encipherment);
        let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.server_auth && !purposes.client_auth && !purposes.any);
        let names = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        let v6 = [&[0; 15][..], &[1]].concat();
        assert_eq!(
            *names,
            [
                GeneralName::DNSName("localhost"),
                GeneralName::DNSName("mail.example"),
                GeneralName::IPAddress(&[127, 0, 0, 1]),
                GeneralName::IPAddress(&v6),
            ]
        );
    }
}

/// Subject and authority key identifier.
fn key_ids(certificate: &X509Certificate<'_>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let find = |read: fn(&ParsedExtension<'_>) -> Option<Vec<u8>>| {
        certificate.iter_extensions().find_map(|extension| read(extension.parsed_extension()))
    };
    let own = find(|extension| match extension {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    });
    let issuer = find(|extension| match extension {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    (own, issuer)
}

#[tokio::test]
async fn a_stolen_ca_key_is_worth_nothing_against_other_names() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open(&settings(directory.path()), now()).unwrap();
    let stolen = KeyPair::from_pem(&fs::read_to_string(directory.path().join("ca.key")).unwrap()).unwrap();
    let issuer = Issuer::from_ca_cert_der(authority.certificate(), stolen).unwrap();
    let program = MailProgram::trusting(&authority.ca_file());
    for (name, accepted) in [("localhost", true), ("bank.example", false), ("192.0.2.1", false)] {
        let key = KeyPair::generate().unwrap();
        let forged = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let (address, _seen) = provider(forged.der().clone(), &key).await;
        let result = program.connect(address, name).await;
        assert_eq!(result.is_ok(), accepted, "{name}: {result:?}");
    }
}

#[test]
fn row_24_a_ca_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    Authority::open(&settings, now()).unwrap();
    set_mode(&directory.path().join("ca.key"), 0o640);
    let error = Authority::open(&settings, now()).err().unwrap();
    assert!(matches!(error, AuthorityError::Exposed(_, 0o640)), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    set_mode(&directory.path().join("ca.key"), 0o600);
    Authority::open(&settings, now()).unwrap();
}

#[test]
fn the_ca_is_never_replaced_unless_somebody_asks() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = settings(directory.path());
    let first = Authority::open(&settings, now()).unwrap();
    let (pem, key) = (directory.path().join("ca.pem"), directory.path().join("ca.key"));
    let good_key = fs::read(&key).unwrap();
    let refused = |what: &str| {
        let error = Authority::open(&settings, now()).err().unwrap();
        assert!(error.needs_new_ca() && error.to_string().contains("make a new CA"), "{what}: {error}");
        assert_eq!(fs::read_to_string(&pem).unwrap().contains(&first.pem()), what != "damaged ca.pem");
        error
    };

    fs::remove_file(&key).unwrap();
    assert!(matches!(refused("no key"), AuthorityError::KeyMissing { .. }));

    Authority::open(&TlsSettings { state_directory: elsewhere.path().to_owned(), ..settings.clone() }, now())
        .unwrap();
    fs::copy(elsewhere.path().join("ca.key"), &key).unwrap();
    assert!(matches!(refused("another CA's key"), AuthorityError::Mismatch { .. }));

    fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(refused("a key alone"), AuthorityError::Mismatch { .. }));

    fs::write(&key, "no key").unwrap();
    assert!(matches!(refused("damaged ca.key"), AuthorityError::Damaged(path) if path == key));
    fs::write(&key, b"\xff\xfe").unwrap();
    assert!(matches!(refused("binary ca.key"), AuthorityError::Damaged(path) if path == key));

    fs::write(&key, &good_key).unwrap();
    fs::write(&pem, "no certificate").unwrap();
    assert!(matches!(refused("damaged ca.pem"), AuthorityError::Damaged(path) if path == pem));

    // A deleted public copy is written again with the same certificate.
    fs::remove_file(&pem).unwrap();
    assert_eq!(Authority::open(&settings, now()).unwrap().fingerprint(), first.fingerprint());
    assert!(fs::read_to_string(&pem).unwrap().contains(&first.pem()));

    let renewed = Authority::renew(&settings, now()).unwrap();
    assert_ne!(renewed.fingerprint(), first.fingerprint());
    assert_eq!(Authority::open(&settings, now()).unwrap().fingerprint(), renewed.fingerprint());
}

#[test]
fn a_ca_that_has_ended_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path());
    Authority::open(&settings, now() - Duration::days(3700)).unwrap();
    let error = Authority::open(&settings, now()).err().unwrap();
    assert!(matches!(error, AuthorityError::Expired(..)), "{error}");
}

#[test]
fn a_hostname_that_the_ca_may_not_sign_is_an_error_and_renewing_cures_it() {
    let directory = tempfile::tempdir().unwrap();
    Identity::load(settings(directory.path()), now()).unwrap();
    let grown = with_hostnames(directory.path(), &["mail.example"]);
    let error = Identity::load(grown.clone(), now()).unwrap_err();
    assert!(
        matches!(&error, IdentityError::Authority(AuthorityError::NotPermitted { name, .. }) if name == "mail.example")
    );
    assert!(error.needs_new_ca() && error.to_string().contains("make a new CA"), "{error}");
    Authority::renew(&grown, now()).unwrap();
    Identity::load(grown, now()).unwrap();
    // Fewer names need no new CA.
    Identity::load(settings(directory.path()), now()).unwrap();

    let error = Authority::open(&with_hostnames(directory.path(), &["imap://mail"]), now()).err().unwrap();
    assert!(matches!(error, AuthorityError::NotAName(name) if name == "imap://mail"));
}

#[test]
fn leaves_survive_a_restart_and_are_made_again_where_they_do_not_fit() {
    let directory = tempfile::tempdir().unwrap();
    let leaf = |file: &str| fs::read(directory.path().join(file)).unwrap();
    let settings = settings(directory.path());
    Identity::load(settings.clone(), now()).unwrap();
    let (ecdsa, rsa) = (leaf("leaf-ecdsa.pem"), leaf("leaf-rsa.pem"));
    Identity::load(settings.clone(), now()).unwrap();
    assert_eq!((leaf("leaf-ecdsa.pem"), leaf("leaf-rsa.pem")), (ecdsa.clone(), rsa.clone()));

    fs::write(directory.path().join("leaf-ecdsa.pem"), &ecdsa[..ecdsa.len() / 2]).unwrap();
    Identity::load(settings.clone(), now()).unwrap();
    let repaired = leaf("leaf-ecdsa.pem");
    assert_ne!(repaired, ecdsa);

    set_mode(&directory.path().join("leaf-ecdsa.pem"), 0o644);
    Identity::load(settings, now()).unwrap();
    assert_ne!(leaf("leaf-ecdsa.pem"), repaired);
    assert_eq!(mode(&directory.path().join("leaf-ecdsa.pem")), 0o600);
    assert_eq!(leaf("leaf-rsa.pem"), rsa);
}

#[tokio::test]
async fn a_leaf_near_its_end_is_renewed_while_the_listener_runs() {
    let directory = tempfile::tempdir().unwrap();
    let long_ago = now() - Duration::days(300);
    let identity = Arc::new(Identity::load(settings(directory.path()), long_ago).unwrap());
    let ca = fs::read(directory.path().join("ca.pem")).unwrap();
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&directory.path().join("ca.pem"));

    let before = shown(&program.connect(listener.address, "localhost").await.unwrap());
    listener.next().await.unwrap();
    assert!(!identity.refresh(long_ago + Duration::days(200)).unwrap());
    assert!(identity.refresh(now()).unwrap());
    assert!(!identity.refresh(now()).unwrap());
    let after = shown(&program.connect(listener.address, "localhost").await.unwrap());
    listener.next().await.unwrap();
    assert_ne!(before, after);
    assert_eq!(fs::read(directory.path().join("ca.pem")).unwrap(), ca);
}

#[test]
fn leaves_end_no_later_than_the_ca_and_are_not_renewed_in_vain() {
    let directory = tempfile::tempdir().unwrap();
    let made = now() - Duration::days(3652 - 40);
    Authority::open(&settings(directory.path()), made).unwrap();
    let identity = Identity::load(settings(directory.path()), now()).unwrap();
    let warning = identity.warnings().remove(0);
    assert!(warning.needs_new_ca() && warning.to_string().contains("make a new one in time"), "{warning}");
    let leaf = fs::read(directory.path().join("leaf-ecdsa.pem")).unwrap();
    assert!(identity.refresh(now() + Duration::days(39)).unwrap());
    assert_eq!(fs::read(directory.path().join("leaf-ecdsa.pem")).unwrap(), leaf);
}

#[tokio::test]
async fn a_new_ca_is_picked_up_by_a_running_listener() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let old = MailProgram::trusting(&identity.ca_file().unwrap());
    old.connect(listener.address, "localhost").await.unwrap();
    listener.next().await.unwrap();

    Authority::renew(&settings(directory.path()), now()).unwrap();
    assert!(identity.refresh(now()).unwrap());
    let new = MailProgram::trusting(&identity.ca_file().unwrap());
    new.connect(listener.address, "localhost").await.unwrap();
    listener.next().await.unwrap();
    old.connect(listener.address, "localhost").await.unwrap_err();
}

#[tokio::test]
async fn a_listener_whose_ca_breaks_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Arc::new(Identity::load(settings(directory.path()), now()).unwrap());
    let mut listener = Listener::start(&identity).await;
    let program = MailProgram::trusting(&identity.ca_file().unwrap());
    set_mode(&directory.path().join("ca.key"), 0o644);
    identity.refresh(now()).unwrap_err();
    assert!(!identity.refresh(now()).unwrap());
    program.connect(listener.address, "localhost").await.unwrap();
    listener.next().await.unwrap();
    set_mode(&directory.path().join("ca.key"), 0o600);
    assert!(identity.refresh(now()).unwrap());
}

/// The library only reports that a new CA is needed; the commands and the log say how to make and export one.
#[tokio::test]
async fn the_commands_that_mend_trust_stand_on_the_terminal_and_in_the_log() {
    let site = Site::new().await;
    let mut serving = site.serve().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Identity::load(settings(elsewhere.path()), now()).unwrap();
    let stranger = MailProgram::trusting(&other.ca_file().unwrap());
    stranger.connect(serving.address(), "localhost").await.unwrap_err();
    let line = serving.logs("the client refused the certificate").await;
    assert!(line.contains("trust the CA: imap-oauth-proxy certs export FILE"), "{line}");

    fs::write(site.state().join("ca.key"), "no key").unwrap();
    let line = serving.logs("the certificate in use stays").await;
    assert!(line.contains("make a new CA, which every mail program"), "{line}");
    assert!(line.contains(", with: imap-oauth-proxy certs renew-ca; "), "{line}");
    let (code, _) = serving.stop().await;
    assert_eq!(code, 0);
    for command in [&["certs", "show"][..], &["serve"]] {
        let ran = site.run(command).await;
        let hint = "hint: imap-oauth-proxy certs renew-ca makes a new CA";
        assert!(ran.code == 1 && ran.err.contains(hint), "{command:?}: {ran:?}");
    }
}
