//! The mail servers of a provider's table, one for each door that it offers.

use super::ProviderFile;
use super::field::Field;
use crate::config::error::Problem;
use crate::config::service::{Endpoint, Service, UpstreamSecurity};
use crate::protocol::Door;
use crate::protocol::sasl::Mechanism;

/// The default promises of EHLO: nearly every submission server has these.
const PROMISES: [&str; 2] = ["PIPELINING", "8BITMIME"];
/// The promises of CAPA: both Gmail and Exchange have these.
const CAPABILITIES: [&str; 2] = ["TOP", "UIDL"];
/// A POP3 session locks the mailbox (RFC 1939 §4).
const POP3_SESSIONS: u32 = 1;
/// The port of implicit TLS (RFC 8314 §3.3); on other ports a submission server begins in cleartext.
const SUBMISSIONS: u16 = 465;

/// The mail servers of one provider's table, at least one.
pub(super) fn services(field: &Field<'_>, file: &ProviderFile) -> Result<Vec<Service>, Problem> {
    let mechanisms = file.mechanisms.clone().unwrap_or_else(|| vec![Mechanism::Xoauth2]);
    if mechanisms.is_empty() {
        return Err(field.problem("mechanisms", "is empty").hint("write [\"xoauth2\"]"));
    }
    let servers = [
        (Door::Imap, &file.imap, file.imap_security, &file.imap_scopes),
        (Door::Pop3, &file.pop3, file.pop3_security, &file.pop3_scopes),
        (Door::Submission, &file.smtp, file.smtp_security, &file.smtp_scopes),
    ];
    let mut services = Vec::new();
    for (door, server, security, scopes) in servers {
        let Some(server) = server else { continue };
        let wrong = |message: &str| field.problem(door.server_key(), message);
        let endpoint: Endpoint = server.parse().map_err(wrong)?;
        let scopes = scopes.clone().unwrap_or_default();
        field.check_scopes(&format!("{}_scopes", door.server_key()), &scopes)?;
        let (most, promises) = match door {
            Door::Imap => (file.max_connections_per_account, Vec::new()),
            Door::Pop3 => {
                let most = file.pop3_max_connections_per_account.unwrap_or(POP3_SESSIONS);
                (Some(most), CAPABILITIES.map(str::to_owned).to_vec())
            }
            Door::Submission => {
                (file.smtp_max_connections_per_account, promises(field, file.submission_ehlo.as_deref())?)
            }
        };
        let usual = match (door, endpoint.port) {
            (Door::Imap | Door::Pop3, _) | (Door::Submission, SUBMISSIONS) => UpstreamSecurity::Tls,
            (Door::Submission, _) => UpstreamSecurity::Starttls,
        };
        services.push(Service {
            door,
            endpoint,
            security: security.unwrap_or(usual),
            mechanisms: mechanisms.clone(),
            sasl_ir: file.sasl_ir.filter(|_| door == Door::Imap),
            max_connections_per_account: most,
            scopes,
            promises,
            sign_in_as: file.submission_user.filter(|_| door == Door::Submission),
        });
    }
    match services.is_empty() {
        true => Err(field.missing("imap")),
        false => Ok(services),
    }
}

/// Keywords of EHLO with their parameters (RFC 5321 §4.1.1.1), one in each string.
fn promises(field: &Field<'_>, written: Option<&[String]>) -> Result<Vec<String>, Problem> {
    let Some(written) = written else { return Ok(PROMISES.map(str::to_owned).to_vec()) };
    let key = "submission_ehlo";
    for line in written {
        let keyword = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
        let sound = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && line.len() <= 200
            && line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !sound {
            return Err(field
                .problem(key, format!("{line:?} is not a keyword of EHLO"))
                .hint("write each line of EHLO as a string of its own, such as \"SIZE 35882577\""));
        }
        if matches!(keyword.as_str(), "AUTH" | "STARTTLS") {
            return Err(field
                .problem(key, format!("{keyword} is not the provider's to promise"))
                .hint("remove it: the proxy itself says AUTH and STARTTLS"));
        }
    }
    Ok(written.to_vec())
}
