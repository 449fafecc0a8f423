//! Settings and steps for people.

use super::sheet::Sheet;
use crate::config::{Door, Security};

/// The settings for any program.
pub(crate) fn settings(sheet: &Sheet) -> String {
    let mut text = String::new();
    for (door, server) in &sheet.servers {
        text.push_str(&format!(
            "{}\n  Server     {}\n  Port       {}\n  Security   {}\n  Sign-in    password (\"normal password\", PLAIN or LOGIN; not OAuth2)\n",
            door.title(),
            server.host,
            server.port,
            server.security.title()
        ));
    }
    text.push_str(&format!("User name    {}\nPassword     an app password of the proxy\n", sheet.address));
    if let Some(ca) = &sheet.ca {
        text.push_str(&format!("CA to trust  {}\n", ca.file.display()));
    }
    text
}

/// Steps for Outlook, which reads no set-up file, one sentence each; `ca_file` says where the person finds the CA.
pub(crate) fn outlook(sheet: &Sheet, ca_file: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    if sheet.ca.is_some() {
        steps.push(format!(
            "Copy {ca_file} to the computer as imap-oauth-proxy-ca.crt, open it, and choose Install Certificate > Local Machine > Place all certificates in the following store > Trusted Root Certification Authorities.",
        ));
    }
    steps.push(format!(
        "Outlook (classic): File > Add Account > {} > Advanced options > Let me set up my account manually > IMAP or POP. (Mail in the Control Panel does the same.)",
        sheet.address
    ));
    for (door, server) in &sheet.servers {
        let which = if *door == Door::Submission { "Outgoing mail" } else { "Incoming mail" };
        let encryption = if server.security == Security::None { "None" } else { server.security.title() };
        steps.push(format!(
            "{which} ({}): server {}, port {}, encryption method {encryption}; \"Require logon using Secure Password Authentication\" stays off.",
            door.title(),
            server.host,
            server.port
        ));
    }
    steps.push(format!("User name {}, and an app password of the proxy as the password.", sheet.address));
    steps
}
