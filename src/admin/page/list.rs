//! The list of accounts, with search, filters and pages. Accounts that need a person come first, with their number and
//! their cures.

use axum::response::Response;
use maud::{Markup, html};
use time::{Date, OffsetDateTime};

use super::endings::notice;
use super::frame::text;
use super::words::{account_path, count, doors, encoded, kind_title, of_keys, state, trouble, when};
use crate::admin::visit::{Fields, Visit};
use crate::admin::visitors::Visitor;
use crate::control::grants::Overview;
use crate::control::overviews::{Ending, Kind, Listing, Standing, Urgency, Wanted, endings, search};
use crate::control::{Error, Installation};

/// The accounts of a page.
const SIZE: usize = 50;

pub(super) async fn show(visit: Visit) -> Result<Response, Response> {
    let mut asked = Asked::read(&visit.query);
    let installation = visit.installation();
    let listing = found(&installation, &mut asked).await.map_err(|error| visit.failure(&error))?;
    let title = match listing.wrong {
        0 => "Accounts".to_owned(),
        number => format!("({number}) Accounts"),
    };
    let ending = endings(&installation).await;
    Ok(visit.page("/", &title, &page(&visit.visitor, &asked, &listing, &ending)).await)
}

/// What is asked for; the last page where the address names one behind it, as after a removal.
async fn found(installation: &Installation, asked: &mut Asked) -> Result<Listing, Error> {
    let listing = search(installation, &asked.wanted, asked.page, SIZE).await?;
    let last = listing.matching.div_ceil(SIZE).max(1) - 1;
    if asked.page <= last {
        return Ok(listing);
    }
    asked.page = last;
    search(installation, &asked.wanted, last, SIZE).await
}

/// The search and the page that the address asks for.
struct Asked {
    wanted: Wanted,
    /// The word of the kind in the address.
    kind: String,
    page: usize,
}

impl Asked {
    fn read(fields: &Fields) -> Self {
        let kind = fields.one("kind").to_owned();
        let provider = Some(fields.one("provider").to_owned()).filter(|provider| !provider.is_empty());
        let wanted = Wanted { text: fields.one("q").to_owned(), kind: Kind::named(&kind), provider };
        let page = fields.one("page").parse::<usize>().unwrap_or(1).clamp(1, 1_000_000) - 1;
        Self { wanted, kind, page }
    }

    fn is_filtered(&self) -> bool {
        self.wanted != Wanted::default()
    }

    /// The address of another page of the same list.
    fn address(&self, page: usize) -> String {
        let provider = self.wanted.provider.as_deref().unwrap_or_default();
        let (text, provider) = (encoded(&self.wanted.text), encoded(provider));
        format!("/?q={text}&kind={}&provider={provider}&page={}", encoded(&self.kind), page + 1)
    }
}

fn page(visitor: &Visitor, asked: &Asked, listing: &Listing, ending: &[Ending]) -> Markup {
    html! {
        div.head {
            h1 { "Accounts" }
            div.actions { a.button.main href="/add" { "Add accounts" } }
        }
        // Each part is there in any case: the script looks for it in the next page, when there are accounts or none.
        @let is_empty = listing.total() == 0;
        div id="counts" data-live="15" {
            @if !is_empty {
                (chips(asked, listing))
                @for ending in ending { (notice(visitor, ending, &listing.providers)) }
            }
        }
        div id="filter" data-live="15" { @if !is_empty { (filter(asked, listing)) } }
        div id="accounts" data-live="15" { @if is_empty { (no_account()) } @else { (groups(visitor, asked, listing)) } }
    }
}

fn no_account() -> Markup {
    html! {
        div.card.empty {
            h2 { "No account yet" }
            p { "An account is a mailbox that mail programs reach through this proxy." }
            p { a.button.main href="/add" { "Add accounts" } }
        }
    }
}

/// The counts over all accounts, each a filter.
fn chips(asked: &Asked, listing: &Listing) -> Markup {
    let chip = |kind: &str, class: &str, words: &str| {
        let address = if kind.is_empty() { "/".to_owned() } else { format!("/?kind={kind}") };
        let is_current = asked.kind == kind && asked.wanted.text.is_empty();
        html! { li { a.(class) href=(address) aria-current=[is_current.then_some("true")] { (words) } } }
    };
    html! {
        nav.counts aria-label="Counts" {
            ul.chips {
                (chip("", "", &count(listing.total() as u64, "account")))
                @match listing.need_person {
                    0 if listing.wrong == 0 => (chip("needs_person", "", "None needs a person")),
                    0 => {}
                    1 => (chip("needs_person", "bad", "1 needs a person")),
                    number => (chip("needs_person", "bad", &format!("{number} need a person"))),
                }
                @match listing.number_of(Standing::NoPassword) {
                    0 => {}
                    number => (chip(Standing::NoPassword.word(), "bad", &format!("{number} that no app password opens"))),
                }
                @match listing.number_of(Standing::RefusedAfterLogin) {
                    0 => {}
                    number => (chip(Standing::RefusedAfterLogin.word(), "bad", &format!("{number} refused after a login"))),
                }
                @if listing.end_soon > 0 {
                    (chip("ends_soon", "warn", &format!("{} within 14 days", if listing.end_soon == 1 { "1 ends".to_owned() } else { format!("{} end", listing.end_soon) })))
                }
            }
        }
    }
}

fn filter(asked: &Asked, listing: &Listing) -> Markup {
    html! {
        form.filter method="get" action="/" role="search" {
            label { "Search" input type="search" name="q" value=(asked.wanted.text) placeholder="Address, alias or owner" maxlength="320"; }
            label { "State"
                select name="kind" {
                    option value="" { "All" }
                    @for (word, kind) in Kind::all() {
                        option value=(word) selected[asked.wanted.kind == Some(kind)] {
                            (kind_title(kind))
                            @if let Kind::Of(standing) = kind { " (" (listing.number_of(standing)) ")" }
                        }
                    }
                }
            }
            label { "Provider"
                select name="provider" {
                    option value="" { "All" }
                    @for (provider, count) in &listing.providers {
                        option value=(provider) selected[asked.wanted.provider.as_ref() == Some(provider)] { (provider) " (" (count) ")" }
                    }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn groups(visitor: &Visitor, asked: &Asked, listing: &Listing) -> Markup {
    let of = |urgency: Urgency| -> Vec<&Overview> {
        listing.shown.iter().filter(|(other, _)| *other == urgency).map(|(_, overview)| overview).collect()
    };
    let is_mixed = listing.shown.iter().any(|(urgency, _)| *urgency != Urgency::None);
    html! {
        @if listing.shown.is_empty() {
            div.card.empty {
                p { "No account is like that." }
                p { a.button href="/" { "Show all accounts" } }
            }
        }
        (group(visitor, "Needs a person", &of(Urgency::NeedsPerson)))
        (group(visitor, "Needs the configuration changed", &of(Urgency::Misconfigured)))
        (group(visitor, "No app password opens it", &of(Urgency::NoPassword)))
        (group(visitor, "Refused after a login", &of(Urgency::RefusedAfterLogin)))
        (group(visitor, "Ends soon", &of(Urgency::EndsSoon)))
        (group(visitor, if is_mixed { "The others" } else { "Accounts" }, &of(Urgency::None)))
        (pages(asked, listing))
    }
}

fn group(visitor: &Visitor, title: &str, overviews: &[&Overview]) -> Markup {
    if overviews.is_empty() {
        return html! {};
    }
    let now = OffsetDateTime::now_utc();
    html! {
        section {
            h2 { (title) }
            div.list {
                table {
                    thead { tr { th.account { "Account" } th { "State" } th.brief { "Opens" } th.brief { "Nearest end" } th.brief { "Last login" } } }
                    tbody { @for overview in overviews { (row(visitor, overview, now)) } }
                }
            }
        }
    }
}

fn row(visitor: &Visitor, overview: &Overview, now: OffsetDateTime) -> Markup {
    let Overview { account, grant, .. } = overview;
    let owner = grant.as_ref().map(|grant| grant.owner.as_str()).filter(|owner| *owner != account.name);
    html! {
        tr {
            td.account {
                a href=(account_path(&account.name)) { (text(&account.name)) }
                div.muted.small {
                    @if let Some(grant) = grant { (grant.provider) } @else { "no provider yet" }
                    @if let Some(owner) = owner { " · by " (text(owner)) }
                }
            }
            td {
                (state(overview))
                @if let Some(known) = &overview.trouble { (trouble(visitor, overview, known)) }
                @if let Some(refusal) = &account.refusal {
                    p.small { "Refused " (when(refusal.at, now)) ":" }
                    (trouble(visitor, overview, &refusal.trouble))
                }
                (of_keys(overview, now))
            }
            td data-label="Opens" { @if overview.protocols.is_empty() { span.muted { "nothing" } } @else { (doors(&overview.protocols)) } }
            td data-label="Nearest end" {
                @match nearest_end(overview) {
                    Some(End::OfGrant(at, is_certain)) => {
                        (when(at, now))
                        @if !is_certain { span.muted.small { " perhaps" } }
                    }
                    Some(End::OfPassword(day)) => { time datetime=(day) { (day) } div.muted.small { "of an app password" } }
                    None => span.muted { "not known" },
                }
            }
            td data-label="Last login" {
                @match account.last_login_at {
                    Some(at) => {
                        (when(at, now))
                        @if let Some(from) = &account.last_login_from { div.muted.small { "from " (text(from)) } }
                    }
                    None => span.muted { "never" },
                }
            }
        }
    }
}

/// The nearest end of an account.
enum End {
    /// When, and whether it is certain.
    OfGrant(OffsetDateTime, bool),
    /// The last day of an app password.
    OfPassword(Date),
}

fn nearest_end(overview: &Overview) -> Option<End> {
    let of_grant = overview.ends.iter().find_map(|end| Some((end.at?, end.cause.is_certain())));
    let of_password = overview.keys.next_last_day;
    match (of_grant, of_password) {
        (Some((at, _)), Some(day)) if day < at.date() => Some(End::OfPassword(day)),
        (Some((at, is_certain)), _) => Some(End::OfGrant(at, is_certain)),
        (None, day) => day.map(End::OfPassword),
    }
}

fn pages(asked: &Asked, listing: &Listing) -> Markup {
    let last = listing.matching.div_ceil(SIZE).max(1) - 1;
    if last == 0 {
        return html! { @if asked.is_filtered() { p.muted.small { (count(listing.matching as u64, "account")) " shown." } } };
    }
    html! {
        nav.pages aria-label="Pages" {
            @if asked.page > 0 { a rel="prev" href=(asked.address(asked.page - 1)) { "← Previous" } }
            span { "Page " (asked.page + 1) " of " (last + 1) " · " (count(listing.matching as u64, "account")) }
            @if asked.page < last { a rel="next" href=(asked.address(asked.page + 1)) { "Next →" } }
        }
    }
}
