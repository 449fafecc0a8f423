//! The set-up of mail programs: settings and files of one account, for a visitor; and the one file of all accounts,
//! which programs ask for without a session and which tells nothing of any account.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::confirm::crumb;
use super::frame::{Frame, notice, text};
use super::words::{account_path, encoded};
use crate::admin::site::Site;
use crate::admin::visit::Visit;
use crate::control::Installation;
use crate::control::certs::ca_file;
use crate::control::setup::{Sheet, autoconfig, mobileconfig, outlook, settings};

const XML: &str = "text/xml; charset=utf-8";

pub(super) async fn show(visit: Visit, Path(name): Path<String>) -> Result<Response, Response> {
    let sheet = Sheet::of(&installation(&visit), &name).await.map_err(|error| visit.failure(&error))?;
    Ok(Frame::of(&visit.visitor, "Set-up").around(&page(&sheet)))
}

/// The installation with the ports that its listeners really have.
fn installation(visit: &Visit) -> Installation {
    let mut installation = visit.installation();
    installation.config = visit.site.running.config_as_bound();
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
                            tr { td { (door.title()) } td.mono data-label="Server" { (server.host) } td.mono data-label="Port" { (server.port) } td data-label="Security" { (server.security.title()) } td data-label="Sign-in" { "password, not OAuth2" } }
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

/// `/setup/ACCOUNT.mobileconfig`, `.xml`, `.txt`, and the CA.
pub(super) async fn file(visit: Visit, Path(file): Path<String>) -> Result<Response, Response> {
    let installation = installation(&visit);
    let failure = |error| visit.failure(&error);
    if file == "ca.crt" {
        let ca = ca_file(&installation).await.map_err(failure)?.and_then(|file| std::fs::read(file).ok());
        let ca = ca.ok_or_else(|| {
            visit.nothing_there("The listeners show your own certificate, so there is no CA to trust.")
        })?;
        return Ok(attachment("imap-oauth-proxy-ca.crt", "application/x-x509-ca-cert", ca));
    }
    let no_file = || visit.nothing_there("There is no such file.");
    let (name, ending) = file.rsplit_once('.').ok_or_else(no_file)?;
    let sheet = Sheet::of(&installation, name).await.map_err(failure)?;
    let (shown_name, kind, text) = match ending {
        "mobileconfig" => {
            (file.clone(), "application/x-apple-aspen-config", mobileconfig(&sheet).map_err(failure)?)
        }
        "xml" => (format!("{}.xml", sheet.domain()), XML, autoconfig(&sheet)),
        "txt" => (file.clone(), "text/plain; charset=utf-8", settings(&sheet)),
        _ => return Err(no_file()),
    };
    Ok(attachment(&shown_name, kind, text.into_bytes()))
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
