//! The notices above the list of accounts: a secret or a certificate ends soon on which many accounts depend. Each names the
//! day, the file to change and the key in the configuration, because the person who reads it is going to change that file.

use std::collections::BTreeMap;

use maud::{Markup, html};
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::frame::text;
use super::words::{encoded, reload_button, when};
use crate::admin::visitors::Visitor;
use crate::control::overviews::{Ending, EndingOf};
use crate::surface::cures::configuration_file;

const DAY: StaticFormatDescription = format_description!("[day padding:none] [month repr:long] [year]");

/// The notice of an end. `accounts` has the number of accounts of each provider.
pub(super) fn notice(visitor: &Visitor, ending: &Ending, accounts: &BTreeMap<String, usize>) -> Markup {
    let number = |provider: &String| accounts.get(provider).copied().unwrap_or(0);
    html! {
        div.notice role="note" {
            @match &ending.of {
                EndingOf::ClientSecret { provider, title, file } => {
                    p { (mark()) " The client secret of " strong { (title) } (ends(ending)) (with_accounts(provider, number(provider))) }
                    (renewed_secret(provider, file.as_deref()))
                    div.actions { (reload_button(visitor)) }
                }
                EndingOf::AppCertificate { provider, title, file } => {
                    p { (mark()) " The application's certificate for " strong { (title) } (ends(ending)) (with_accounts(provider, number(provider))) }
                    p { "Register a new one at the provider, and put it into " code { (text(&file.display().to_string())) } ", the "
                        code { "app_certificate" } " of " code { "[providers." (provider) "]" } ", with its key into " code { "app_key" } ". The files are read at each use." }
                }
                EndingOf::OwnCertificate { file } => {
                    p { (mark()) " The certificate that mail programs see" (ends(ending)) ", and then they refuse to connect." }
                    p { "Renew " code { (text(&file.display().to_string())) } ", the " code { "certificate" } " of " code { "[tls]" }
                        ". The new files are picked up by themselves." }
                }
            }
        }
    }
}

fn mark() -> Markup {
    html! { span.mark aria-hidden="true" { "!" } }
}

/// " ends on 3 December 2026, in 4 days".
fn ends(ending: &Ending) -> Markup {
    let now = OffsetDateTime::now_utc();
    let day = ending.at.to_offset(UtcOffset::UTC).format(&DAY).unwrap_or_default();
    let verb = if ending.at < now { "ended" } else { "ends" };
    html! { " " (verb) " on " (day) ", " (when(ending.at, now)) }
}

/// What stops with it.
fn with_accounts(provider: &str, accounts: usize) -> Markup {
    let of_provider = format!("/?provider={}", encoded(provider));
    html! {
        @match accounts {
            0 => "; no account uses it yet.",
            1 => { ", and with it " a href=(of_provider) { "its account" } " stops working." }
            more => { ", and with it " a href=(of_provider) { "its " (more) " accounts" } " stop working." }
        }
    }
}

/// Where a new secret goes.
fn renewed_secret(provider: &str, file: Option<&std::path::Path>) -> Markup {
    let config = text(&configuration_file());
    html! {
        p {
            "Make a new one at the provider. "
            @match file {
                Some(file) => {
                    "Put it into " code { (text(&file.display().to_string())) } ", the " code { "client_secret_file" } " of "
                    code { "[providers." (provider) "]" } ", and its last day as " code { "client_secret_expires" } " into "
                    code { (config) } "; then:"
                }
                None => {
                    "Put it into " code { (config) } " as " code { "client_secret" } " of " code { "[providers." (provider) "]" }
                    ", with its last day as " code { "client_secret_expires" } "; then:"
                }
            }
        }
    }
}
