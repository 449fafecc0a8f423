//! Adds many accounts from a table, as `accounts add --csv` does: the table is judged as a whole, and a mistake in its
//! last line makes no account.

use std::time::Duration;

use axum::response::Response;
use maud::{Markup, html};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::consents;
use super::frame::{Frame, text, token};
use super::remedies::{sentence, sentences};
use super::words::{account_path, count};
use crate::admin::said::Said;
use crate::admin::visit::{Fields, Posted, Visit};
use crate::control::enrol::{Enrolled, Fault, Made, judge, make_all, read};
use crate::control::{Installation, TableError};
use crate::secret::Secret;
use crate::surface::accounts::waits;
use crate::surface::cures::causes;

/// The name of the new passwords, the same as on the command line.
const PASSWORD: &str = "default";
/// The most new accounts whose links are shown: each link is written to the audit trail.
const MOST_LINKS: usize = 500;
/// The most accounts of a table.
const MOST: usize = 5000;
/// New accounts are made for so long. The server ends an answer after 75 seconds, and with it the only sight of the new
/// passwords; what is left is for the links and for showing all of it.
const TIME: Duration = Duration::from_secs(50);
/// Sign-in links are made for so long.
const TIME_WITH_LINKS: Duration = Duration::from_secs(60);

/// The fields of the form of one account.
const ONE: [&str; 3] = ["account", "provider", "owner"];

/// The forms; that of one account as its last try left it.
pub(super) async fn show(mut visit: Visit) -> Response {
    // A link may fill that form in, and nothing else of the page.
    visit.query.0.retain(|(name, _)| ONE.contains(&name.as_str()));
    page(&visit, &visit.query, &[], None)
}

/// The address of the forms, with what was typed for one account.
pub(super) fn path_with(fields: &Fields) -> String {
    let typed = ONE.map(|name| (name, fields.one(name).trim()));
    let typed = typed.into_iter().filter(|(_, value)| !value.is_empty());
    format!("/add?{}", url::form_urlencoded::Serializer::new(String::new()).extend_pairs(typed).finish())
}

pub(super) async fn add(Posted { visit, fields }: Posted) -> Response {
    let begun = Instant::now();
    match made(&visit.installation(), &fields, begun + TIME).await {
        Ok(Made { accounts, failure }) => {
            let failure = failure.map(|error| {
                let cures = sentences(&error).join(" ");
                format!("{} {cures}", sentence(&causes(&error))).trim_end().to_owned()
            });
            let accounts = with_links(&visit, accounts, begun + TIME_WITH_LINKS).await;
            visit.lead("/", Said::Added(Box::new(Added { accounts, failure }))).await
        }
        Err(faults) => page(&visit, &fields, &faults, None),
    }
}

async fn made(installation: &Installation, fields: &Fields, until: Instant) -> Result<Made, Vec<Fault>> {
    let text = table(fields).to_owned();
    // Apart from the tasks of sessions, because a table may have a megabyte.
    let rows = spawn_blocking(move || read(&text, MOST)).await;
    let rows = rows.unwrap_or_else(|_| Err(vec![Fault { line: 1, error: TableError::Line.into() }]))?;
    let is_allowed = !fields.one("foreign").is_empty();
    let judged = judge(installation, &rows, is_allowed).await?;
    let password = (!fields.one("passwords").is_empty()).then_some(PASSWORD);
    Ok(make_all(installation, judged, password, until).await)
}

/// The text of the file, or of the field.
fn table(fields: &Fields) -> &str {
    match fields.one("file") {
        "" => fields.one("table"),
        file => file,
    }
}

/// The forms, with what is wrong in the last one that was sent.
pub(super) fn page(visit: &Visit, fields: &Fields, faults: &[Fault], said: Option<Said>) -> Response {
    let Visit { site, visitor, .. } = visit;
    let is_new = table(fields).is_empty();
    let content = html! {
            p.crumb { a href="/" { "Accounts" } }
            div.head { h1 { "Add accounts" } }
            @if !faults.is_empty() { (refused(faults)) }
            div.cards {
    section.card { h2 { "One account" } (consents::form(visitor, &site.running.config(), fields)) }
            section.card {
                h2 { "Many accounts" }
                form.fields method="post" action="/add" enctype="multipart/form-data" {
                    (token(visitor))
                    label for="table" { "Table " span.hint { "one line for each account, separated by commas or semicolons" } }
                    p.muted.small { code { "account,provider,owner,alias,…" } " — only the account is required. The provider is found by the address, and the owner, the person who consents, is the account itself, unless the line names them." }
                    textarea id="table" name="table" spellcheck="false" placeholder="alice@corp.example\nsupport@corp.example,,alice@corp.example,helpdesk" { (table(fields)) }
                    label { "Or a file " span.hint { "CSV, as spreadsheets write it" } input type="file" name="file" accept=".csv,text/csv,text/plain"; }
                    label.choice { input type="checkbox" name="passwords" value="yes" checked[is_new || !fields.one("passwords").is_empty()]; "Make an app password for each, shown once on the next page" }
                    label.choice { input type="checkbox" name="foreign" value="yes" checked[!fields.one("foreign").is_empty()]; "Allow aliases that are other addresses than the account's" }
                    div.actions { button.main type="submit" { "Add the accounts" } }
                }
            }
            }
        };
    let said = said.map(|said| said.shown());
    Frame { part: "/add", said, ..Frame::of(visitor, "Add accounts") }.around(&content)
}

fn refused(faults: &[Fault]) -> Markup {
    html! {
        div.said.failed role="alert" {
            p { span.mark aria-hidden="true" { "!" } " No account was made. " (count(faults.len() as u64, "mistake")) " in the table:" }
            ul {
                @for Fault { line, error } in faults.iter().take(50) {
                    li { strong { "Line " (line) ": " } (sentence(&causes(error))) @for cure in sentences(error) { " " (cure) } }
                }
            }
        }
    }
}

/// The accounts, each with the sign-in link of an owner who has still to consent.
async fn with_links(visit: &Visit, made: Vec<Enrolled>, until: Instant) -> Vec<(Enrolled, Option<Secret>)> {
    let has_links = made.len() <= MOST_LINKS;
    let mut accounts = Vec::new();
    for enrolled in made {
        let link = match has_links && Instant::now() < until {
            true => visit.site.link_for(&enrolled, visit.actor()).await,
            false => None,
        };
        accounts.push((enrolled, link));
    }
    accounts
}

/// The accounts that were made, with their passwords and links, shown once.
pub(in crate::admin) struct Added {
    accounts: Vec<(Enrolled, Option<Secret>)>,
    failure: Option<String>,
}

impl Added {
    /// The accounts as lines of cells, which a spreadsheet takes as they are.
    fn table(&self) -> String {
        let mut table = "account\tapp password\tsign-in link\n".to_owned();
        for (enrolled, link) in &self.accounts {
            let secret = |secret: Option<&Secret>| secret.map(|it| cell(it.expose())).unwrap_or_default();
            let (password, link) = (secret(enrolled.password.as_ref()), secret(link.as_ref()));
            table.push_str(&format!("{}\t{password}\t{link}\n", cell(&text(&enrolled.account))));
        }
        table
    }

    /// The accounts, and what comes next.
    pub(in crate::admin) fn shown(&self) -> Markup {
        let has_passwords = self.accounts.iter().any(|(enrolled, _)| enrolled.password.is_some());
        let has_links = self.accounts.iter().any(|(_, link)| link.is_some());
        html! {
            @if let Some(failure) = &self.failure {
                div.said.failed role="alert" { p { span.mark aria-hidden="true" { "!" } " " (failure) } p { "The accounts below were made before that, and stay." } }
            }
            div.said.done role="status" {
                p { span.mark aria-hidden="true" { "✓" } " " (count(self.accounts.len() as u64, "account")) " made." }
                @if self.accounts.iter().any(|(enrolled, _)| waits(enrolled)) {
                    p { "An account opens when its owner has consented: open it and press “Authorise”, or send the owner its sign-in link." }
                }
                @if has_passwords { p { strong { "The app passwords are shown this once." } } }
                @else if !self.accounts.is_empty() { p { "They have no app password yet, without which no mail program can log in: “New app password” on each account's page makes one." } }
                @if has_passwords || has_links {
                    label for="made" { "All of them, for a spreadsheet " span.hint { "account, app password, sign-in link" } }
                    div.shown-once { textarea.made id="made" readonly rows="4" spellcheck="false" data-copy="Copy as a table" { (self.table()) } }
                    div.scroll {
                        table.tight {
                            thead { tr { th { "Account" } @if has_passwords { th { "App password" } } @if has_links { th { "Sign-in link for the owner" } } } }
                            tbody { @for (enrolled, link) in &self.accounts { (made_row(enrolled, link.as_ref(), has_passwords, has_links)) } }
                        }
                    }
                }
            }
        }
    }
}

/// A cell of a table for a spreadsheet, which would take a text that begins like that for a formula.
fn cell(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

fn made_row(enrolled: &Enrolled, link: Option<&Secret>, has_passwords: bool, has_links: bool) -> Markup {
    let Enrolled { account, owner, password, .. } = enrolled;
    html! {
        tr {
            td { a href=(account_path(account)) { (text(account)) } @if owner != account { div.muted.small { "by " (text(owner)) } } }
            @if has_passwords { td data-label="App password" { @if let Some(password) = password { code { (password.expose()) } } } }
            @if has_links { td data-label="Sign-in link" { @if let Some(link) = link { code { (link.expose()) } } @else if waits(enrolled) { span.muted { "on its page" } } @else { span.muted { "not needed" } } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spreadsheet_takes_no_cell_for_a_formula() {
        for (text, shown) in [
            ("=1+1@x.example", "'=1+1@x.example"),
            ("+a@x.example", "'+a@x.example"),
            ("-2", "'-2"),
            ("@SUM", "'@SUM"),
            ("a=b@x.example", "a=b@x.example"),
            ("", ""),
        ] {
            assert_eq!(cell(text), shown);
        }
    }
}
