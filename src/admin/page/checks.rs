//! A check of an account, whose steps appear as they end. It runs in a task of its own, so that the page can be left
//! and looked at again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use tracing::warn;

use super::confirm::crumb;
use super::frame::{Frame, text};
use super::remedies::{sentence, sentences, wants_consent};
use super::words::{account_path, button, doors, first_upper};
use crate::admin::said::Said;
use crate::admin::visit::{Posted, Visit};
use crate::admin::visitors::Visitor;
use crate::control::Installation;
use crate::control::check::{CheckEvent, CheckStep, Outcome, check_open};
use crate::mutex::lock;
use crate::secret::random_text;
use crate::surface::cures::causes;

/// Each check asks a provider; more at a time are a mistake.
const AT_ONCE: usize = 8;
/// The checks that can be looked at again.
const MOST: usize = 64;

/// The checks of the page.
#[derive(Default)]
pub(in crate::admin) struct Checks(Mutex<VecDeque<Arc<Check>>>);

/// A check, running or done.
pub(in crate::admin) struct Check {
    id: String,
    account: String,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    steps: Vec<Step>,
    /// The account serves a whole domain, and has no mailbox of its own.
    is_of_domain: bool,
    end: Option<End>,
}

enum End {
    Outcome(Outcome),
    Failed { cause: String, cures: Vec<String> },
}

struct Step {
    is_ok: bool,
    name: &'static str,
    door: Option<String>,
    milliseconds: Option<u128>,
    detail: String,
    cures: Vec<String>,
    /// Whether a person's consent mends the failure.
    wants_consent: bool,
}

impl Step {
    fn of(step: &CheckStep) -> Self {
        let (is_ok, detail, cures) = match &step.found {
            Ok(found) => (true, sentence(&found.to_string()), Vec::new()),
            Err(error) => (false, sentence(&causes(error)), sentences(error)),
        };
        Self {
            is_ok,
            name: step.name,
            door: step.protocol.map(|door| doors(&[door])),
            milliseconds: step.took.map(|took| took.as_millis()),
            detail,
            cures,
            wants_consent: step.found.as_ref().err().is_some_and(wants_consent),
        }
    }
}

impl Check {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    fn is_running(&self) -> bool {
        self.progress().end.is_none()
    }

    async fn run(&self, installation: &Installation) {
        let mut hear = |event: CheckEvent<'_>| match event {
            CheckEvent::CheckStep(step) => self.progress().steps.push(Step::of(step)),
            CheckEvent::DomainAccount => self.progress().is_of_domain = true,
            CheckEvent::NoAccounts(_) | CheckEvent::Accounts(_) | CheckEvent::Account(_) => {}
        };
        let end = match check_open(installation, Some(&self.account), None, &mut hear).await {
            Ok(outcome) => End::Outcome(outcome),
            Err(error) => End::Failed { cause: sentence(&causes(&error)), cures: sentences(&error) },
        };
        self.progress().end = Some(end);
    }
}

impl Checks {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Check>>> {
        lock(&self.0)
    }

    /// A new check, if not too many run.
    fn begin(&self, account: &str) -> Option<Arc<Check>> {
        let mut checks = self.lock();
        if checks.iter().filter(|check| check.is_running()).count() >= AT_ONCE {
            return None;
        }
        if checks.len() >= MOST
            && let Some(oldest) = checks.iter().position(|check| !check.is_running())
        {
            checks.remove(oldest);
        }
        let (id, account) = (random_text::<12>(), account.to_owned());
        let check = Arc::new(Check { id, account, progress: Mutex::default() });
        checks.push_back(check.clone());
        Some(check)
    }

    fn find(&self, id: &str) -> Option<Arc<Check>> {
        self.lock().iter().find(|check| check.id == id).cloned()
    }
}

pub(super) async fn begin(Path(name): Path<String>, Posted { visit, .. }: Posted) -> Response {
    let Some(check) = visit.site.checks.begin(&name) else {
        let cures = vec!["Wait until one of them is done.".to_owned()];
        let said = Said::failed(format!("{AT_ONCE} checks run already."), cures);
        return visit.lead(&account_path(&name), said).await;
    };
    let path = format!("/checks/{}", check.id);
    let installation = visit.installation();
    let checking = tokio::spawn({
        let check = check.clone();
        async move { check.run(&installation).await }
    });
    tokio::spawn(async move {
        if let Err(error) = checking.await {
            warn!("a check has ended by itself: {error}");
            let cause = "The check ended by itself; the log of serve has the reason.".to_owned();
            check.progress().end = Some(End::Failed { cause, cures: Vec::new() });
        }
    });
    Redirect::to(&path).into_response()
}

pub(super) async fn show(visit: Visit, Path(id): Path<String>) -> Response {
    let Some(check) = visit.site.checks.find(&id) else {
        return visit.nothing_there(
            "This check is over, and no longer kept. Begin another one on the page of its account.",
        );
    };
    let progress = check.progress();
    let content = page(&visit.visitor, &check.account, &progress);
    let title = format!("Check of {}", text(&check.account));
    let reload = progress.end.is_none().then_some(2);
    Frame { reload, ..Frame::of(&visit.visitor, &title) }.around(&content)
}

fn page(visitor: &Visitor, account: &str, progress: &Progress) -> Markup {
    let path = account_path(account);
    let is_running = progress.end.is_none();
    html! {
        (crumb(account))
        div.head { h1 { "Check" } }
        // The script reloads this part each second while the check runs; afterwards nothing changes any more.
        div id="check" data-live=[is_running.then_some("1")] {
            (verdict(progress))
            section.card {
                @if progress.steps.is_empty() { p.muted { "The first step is under way." } }
                ol.plain.steps { @for step in &progress.steps { (shown(step)) } }
                @if progress.is_of_domain {
                    p.muted { "This account serves a whole domain, and has no mailbox of its own to try: " code { "imap-oauth-proxy check NAME" (text(account)) } " tries one of them." }
                }
            }
            @if !is_running {
                div.actions {
                    @if progress.steps.iter().any(|step| step.wants_consent) {
                        (button(visitor, &format!("{path}/authorise"), "main", "Authorise again"))
                    }
                    (button(visitor, &format!("{path}/check"), "", "Check again"))
                    a.button href=(path) { "To the account" }
                }
            }
        }
    }
}

fn verdict(progress: &Progress) -> Markup {
    html! {
        div role="status" {
            @match &progress.end {
                None => div.notice { p { span.mark aria-hidden="true" { "…" } " Running. Each step appears when it is done." } },
                Some(End::Outcome(Outcome::Well)) => div.said.done { p { span.mark aria-hidden="true" { "✓" } " Every step succeeded." } },
                Some(End::Outcome(Outcome::NeedsPerson)) => div.said.failed { p { span.mark aria-hidden="true" { "!" } " A person has to act." } },
                Some(End::Outcome(Outcome::Failed)) => div.said.failed { p { span.mark aria-hidden="true" { "!" } " A step failed." } },
                Some(End::Failed { cause, cures }) => div.said.failed { p { span.mark aria-hidden="true" { "!" } " " (cause) } @for cure in cures { p.cure { (cure) } } },
            }
        }
    }
}

/// The name of a step, for people who do not know the protocols.
fn title(name: &str) -> String {
    match name {
        "dns" => "Server's name (DNS)".to_owned(),
        "tcp" => "Connection (TCP)".to_owned(),
        "tls" => "Encryption (TLS)".to_owned(),
        "token" => "Access token".to_owned(),
        "sign-in" => "Sign-in".to_owned(),
        "quit" => "Goodbye".to_owned(),
        other => first_upper(other),
    }
}

fn shown(step: &Step) -> Markup {
    html! {
        li.(if step.is_ok { "ok" } else { "fail" }) {
            span.mark { @if step.is_ok { "✓" span.skip { "succeeded" } } @else { "✕" span.skip { "failed" } } }
            div.step {
                strong { (title(step.name)) } @if let Some(door) = &step.door { span.muted { " · " (door) } }
                div { (step.detail) }
                @for cure in &step.cures { p.cure { strong { "Cure: " } (cure) } }
            }
            @if let Some(milliseconds) = step.milliseconds { span.took { (milliseconds) " ms" } }
        }
    }
}
