//! The result of a visitor's act, which the next page shows once. That page follows a redirect, so that a reload
//! repeats neither the act nor the message. The message is kept in the store, because another instance may show the
//! next page.

use maud::{Markup, html};

use super::page::Added;
use crate::secret::Secret;

/// The result of an act.
pub(super) enum Said {
    /// The act is done; the sentence says what has changed.
    Done(String),
    /// The act failed. Nothing has changed, unless the cause says so. Cause and cures are sentences.
    Failed { cause: String, cures: Vec<String> },
    /// A new app password, which is shown this once.
    Password { account: String, name: String, password: Secret },
    /// The sign-in link of an account.
    Link { account: String, link: Secret },
    /// New accounts.
    Added(Box<Added>),
}

impl Said {
    /// The message of an act that failed.
    pub(super) fn failed(cause: impl Into<String>, cures: Vec<String>) -> Self {
        Self::Failed { cause: cause.into(), cures }
    }

    /// The message as a part of a page.
    pub(super) fn shown(&self) -> Markup {
        match self {
            Self::Done(what) => html! {
                div.said.done role="status" { p { span.mark aria-hidden="true" { "✓" } " " (what) } }
            },
            Self::Failed { cause, cures } => html! {
                div.said.failed role="alert" {
                    p { span.mark aria-hidden="true" { "!" } " " (cause) }
                    @for cure in cures { p.cure { (cure) } }
                }
            },
            Self::Added(added) => added.shown(),
            Self::Link { account, link } => html! {
                div.said.done role="status" {
                    label for="link" { "The sign-in link of " (account) }
                    div.shown-once { input.mono id="link" readonly data-copy="Copy sign-in link" value=(link.expose()); }
                    p.cure { "Send it to the account's owner. It begins the consent of this account and nothing else, and ends with the next authorisation." }
                }
            },
            Self::Password { account, name, password } => html! {
                div.said.done role="status" {
                    p { span.mark aria-hidden="true" { "✓" } " The app password called " strong { (name) } " for " strong { (account) } ", shown this once:" }
                    p.shown-once { code.password tabindex="0" data-copy="Copy the password" { (password.expose()) } }
                    p.cure { "Type it into the mail program now. A reload of this page does not show it again." }
                }
            },
        }
    }
}
