//! What `check` says: a line a step, or one JSON object.

use std::time::Instant;

use serde::Serialize;

use super::plain;
use crate::cli::failure::Failure;
use crate::cli::print;
use crate::token::TokenFailure;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Well,
    /// Everything was tried, and something needs a person.
    NeedsPerson,
    /// Something does not work.
    Failed,
}

#[derive(Serialize)]
struct Step {
    account: Option<String>,
    step: String,
    ok: bool,
    milliseconds: Option<u128>,
    detail: String,
    cure: Option<String>,
}

/// The steps so far.
pub(super) struct Report {
    json: bool,
    account: Option<String>,
    steps: Vec<Step>,
    outcome: Outcome,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, account: None, steps: Vec::new(), outcome: Outcome::Well }
    }

    pub(super) fn start(&self) -> Instant {
        Instant::now()
    }

    /// What follows is about this account.
    pub(super) fn account(&mut self, name: &str) {
        self.account = Some(name.to_owned());
        if !self.json {
            print::data(name);
        }
    }

    pub(super) fn note(&self, text: &str) {
        print::words(text);
    }

    pub(super) fn done(&mut self, step: &str, started: Option<Instant>, detail: &str) {
        self.push(step, true, started, detail, "");
    }

    /// A step that failed for a reason that passes or that the machine's owner mends.
    pub(super) fn failed(&mut self, step: &str, started: Instant, why: &str, cure: &str) {
        self.outcome = self.outcome.max(Outcome::Failed);
        self.push(step, false, Some(started), why, cure);
    }

    /// A step that a person has to do.
    pub(super) fn person(&mut self, step: &str, why: &str, cure: &str) {
        self.outcome = self.outcome.max(Outcome::NeedsPerson);
        self.push(step, false, None, why, cure);
    }

    /// A step that a person has to act upon, and that took its time.
    pub(super) fn person_since(&mut self, step: &str, started: Instant, why: &str, cure: &str) {
        self.outcome = self.outcome.max(Outcome::NeedsPerson);
        self.push(step, false, Some(started), why, cure);
    }

    pub(super) fn token(&mut self, started: Instant, failure: &TokenFailure, target: &str) {
        let why = failure.to_string().replace("{account}", target);
        match failure {
            TokenFailure::NeedsAuthorization { .. } | TokenFailure::Misconfigured { .. } => {
                self.person_since("token", started, &why, "");
            }
            TokenFailure::Unavailable { .. } | TokenFailure::Local { .. } => {
                self.failed("token", started, &why, "");
            }
        }
    }

    fn push(&mut self, step: &str, ok: bool, started: Option<Instant>, detail: &str, cure: &str) {
        let milliseconds = started.map(|started| started.elapsed().as_millis());
        let detail = plain(detail);
        if !self.json {
            let indent = if self.account.is_some() { "  " } else { "" };
            let mark = if ok { "ok  " } else { "FAIL" };
            let time = milliseconds.map_or(String::new(), |time| format!(" ({time} ms)"));
            print::data(&format!("{indent}{mark} {step}: {detail}{time}"));
            if !cure.is_empty() {
                print::data(&format!("{indent}     cure: {}", plain(cure)));
            }
        }
        self.steps.push(Step {
            account: self.account.clone(),
            step: step.to_owned(),
            ok,
            milliseconds,
            detail,
            cure: (!cure.is_empty()).then(|| plain(cure)),
        });
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The JSON object, where that is wanted.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Whole<'a> {
            ok: bool,
            needs_person: bool,
            version: &'static str,
            steps: &'a [Step],
        }
        if self.json {
            print::json(&Whole {
                ok: self.outcome == Outcome::Well,
                needs_person: self.outcome == Outcome::NeedsPerson,
                version: env!("CARGO_PKG_VERSION"),
                steps: &self.steps,
            })?;
        }
        Ok(())
    }
}
