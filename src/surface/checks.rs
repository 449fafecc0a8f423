//! A check and its steps, as `check --json` and `/api/v1/checks` show them.

use serde::Serialize;

use super::cures::{self, chain};
use super::grants::refusal_line;
use crate::command;
use crate::config::Door;
use crate::control::check::{CheckStep, Finding, Outcome};
use crate::text::one_line;

/// A whole check.
#[derive(Serialize)]
pub(crate) struct Checked<'a> {
    ok: bool,
    needs_person: bool,
    version: &'static str,
    steps: &'a [Line],
}

impl<'a> Checked<'a> {
    pub(crate) fn new(outcome: Outcome, steps: &'a [Line]) -> Self {
        Self {
            ok: outcome == Outcome::Well,
            needs_person: outcome == Outcome::NeedsPerson,
            version: env!("CARGO_PKG_VERSION"),
            steps,
        }
    }
}

/// A step in words.
#[derive(Serialize)]
pub(crate) struct Line {
    pub(crate) account: Option<String>,
    /// The protocol of the step, if it has one.
    pub(crate) protocol: Option<&'static str>,
    pub(crate) step: &'static str,
    pub(crate) ok: bool,
    pub(crate) milliseconds: Option<u128>,
    pub(crate) detail: String,
    pub(crate) cure: Option<String>,
    /// Whether the state lasts until a person acts.
    #[serde(skip)]
    pub(crate) needs_person: bool,
}

impl Line {
    /// A successful step.
    pub(crate) fn new(account: Option<String>, step: &'static str, detail: &str) -> Self {
        Self {
            account,
            protocol: None,
            step,
            ok: true,
            milliseconds: None,
            detail: one_line(detail),
            cure: None,
            needs_person: false,
        }
    }

    pub(crate) fn of(step: &CheckStep) -> Self {
        let milliseconds = step.took.map(|took| took.as_millis());
        let (account, protocol) = (step.account.clone(), step.protocol.map(Door::name));
        let line = |text: &str| Self { milliseconds, protocol, ..Self::new(account, step.name, text) };
        match &step.found {
            Ok(found) => line(&detail(found)),
            Err(error) => {
                let cure = Some(one_line(&cures::cures(error).join("; "))).filter(|cure| !cure.is_empty());
                Self { ok: false, cure, needs_person: error.needs_person(), ..line(&chain(error)) }
            }
        }
    }
}

/// The result of a step, in words, with the command that changes it.
fn detail(found: &Finding) -> String {
    match found {
        Finding::OldName(name) => format!("{found}; this ends it: {}", cures::renaming(name)),
        Finding::ForeignAlias { account, alias } => {
            format!("{found}; {} ends that", command::unalias(account, alias))
        }
        Finding::Disabled { account } => format!("{found}; {} ends that", command::enable(account)),
        Finding::LastRefusal { account, grant, refusal } => {
            refusal_line(refusal, &command::authorize_by(grant.as_deref(), account))
        }
        _ => found.to_string(),
    }
}
