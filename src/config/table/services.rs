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
    let mut services = Vec::new();
    if let Some(endpoint) = endpoint(field, Door::Imap, file.imap.as_deref())? {
        services.push(Service {
            door: Door::Imap,
            endpoint,
            security: file.imap_security.unwrap_or(UpstreamSecurity::Tls),
            mechanisms: mechanisms.clone(),
            sasl_ir: file.sasl_ir,
            max_connections_per_account: file.max_connections_per_account,
            scopes: scopes(field, Door::Imap, file.imap_scopes.as_deref())?,
            promises: Vec::new(),
            sign_in_as: None,
        });
    }
    if let Some(endpoint) = endpoint(field, Door::Pop3, file.pop3.as_deref())? {
        services.push(Service {
            door: Door::Pop3,
            endpoint,
            security: file.pop3_security.unwrap_or(UpstreamSecurity::Tls),
            mechanisms: mechanisms.clone(),
            sasl_ir: None,
            max_connections_per_account: Some(file.pop3_max_connections_per_account.unwrap_or(POP3_SESSIONS)),
            scopes: scopes(field, Door::Pop3, file.pop3_scopes.as_deref())?,
            promises: CAPABILITIES.map(str::to_owned).to_vec(),
            sign_in_as: None,
        });
    }
    if let Some(endpoint) = endpoint(field, Door::Submission, file.smtp.as_deref())? {
        let by_port = match endpoint.port {
            SUBMISSIONS => UpstreamSecurity::Tls,
            _ => UpstreamSecurity::Starttls,
        };
        services.push(Service {
            door: Door::Submission,
            endpoint,
            security: file.smtp_security.unwrap_or(by_port),
            mechanisms,
            sasl_ir: None,
            max_connections_per_account: file.smtp_max_connections_per_account,
            scopes: scopes(field, Door::Submission, file.smtp_scopes.as_deref())?,
            promises: promises(field, file.submission_ehlo.as_deref())?,
            sign_in_as: file.submission_user,
        });
    }
    match services.is_empty() {
        true => Err(field.missing("imap")),
        false => Ok(services),
    }
}

fn endpoint(field: &Field<'_>, door: Door, text: Option<&str>) -> Result<Option<Endpoint>, Problem> {
    let parse = |text: &str| text.parse().map_err(|message: &str| field.problem(door.server_key(), message));
    text.map(parse).transpose()
}

/// Scopes for this door, besides the provider's own.
fn scopes(field: &Field<'_>, door: Door, written: Option<&[String]>) -> Result<Vec<String>, Problem> {
    let scopes = written.unwrap_or_default().to_vec();
    field.check_scopes(&format!("{}_scopes", door.server_key()), &scopes)?;
    Ok(scopes)
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
