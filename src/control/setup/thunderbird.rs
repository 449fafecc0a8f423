//! Thunderbird's configuration of a domain's accounts, in the form of its autoconfig.
//!
//! User names are written as `%EMAILADDRESS%`, which Thunderbird replaces, so that one file serves every account
//! of the domain. The file holds no secret; Thunderbird asks for the password.

use super::sheet::Sheet;
use super::xml::Xml;
use crate::config::{Door, Security};

/// The file for the domain of an account.
pub(crate) fn autoconfig(sheet: &Sheet) -> String {
    let mut xml = Xml::new("");
    let domain = sheet.domain();
    xml.begin("clientConfig", &[("version", "1.1")]);
    xml.begin("emailProvider", &[("id", domain)]);
    xml.text("domain", domain);
    xml.text("displayName", &format!("{domain} by imap-oauth-proxy"));
    xml.text("displayShortName", domain);
    let user_name = if sheet.address.contains('@') { "%EMAILADDRESS%" } else { &sheet.address };
    for (door, server) in &sheet.servers {
        let (element, kind) = match door {
            Door::Submission => ("outgoingServer", "smtp"),
            // Thunderbird's names are those of the doors.
            reading => ("incomingServer", reading.name()),
        };
        xml.begin(element, &[("type", kind)]);
        xml.text("hostname", &server.host);
        xml.text("port", &server.port.to_string());
        xml.text("socketType", socket_type(server.security));
        xml.text("authentication", "password-cleartext");
        xml.text("username", user_name);
        xml.end();
    }
    xml.finish()
}

fn socket_type(security: Security) -> &'static str {
    match security {
        Security::Tls => "SSL",
        Security::Starttls => "STARTTLS",
        Security::None => "plain",
    }
}
