//! The words of the changes: what is otherwise in the new configuration, and which options are ignored.

use crate::config::Door;
use crate::control::import::{Change, Ignored, Scheme};

pub(super) fn changed(change: &Change, scheme: &Scheme) -> String {
    match change {
        Change::ThisMachineOnly { section, port, door } => format!(
            "[{section}]: port {port} took passwords in cleartext from everywhere, and takes them from this machine only now; mail programs elsewhere need a listener with security = \"tls\" on another port{}, and have to trust its certificate",
            free_port(*door, scheme).map_or(String::new(), |usual| format!(" ({usual} is usual)"))
        ),
        Change::NowTls { section, address } => format!(
            "[{section}]: {address} took passwords in cleartext from other machines, and speaks TLS now; set SSL/TLS in the mail programs, and let them trust its certificate"
        ),
        Change::CertificateUnreadable { section, path, shown: Some(shown) } => format!(
            "[{section}]: {} cannot be read, so the listener shows {}, the first certificate that can be",
            path.display(),
            shown.display()
        ),
        Change::NoStarttls { section } => format!(
            "[{section}]: local_starttls needs a certificate and its key, and has none, so the port takes no STARTTLS"
        ),
        Change::AdminElsewhere { section, address } => format!(
            "[{section}]: it has the usual port of the page for administrators, which is at {address} now"
        ),
        Change::CertificateUnreadable { section, path, shown: None } => format!(
            "[{section}]: {} cannot be read, so the listener uses a certificate of the proxy's own CA, which mail programs must trust",
            path.display()
        ),
        Change::OtherCertificate { section, path } => format!(
            "[{section}]: it had the certificate {}, and all listeners show the first one of the file now",
            path.display()
        ),
        Change::OneRedirect { provider, uri } => format!(
            "[providers.{provider}]: its accounts had redirects on several ports of this machine, and share {uri} now, which must be registered at the provider"
        ),
        Change::ServerUnused { section, host } => format!(
            "[{section}]: no provider in the new configuration has the server {host}; through this port, an account reaches the server of its own provider"
        ),
        Change::SecretLocked { account, provider } => format!(
            "[{account}]: its client secret is locked with its password, which was not given or does not fit; write client_secret into [providers.{provider}]"
        ),
        Change::UsualPorts => "no section of a server moves, so `serve` takes IMAP on port 1993 and submission on port 1465 of this machine, with TLS; set mail programs to that, or write [[listeners]] with the old ports".to_owned(),
        Change::Ignored { section, line, why } => format!("[{section}]{}: {}", place(*line), ignored(*why)),
        Change::UnknownSection { section, line } => format!(
            "[{section}]{}: it is neither a server (IMAP-PORT, POP-PORT, SMTP-PORT) nor an account, so it is ignored",
            place(*line)
        ),
        Change::CacheEntry { account } => {
            format!("[{account}]: its entry in the cache is no table of values, and counts as empty")
        }
        Change::RedirectUri { account, uri } => format!(
            "[{account}]: redirect_uri {uri:?} is neither https nor an http address of this machine, so the next authorisation uses the preset's or http://127.0.0.1/callback; register that at the provider"
        ),
    }
}

fn ignored(why: Ignored) -> String {
    match why {
        Ignored::Unknown => "the option there is none of email-oauth2-proxy's, and is ignored".to_owned(),
        Ignored::OnlySmtp(option) => format!("{option} counts for SMTP only, and is ignored"),
        Ignored::Plugins => "plugins are ignored: mail is passed on unchanged here".to_owned(),
        Ignored::KeyAsPath(option) => {
            format!("{option} is a key and no path, and is ignored; save the key to a file, and name that")
        }
        Ignored::HalfOfPair(option) => {
            format!("{option} needs its certificate or key beside it, and is ignored")
        }
        Ignored::Resource => {
            "oauth2_resource is ignored: the scopes name the resource at today's endpoints".to_owned()
        }
        Ignored::ListenAddress => {
            "redirect_listen_address is ignored: address and url in [admin] say where redirects arrive".to_owned()
        }
        Ignored::DeleteOnError => {
            "delete_account_token_on_password_error is ignored: a wrong password never deletes a token here".to_owned()
        }
        Ignored::EncryptSecret => {
            "encrypt_client_secret_on_first_use is ignored: client secrets are in the new file, which only its owner can read; client_secret_file names another place".to_owned()
        }
    }
}

/// The usual port of the door, if no listener has it.
fn free_port(door: Door, scheme: &Scheme) -> Option<u16> {
    let mut addresses = scheme.listeners.iter().flat_map(|listener| &listener.addresses);
    let usual = usual_port(door);
    (!addresses.any(|address| address.port() == usual)).then_some(usual)
}

/// The port of implicit TLS for that door in the documents.
fn usual_port(door: Door) -> u16 {
    match door {
        Door::Imap => 1993,
        Door::Pop3 => 1995,
        Door::Submission => 1465,
    }
}

/// The line of a section; a section that only a cache has, has none.
pub(super) fn place(line: usize) -> String {
    if line == 0 { " of the cache".to_owned() } else { format!(" in line {line}") }
}
