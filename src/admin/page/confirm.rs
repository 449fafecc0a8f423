//! The page before an act that cannot be taken back: it says what will be lost, and offers the way back first.

use axum::response::Response;
use maud::{Markup, html};

use super::frame::{Frame, text, token};
use super::words::account_path;
use crate::admin::visitors::Visitor;

/// A question before an act.
pub(super) struct Question<'a> {
    pub(super) account: &'a str,
    /// The last part of the act's address.
    pub(super) act: &'a str,
    pub(super) title: &'a str,
    /// One sentence each.
    pub(super) losses: &'a [String],
    pub(super) button: &'a str,
    /// A further field of the form.
    pub(super) field: Option<(&'a str, &'a str)>,
}

/// The way back to the account's page.
pub(super) fn crumb(account: &str) -> Markup {
    html! { p.crumb { a href="/" { "Accounts" } " / " a href=(account_path(account)) { (text(account)) } } }
}

impl Question<'_> {
    pub(super) fn page(&self, visitor: &Visitor) -> Response {
        let path = account_path(self.account);
        let content = html! {
            (crumb(self.account))
            section.card.danger-zone {
                h1 { (self.title) "?" }
                ul { @for loss in self.losses { li { (loss) } } }
                form.actions method="post" action={ (path) "/" (self.act) } {
                    (token(visitor))
                    @if let Some((name, value)) = self.field { input type="hidden" name=(name) value=(value); }
                    a.button href=(path) { "Leave it as it is" }
                    button.danger type="submit" { (self.button) }
                }
            }
        };
        Frame::of(visitor, self.title).around(&content)
    }
}
