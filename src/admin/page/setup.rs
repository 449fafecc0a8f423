//! The set-up of mail programs: settings and files of one account, for a visitor; and the one file of all accounts,
//! which programs ask for without a session and which tells nothing of any account.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::confirm::crumb;
use super::frame::{Frame, failure, nothing_there, notice, text};
use super::words::{account_path, encoded};
use crate::admin::site::Site;
use crate::admin::visitors::Visitor;
use crate::config::Security;
use crate::control::Installation;
use crate::control::setup::{Sheet, autoconfig, mobileconfig, outlook, settings};

const XML: &str = "text/xml; charset=utf-8";

pub(super) async fn show(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Response {
    let sheet = match Sheet::of(&installation(&site, &visitor), &name).await {
        Ok(sheet) => sheet,
        Err(error) => return failure(&visitor, &error),
    };
    let frame = Frame { title: "Set-up", visitor: &visitor, part: "/", said: None, reload: None };
    frame.around(&page(&sheet))
}

/// The installation with the ports that its listeners really have.
fn installation(site: &Site, visitor: &Visitor) -> Installation {
    let mut installation = site.installation(visitor);
    installation.config = site.running.config_as_bound();
    installation
}

fn page(sheet: &Sheet) -> Markup {
    let (path, name) = (account_path(&sheet.address), encoded(&sheet.address));
    html! {
        (crumb(&sheet.address))
        div.head { h1 { "Set-up of mail programs" } }
        section.card {
            h2 { "Settings for any program" }
            div.scroll {
                table.tight {
                    thead { tr { th { "For" } th { "Server" } th { "Port" } th { "Security" } th { "Sign-in" } } }
                    tbody {
                        @for (door, server) in &sheet.servers {
                            tr { td { (door.title()) } td.mono data-label="Server" { (server.host) } td.mono data-label="Port" { (server.port) } td data-label="Security" { (security(server.security)) } td data-label="Sign-in" { "password, not OAuth2" } }
                        }
                    }
                }
            }
            dl {
                dt { "User name" } dd.mono { (text(&sheet.address)) }
                dt { "Password" } dd { "an app password, from " a href=(path) { "the account's page" } }
            }
            p { a.button href={ "/setup/" (name) ".txt" } download { "As a text" } }
        }
        @if sheet.ca.is_some() {
            section.card {
                h2 { "Certificate to trust" }
                p { "The servers show a certificate of the proxy's own CA, which each device has to trust once." }
                p { a.button href="/setup/ca.crt" download { "Download the CA" } }
            }
        }
        div.cards {
            section.card {
                h2 { "Thunderbird" }
                p { "Put this file into the directory " code { "isp" } " of Thunderbird's program directory as " code { (text(sheet.domain())) ".xml" } "; then New Account needs the address and the password alone." }
                p { a.button href={ "/setup/" (name) ".xml" } download { "Thunderbird's file" } }
            }
            section.card {
                h2 { "iPhone, iPad and Mac" }
                p { "Open this profile on the device and install it under Settings › General › VPN & Device Management. It holds the CA, and no password." }
                p { a.button href={ "/setup/" (name) ".mobileconfig" } download { "Profile" } }
            }
        }
        section.card { h2 { "Outlook" } ol { @for step in outlook(sheet, "the CA, which is above,") { li { (text(&step)) } } } }
    }
}

fn security(security: Security) -> &'static str {
    match security {
        Security::Tls => "SSL/TLS",
        Security::Starttls => "STARTTLS",
        Security::None => "none",
    }
}

/// `/setup/ACCOUNT.mobileconfig`, `.xml`, `.txt`, and the CA.
pub(super) async fn file(
    State(site): State<Arc<Site>>,
    visitor: Visitor,
    Path(file): Path<String>,
) -> Response {
    let installation = installation(&site, &visitor);
    if file == "ca.crt" {
        return match crate::control::certs::ca_file(&installation)
            .await
            .map(|file| file.and_then(|file| std::fs::read(file).ok()))
        {
            Ok(Some(ca)) => attachment("imap-oauth-proxy-ca.crt", "application/x-x509-ca-cert", ca),
            Ok(None) => nothing_there(
                &visitor,
                "The listeners show your own certificate, so there is no CA to trust.",
            ),
            Err(error) => failure(&visitor, &error),
        };
    }
    let Some((name, ending)) = file.rsplit_once('.') else {
        return nothing_there(&visitor, "There is no such file.");
    };
    let sheet = match Sheet::of(&installation, name).await {
        Ok(sheet) => sheet,
        Err(error) => return failure(&visitor, &error),
    };
    match ending {
        "mobileconfig" => match mobileconfig(&sheet) {
            Ok(profile) => attachment(&file, "application/x-apple-aspen-config", profile.into_bytes()),
            Err(error) => failure(&visitor, &error),
        },
        "xml" => attachment(&format!("{}.xml", sheet.domain()), XML, autoconfig(&sheet).into_bytes()),
        "txt" => attachment(&file, "text/plain; charset=utf-8", settings(&sheet).into_bytes()),
        _ => nothing_there(&visitor, "There is no such file."),
    }
}

fn attachment(name: &str, kind: &'static str, content: Vec<u8>) -> Response {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@.-_+".contains(c);
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, disposition)], content).into_response()
}

/// The file that programs ask for by themselves, the same for every address.
pub(super) async fn of_all(State(site): State<Arc<Site>>) -> Response {
    match Sheet::of_all(&site.running.config_as_bound()) {
        Some(sheet) => ([(CONTENT_TYPE, XML)], autoconfig(&sheet)).into_response(),
        None => notice(StatusCode::NOT_FOUND, "No set-up", "No listener of this proxy is for mail programs."),
    }
}
