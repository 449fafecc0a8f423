//! Texts that several pages use: times, states, doors, and the cures of troubles.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;

use super::frame::{Frame, text, token};
use crate::admin::once::Led;
use crate::admin::said::Said;
use crate::admin::site::Site;
use crate::admin::visit::Visit;
use crate::admin::visitors::Visitor;
use crate::command;
use crate::config::Door;
use crate::control::grants::{Overview, State};
use crate::control::overviews::{Kind, SOON, Standing};
use crate::secret::Secret;
use crate::store::takes_consent;
use crate::text::{rfc3339, utc};
use crate::trouble::{CauseKind, Cure, Trouble};

/// The address of the page of the account called `name`.
pub(in crate::admin) fn account_path(name: &str) -> String {
    format!("/accounts/{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}

/// A part of an address.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl Visit {
    /// Redirects to `path`, where `said` is shown once.
    pub(super) async fn lead(&self, path: &str, said: Said) -> Response {
        let led = Led { path: path.to_owned(), said: Secret::new(said.shown().0) };
        let mut response = show_at(&self.site, &self.visitor, path, &led.said).await;
        response.extensions_mut().insert(led);
        response
    }
}

/// Redirects to `path`, where `said`, a part of a page, is shown once.
pub(in crate::admin) async fn show_at(site: &Site, visitor: &Visitor, path: &str, said: &Secret) -> Response {
    let Ok(name) = site.visitors.say(visitor, said).await else {
        // The message could not be kept for the next page, so this answer shows it: it may hold a new password, which
        // is shown only once.
        let said = Some(PreEscaped(said.expose().to_owned()));
        let frame = Frame { said, ..Frame::of(visitor, "What was done") };
        return frame.around(&html! { p { a.button href=(path) { "Go on" } } });
    };
    let mark = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{mark}said={name}")).into_response()
}

/// A time relative to `now`, such as "3 hours ago", with the exact time as a tooltip.
pub(super) fn when(at: OffsetDateTime, now: OffsetDateTime) -> Markup {
    html! { time datetime=(rfc3339(at)) title=(utc(at)) { (relative(at, now)) } }
}

fn relative(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = now.unix_timestamp().saturating_sub(at.unix_timestamp());
    let (span, is_past) = (seconds.unsigned_abs(), seconds >= 0);
    let words = match span {
        0..=59 if is_past => return "just now".to_owned(),
        0..=3599 => count(span.div_ceil(60), "minute"),
        3600..=86_399 => count(span / 3600, "hour"),
        86_400..=5_183_999 => count(span / 86_400, "day"),
        _ => return at.date().to_string(),
    };
    if is_past { format!("{words} ago") } else { format!("in {words}") }
}

/// "1 account", "2 accounts".
pub(super) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// How an account stands, as a sign and a word.
pub(super) fn state(overview: &Overview) -> Markup {
    let standing = Standing::of(overview);
    let (kind, sign) = match standing {
        Standing::Works => ("good", "✓"),
        Standing::Misconfigured => ("bad", "✕"),
        Standing::WaitingForAdministrator => ("bad", "…"),
        Standing::NeedsAuthorization
        | Standing::Refused
        | Standing::NoPassword
        | Standing::RefusedAfterLogin => ("bad", "!"),
        Standing::Retrying => ("warn", "↻"),
        Standing::Disabled => ("", "‖"),
    };
    html! { span.state.(kind) { span.mark aria-hidden="true" { (sign) } (standing_title(standing)) } }
}

/// The name of a kind in the filter.
pub(super) fn kind_title(kind: Kind) -> &'static str {
    match kind {
        Kind::NeedsPerson => "Needs a person",
        Kind::EndsSoon => "Ends within 14 days",
        Kind::Of(standing) => standing_title(standing),
    }
}

fn standing_title(standing: Standing) -> &'static str {
    match standing {
        Standing::Works => "Works",
        Standing::NeedsAuthorization => "Needs authorisation",
        Standing::WaitingForAdministrator => "Waits for an administrator",
        Standing::Refused => "Refused by the mail server",
        Standing::Misconfigured => "Misconfigured",
        Standing::NoPassword => "No app password opens it",
        Standing::RefusedAfterLogin => "Refused after a login",
        Standing::Retrying => "Retrying",
        Standing::Disabled => "Disabled",
    }
}

/// What is wrong with the app passwords of an account, or ends soon, and the way to a new one.
pub(super) fn of_keys(overview: &Overview, now: OffsetDateTime) -> Markup {
    let soon = overview.keys.end_by(now.saturating_add(SOON));
    let name = &overview.account.name;
    if overview.state == State::Disabled || !(overview.keys.open_for_none() || soon.is_some()) {
        return html! {};
    }
    html! {
        p {
            @match (overview.keys.open_for_none(), overview.keys.passwords, soon) {
                (true, 0, _) => "It has no app password, so no mail program can log in.",
                (true, 1, _) => "The last day of its app password is over, so no mail program can log in.",
                (true, _, _) => "The last days of its app passwords are over, so no mail program can log in.",
                (false, _, Some(day)) => { "The last day of an app password is " (day) "." }
                (false, _, None) => {}
            }
        }
        div.actions { a.button.small.main href={ (account_path(name)) "?new=password#" (NEW_PASSWORD) } { "New app password" } }
    }
}

/// The section for a new app password on the account's page.
pub(super) const NEW_PASSWORD: &str = "new-password";

/// The doors in a few words.
pub(super) fn doors(doors: &[Door]) -> String {
    let titles: Vec<&str> = doors
        .iter()
        .map(|door| match door {
            Door::Imap => "IMAP",
            Door::Pop3 => "POP3",
            Door::Submission => "sending",
        })
        .collect();
    titles.join(", ")
}

/// A button that sends a form without further fields.
pub(super) fn button(visitor: &Visitor, action: &str, kind: &str, title: &str) -> Markup {
    html! {
        form method="post" action=(action) { (token(visitor)) button.(kind) type="submit" { (title) } }
    }
}

/// The button that loads the configuration again, after a person has changed its file.
pub(super) fn reload_button(visitor: &Visitor) -> Markup {
    button(visitor, "/reload", "small", "Load the configuration again")
}

/// A trouble of an account: its cause, its cure, and the button for the cure.
pub(super) fn trouble(visitor: &Visitor, overview: &Overview, trouble: &Trouble) -> Markup {
    let cure = match (&trouble.cure, can_consent(overview)) {
        (Cure::Authorize { .. }, false) => {
            let command = command::authorize_by(overview.grant.as_ref(), &overview.account.name);
            trouble.cure.words(&command)
        }
        (cure, _) => cure_words(cure),
    };
    if overview.state == State::Disabled {
        // Nothing else mends it while every login is refused.
        let path = account_path(&overview.account.name);
        return html! {
            p { (text(&first_upper(&trouble.cause.text))) "." }
            div.actions { (button(visitor, &format!("{path}/enable"), "small", "Enable")) }
        };
    }
    html! {
        p { (text(&first_upper(&trouble.cause.text))) "." }
        @if !cure.is_empty() && !is_the_button(&cure) { p.cure.muted { (text(&first_upper(&cure))) "." } }
        (cure_button(visitor, overview, trouble))
    }
}

/// Whether the cure only repeats the button below it.
fn is_the_button(cure: &str) -> bool {
    cure.strip_prefix("press “").and_then(|cure| cure.strip_suffix("”")) == Some(AGAIN)
}

/// Whether the account can be opened by a person's consent, which the page can begin.
pub(super) fn can_consent(overview: &Overview) -> bool {
    takes_consent(&overview.account, overview.grant.as_ref())
}

/// The button for the cure, if there is one.
fn cure_button(visitor: &Visitor, overview: &Overview, trouble: &Trouble) -> Markup {
    let path = account_path(&overview.account.name);
    html! {
        @match &trouble.cure {
            Cure::Authorize { .. } if can_consent(overview) => {
                div.actions { (button(visitor, &format!("{path}/authorise"), "main small", authorise(overview))) }
            }
            Cure::Configure { .. } => {
                div.actions { (reload_button(visitor)) (button(visitor, &format!("{path}/check"), "small", "Check now")) }
            }
            Cure::AdminConsent { url: Some(url), .. } if url.starts_with("https://") => {
                div.actions { a.button.small href=(url) target="_blank" rel="noreferrer noopener" { "Open the administrator's link" } }
            }
            Cure::Authorize { .. } => {}
            // Something that no button of this page does: the check says whether it is done.
            Cure::Wait { .. } | Cure::Administrator { .. } | Cure::Advice { .. } | Cure::AdminConsent { .. } | Cure::Unknown => {
                div.actions { (button(visitor, &format!("{path}/check"), "small", "Check now")) }
            }
        }
    }
}

/// The title of the button that begins a person's consent.
const AGAIN: &str = "Authorise again";

/// The title of the button for an account.
pub(super) fn authorise(overview: &Overview) -> &'static str {
    let cause = overview.trouble.as_ref().map(|trouble| trouble.cause.kind);
    if cause == Some(CauseKind::NoGrant) { "Authorise" } else { AGAIN }
}

/// The cure in the words of the page: a command that is a button here is named as the button.
pub(super) fn cure_words(cure: &Cure) -> String {
    let words = match cure {
        Cure::AdminConsent { text, .. } => text.clone(),
        _ => cure.words(AGAIN),
    };
    let words = words.replace(" --device`", "`").replace(" --paste`", "`");
    words
        .replace(&format!("run `{AGAIN}`"), &format!("press “{AGAIN}”"))
        .replace(&format!("run: {AGAIN}"), &format!("press “{AGAIN}”"))
}

/// A clause as the beginning of a sentence. A name or an address keeps its form.
pub(super) fn first_upper(clause: &str) -> String {
    let word = clause.split(' ').next().unwrap_or_default();
    let is_word = word != "localhost" && word.chars().all(|c| c.is_ascii_lowercase() || ",;:'".contains(c));
    let mut letters = clause.chars();
    match letters.next() {
        Some(first) if is_word => first.to_uppercase().chain(letters).collect(),
        _ => clause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::Way;

    #[test]
    fn a_time_is_said_in_the_largest_unit_that_fits() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (seconds, words) in [
            (0, "just now"),
            (-30, "just now"),
            (-61, "2 minutes ago"),
            (-7200, "2 hours ago"),
            (-86_400, "1 day ago"),
            (30, "in 1 minute"),
            (86_400 * 5 + 60, "in 5 days"),
            (86_400 * 90, "2027-04-15"),
        ] {
            assert_eq!(relative(now + time::Duration::seconds(seconds), now), words);
        }
    }

    #[test]
    fn a_cure_names_the_button_instead_of_the_command() {
        let by_device = Cure::authorize_by(Some(Way::Device), "set a new password, then ", " and accept");
        for (cure, words) in [
            (Cure::authorize(), "press “Authorise again”"),
            (by_device, "set a new password, then press “Authorise again” and accept"),
            (Cure::authorize_with("run: ", ""), "press “Authorise again”"),
            (Cure::wait("it is tried again"), "it is tried again"),
            (Cure::Unknown, ""),
        ] {
            assert_eq!(cure_words(&cure), words);
        }
        assert_eq!(first_upper("the grant is over"), "The grant is over");
        assert_eq!(first_upper("localhost has 1 address"), "localhost has 1 address");
        assert_eq!(first_upper("imap.example.com does not answer"), "imap.example.com does not answer");
    }
}
