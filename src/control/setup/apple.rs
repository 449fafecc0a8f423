//! A configuration profile for Apple's Mail: the account, and the CA that the device must trust.
//!
//! A profile replaces an installed one with the same identifier, so identifiers and UUIDs are derived from the
//! account's address and the CA only. A profile holds no secret; the device asks for the password.

use base64::Engine as _;

use super::servers::Server;
use super::sheet::{Ca, Sheet};
use super::xml::Xml;
use crate::config::{Door, Security};
use crate::control::error::{Error, SetupError};
use crate::secret::sha256;

const HEAD: &str = "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n";
/// Prefix of all identifiers in a profile.
const PREFIX: &str = "imap-oauth-proxy";

/// The profile of an account, which needs a server for reading and one for sending.
pub(crate) fn mobileconfig(sheet: &Sheet) -> Result<String, Error> {
    let reading = sheet.servers.iter().find(|(door, _)| *door != Door::Submission);
    let (door, incoming) = reading.ok_or(SetupError::ProfileNeedsDoor { door: Door::Imap })?;
    let outgoing =
        sheet.server(Door::Submission).ok_or(SetupError::ProfileNeedsDoor { door: Door::Submission })?;
    let mut plist = Plist(Xml::new(HEAD));
    plist.0.begin("plist", &[("version", "1.0")]);
    plist.0.begin("dict", &[]);
    plist.string("PayloadType", "Configuration");
    plist.integer("PayloadVersion", 1);
    plist.names(&sheet.address, &format!("{} by imap-oauth-proxy", sheet.address));
    plist.0.text("key", "PayloadContent");
    plist.0.begin("array", &[]);
    if let Some(ca) = &sheet.ca {
        plist.trusted(ca);
    }
    plist.account(sheet, *door, incoming, outgoing);
    Ok(plist.0.finish())
}

struct Plist(Xml);

impl Plist {
    fn string(&mut self, key: &str, value: &str) {
        self.0.text("key", key);
        self.0.text("string", value);
    }

    fn integer(&mut self, key: &str, value: u16) {
        self.0.text("key", key);
        self.0.text("integer", &value.to_string());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.0.text("key", key);
        self.0.empty(if value { "true" } else { "false" });
    }

    /// Identifier, UUID and name of a payload; `what` is unique for each payload.
    fn names(&mut self, what: &str, shown: &str) {
        let uuid = uuid(what);
        self.string("PayloadIdentifier", &format!("{PREFIX}.{uuid}"));
        self.string("PayloadUUID", &uuid);
        self.string("PayloadDisplayName", shown);
    }

    fn trusted(&mut self, ca: &Ca) {
        self.0.begin("dict", &[]);
        self.string("PayloadType", "com.apple.security.root");
        self.integer("PayloadVersion", 1);
        let data = base64::engine::general_purpose::STANDARD.encode(&ca.der);
        self.names(&data, &ca.subject);
        self.0.text("key", "PayloadContent");
        self.0.text("data", &data);
        self.0.end();
    }

    fn account(&mut self, sheet: &Sheet, door: Door, incoming: &Server, outgoing: &Server) {
        let address = &sheet.address;
        self.0.begin("dict", &[]);
        self.string("PayloadType", "com.apple.mail.managed");
        self.integer("PayloadVersion", 1);
        self.names(&format!("mail {address}"), address);
        let kind = if door == Door::Imap { "EmailTypeIMAP" } else { "EmailTypePOP" };
        self.string("EmailAccountType", kind);
        self.string("EmailAccountDescription", address);
        self.string("EmailAddress", address);
        self.server("IncomingMailServer", incoming, address);
        self.server("OutgoingMailServer", outgoing, address);
        self.flag("OutgoingPasswordSameAsIncomingPassword", true);
        self.0.end();
    }

    fn server(&mut self, which: &str, server: &Server, user_name: &str) {
        self.string(&format!("{which}HostName"), &server.host);
        self.integer(&format!("{which}PortNumber"), server.port);
        // The device finds out by itself whether TLS begins at once or by STARTTLS.
        self.flag(&format!("{which}UseSSL"), server.security != Security::None);
        self.string(&format!("{which}Username"), user_name);
        self.string(&format!("{which}Authentication"), "EmailAuthPassword");
    }
}

/// The UUID (RFC 9562, version 8) for `what`, always the same.
fn uuid(what: &str) -> String {
    let hash = sha256(format!("{PREFIX}/{what}").as_bytes());
    let mut bytes: [u8; 16] = std::array::from_fn(|at| hash[at]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    let parts = [hex.get(..8), hex.get(8..12), hex.get(12..16), hex.get(16..20), hex.get(20..)];
    parts.map(Option::unwrap_or_default).join("-")
}
