//! `AUTH XOAUTH2` and `AUTH OAUTHBEARER` (RFC 4954, RFC 7628): the exchange and the verdict.
//!
//! A token is accepted if it is valid, has a scope for sending, and belongs to the named user. For a shared
//! mailbox a switch decides at Exchange which name is accepted; elsewhere a delegate names the mailbox.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::flavour::{Dialect, Phrase};
use super::session::{Command, Flow, Sender, Session};
use crate::sasl::Claim;
use crate::state::{Shared, State, User};
use crate::stats::LoginRecord;
use crate::switches::{SharedName, Step, StepFault, SubmissionSwitches};

/// Gmail's `scope` in challenges, which its OAUTHBEARER has as well.
const GMAIL_XOAUTH2: &str = r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#;
const GMAIL_OAUTHBEARER: &str = r#"{"status":"invalid_request","scope":"https://mail.google.com/"}"#;
const DOVECOT: &str = r#"{"status":"401","schemes":"bearer","scope":"mail"}"#;

/// One AUTH command with its message.
struct Attempt {
    mechanism: String,
    initial_response: bool,
    claim: Option<Claim>,
}

impl Session {
    pub(super) async fn authenticate(&mut self, command: Command) -> Flow {
        self.server.shared.change(|state| state.stats.submission_auths += 1);
        self.note(|submission| submission.attempts += 1);
        let mut words = command.rest.split_ascii_whitespace().map(str::to_owned);
        let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
        let inline = words.next();
        let fault = self.server.shared.change(|state| state.step_fault(Step::Auth));
        if matches!(fault, Some(StepFault::EarlySuccess)) {
            self.sender = Some(Sender { address: String::new(), connected: false });
            return self.answer(self.dialect().say(Phrase::Accepted)).await;
        }
        if let Some(fault) = fault
            && self.meet(fault).await?.is_none()
        {
            return Ok(());
        }
        if let Some(refusal) = self.refuse_command(&mechanism, &command) {
            refusal.iter().for_each(|line| self.transport.put_line(line));
            return Ok(self.transport.flush().await?);
        }
        let initial_response = inline.is_some();
        let message = match inline {
            Some(message) => message.into_bytes(),
            None => {
                self.challenge("").await?;
                self.answer_line().await?
            }
        };
        if message == b"*" {
            return self.answer(self.dialect().say(Phrase::Cancelled)).await;
        }
        self.expect_nothing_behind().await?;
        let decoded = STANDARD.decode(&message).ok();
        if let Some(decoded) = &decoded {
            self.scan(decoded)?;
        }
        let claim = decoded.and_then(|message| Claim::read(&mechanism, &message));
        self.attempt(Attempt { mechanism, initial_response, claim }).await
    }

    /// The refusal of a wrong command, before its message is read.
    fn refuse_command(&self, mechanism: &str, command: &Command) -> Option<Vec<String>> {
        let dialect = self.dialect();
        let known = || self.switches.flavour.mechanisms().split(' ').any(|listed| listed == mechanism);
        if self.sender.is_some() {
            return Some(vec![dialect.say(Phrase::AlreadyIn)]);
        }
        if !self.may_sign_in() {
            return Some(vec![dialect.say(Phrase::TlsFirst)]);
        }
        if self.switches.auth_line_limit.is_some_and(|limit| command.octets > limit) {
            return Some(dialect.line_too_long());
        }
        if !known() || !matches!(mechanism, "XOAUTH2" | "OAUTHBEARER") {
            return Some(vec![dialect.say(Phrase::UnknownMechanism)]);
        }
        None
    }

    async fn attempt(&mut self, attempt: Attempt) -> Flow {
        let user = attempt.claim.as_ref().map(|claim| claim.user.clone()).unwrap_or_default();
        self.note(|submission| submission.users.push(user));
        let fault = self.server.shared.change(|state| state.step_fault(Step::Token));
        match fault {
            None => self.judge(attempt, true).await,
            Some(StepFault::Refuse) => self.refuse(attempt).await,
            Some(StepFault::FalseSuccess) => self.judge(attempt, false).await,
            Some(StepFault::EndlessChallenges) => loop {
                self.challenge("e30=").await?;
                self.answer_line().await?;
            },
            Some(StepFault::Reply(lines)) => {
                self.record(&attempt, false);
                self.refused = lines.first().cloned();
                self.meet(StepFault::Reply(lines)).await.map(drop)
            }
            Some(fault) => match self.meet(fault).await? {
                None => Ok(()),
                Some(gate) => {
                    self.judge(attempt, true).await?;
                    self.leave(gate).await
                }
            },
        }
    }

    async fn judge(&mut self, attempt: Attempt, connected: bool) -> Flow {
        let admitted = self.server.shared.look(|state| {
            let claim = attempt.claim.as_ref()?;
            admit(&self.server.shared, state, claim, &self.switches)
        });
        let Some(address) = admitted else { return self.refuse(attempt).await };
        self.record(&attempt, true);
        self.server.shared.change(|state| {
            if let Some(session) = state.senders.get_mut(&self.id) {
                session.user = Some(address.clone());
                session.token = attempt.claim.as_ref().map(|claim| claim.token.clone());
            }
        });
        self.note(|submission| submission.accepted = Some(address.clone()));
        self.sender = Some(Sender { address, connected });
        self.answer(self.dialect().say(Phrase::Accepted)).await
    }

    /// Refuses in the dialect. The client must answer a challenge with an empty line (XOAUTH2) or with 0x01
    /// (OAUTHBEARER, RFC 7628 §3.2.3).
    async fn refuse(&mut self, attempt: Attempt) -> Flow {
        self.record(&attempt, false);
        if let Some(challenge) = challenge(self.dialect(), &attempt.mechanism) {
            self.challenge(&STANDARD.encode(challenge)).await?;
            let answer = self.answer_line().await?;
            if answer == b"*" {
                return self.answer(self.dialect().say(Phrase::Cancelled)).await;
            }
            let expected: &[u8] = if attempt.mechanism == "XOAUTH2" { b"" } else { b"AQ==" };
            if self.switches.strict && answer != expected {
                let mechanism = attempt.mechanism;
                self.violation(format!("the challenge of {mechanism} was not answered as it must be"))?;
            }
        }
        let lines = self.dialect().refusal();
        self.refused = lines.first().cloned();
        lines.iter().for_each(|line| self.transport.put_line(line));
        Ok(self.transport.flush().await?)
    }

    fn record(&self, attempt: &Attempt, accepted: bool) {
        let (user, token) = match &attempt.claim {
            Some(claim) => (claim.user.clone(), claim.token.clone()),
            None => (String::new(), String::new()),
        };
        let login = LoginRecord {
            mechanism: attempt.mechanism.clone(),
            user,
            token,
            initial_response: attempt.initial_response,
            tag: String::new(),
            accepted,
        };
        self.server.shared.change(|state| {
            match accepted {
                true => state.stats.submission_logins += 1,
                false => state.stats.failed_submission_logins += 1,
            }
            state.log_submission_login(login);
        });
    }

    async fn challenge(&mut self, text: &str) -> Flow {
        let space = if self.switches.bare_challenge && text.is_empty() { "" } else { " " };
        self.answer(format!("334{space}{text}")).await
    }

    async fn answer_line(&mut self) -> Flow<Vec<u8>> {
        let line = self.line().await?;
        self.scan(&line)?;
        Ok(line)
    }

    /// Commands that the client pipelined behind its login must wait in the proxy until the provider has said
    /// 235.
    async fn expect_nothing_behind(&mut self) -> Flow {
        if !self.switches.strict || !self.transport.has_more().await {
            return Ok(());
        }
        self.scan(self.transport.unread())?;
        self.violation("octets behind AUTH before it was answered".to_owned())
    }
}

/// The challenge that explains a refusal (RFC 7628 §3.2.2). Exchange has none.
fn challenge(dialect: Dialect, mechanism: &str) -> Option<&'static str> {
    match (dialect, mechanism) {
        (Dialect::Exchange, _) => None,
        (Dialect::Gmail, "OAUTHBEARER") => Some(GMAIL_OAUTHBEARER),
        (Dialect::Gmail, _) => Some(GMAIL_XOAUTH2),
        (Dialect::Dovecot, _) => Some(DOVECOT),
    }
}

/// The address of the mailbox that the claim opens.
fn admit(shared: &Shared, state: &State, claim: &Claim, switches: &SubmissionSwitches) -> Option<String> {
    let (access, grant) = state.live_access(&claim.token)?;
    if !access.scopes.iter().any(|scope| shared.vendor.sends_mail(scope)) {
        return None;
    }
    let user = state.user(&claim.user)?;
    let address = Some(user.address.clone());
    // An application's token opens every mailbox.
    let Some(owner) = &grant.owner else { return address };
    let own = is_own(state, user, owner);
    let is_delegate = user.delegates.contains(&owner.to_lowercase());
    let fits = match (switches.flavour.dialect(), switches.shared_name) {
        (Dialect::Exchange, SharedName::Owner) => own,
        (Dialect::Exchange, SharedName::Account) => {
            is_delegate || (own && !is_delegate_of_anybody(state, owner))
        }
        _ => own || is_delegate,
    };
    address.filter(|_| fits)
}

/// Whether the mailboxes of `user` belong to `owner`, under any alias.
pub(super) fn is_own(state: &State, user: &User, owner: &str) -> bool {
    state.user(owner).is_some_and(|owner| Arc::ptr_eq(&owner.mailboxes, &user.mailboxes))
}

fn is_delegate_of_anybody(state: &State, owner: &str) -> bool {
    state.users.values().any(|user| user.delegates.contains(&owner.to_lowercase()))
}
