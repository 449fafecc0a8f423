//! `/checks`: the steps of a check, of one account or, if there are few, of all accounts.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::caller::Writer;
use super::input::InBody;
use super::problem::Problem;
use crate::control::check::{CheckEvent, Outcome, check_open};
use crate::control::limits;
use crate::surface::checks::{Checked, Line};

/// Each check asks providers; more at a time are a mistake.
static AT_ONCE: Semaphore = Semaphore::const_new(4);
/// With more accounts the answer would take longer than a program waits.
const MOST_ACCOUNTS: usize = 20;

/// What to check.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    account: Option<String>,
    protocol: Option<String>,
}

pub(super) async fn check(
    Writer { installation, .. }: Writer,
    InBody(Check { account, protocol }): InBody<Check>,
) -> Result<Response, Problem> {
    let Ok(_place) = AT_ONCE.try_acquire() else {
        return Err(Problem::busy("other checks are under way"));
    };
    let door = protocol.as_deref().map(limits::door).transpose()?;
    if account.is_none()
        && installation.store.account_page(None, MOST_ACCOUNTS as u32 + 1).await?.len() > MOST_ACCOUNTS
    {
        return Err(Problem::invalid(format!(
            "there are more than {MOST_ACCOUNTS} accounts: name one in account"
        )));
    }
    let mut steps = Vec::new();
    let mut hear = |event: CheckEvent<'_>| {
        if let CheckEvent::CheckStep(step) = event {
            steps.push(Line::of(step));
        }
    };
    let outcome: Outcome = check_open(&installation, account.as_deref(), door, &mut hear).await?;
    Ok(Json(Checked::new(outcome, &steps)).into_response())
}
