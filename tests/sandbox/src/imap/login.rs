//! `AUTHENTICATE XOAUTH2` and `AUTHENTICATE OAUTHBEARER` (RFC 7628): the exchange and the verdict.
//!
//! A token is accepted if it is valid, has a scope for mail, and belongs to the named user, to one of the
//! user's delegates, or to an application.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::parser::Command;
use super::session::{Account, Flow, Session};
use crate::sasl::Claim;
use crate::state::{Shared, State};
use crate::stats::LoginRecord;
use crate::switches::LoginFault;

/// One AUTHENTICATE command with its message.
pub(super) struct Attempt {
    pub(super) tag: String,
    pub(super) mechanism: String,
    pub(super) initial_response: bool,
    pub(super) claim: Option<Claim>,
}

impl Session {
    pub(super) async fn authenticate(&mut self, mut command: Command) -> Flow {
        let mechanism = command.args.pop_front().map(|arg| arg.upper()).unwrap_or_default();
        if !self.flavour().takes(&mechanism) {
            self.no(&command.tag, "NO Unsupported authentication mechanism");
            return Ok(());
        }
        let inline = command.args.pop_front().and_then(|arg| arg.octets().map(<[u8]>::to_vec));
        let initial_response = inline.is_some();
        if initial_response && !self.flavour().takes_initial_response() {
            if self.switches.strict {
                self.violation("an initial response to a server without SASL-IR (RFC 4959 §3)".to_owned())?;
            }
            self.no(&command.tag, "BAD Command Argument Error. 11");
            return Ok(());
        }
        let message = match inline {
            Some(message) => message,
            None => {
                self.continuation("").await?;
                self.answer_line().await?
            }
        };
        if message == b"*" {
            self.no(&command.tag, "BAD Client aborted AUTHENTICATE command.");
            return Ok(());
        }
        self.expect_nothing_behind().await?;
        let decoded = STANDARD.decode(&message).ok();
        if let Some(decoded) = &decoded {
            self.scan(decoded)?;
        }
        let claim = decoded.and_then(|message| Claim::read(&mechanism, &message));
        self.attempt(Attempt { tag: command.tag, mechanism, initial_response, claim }).await
    }

    async fn attempt(&mut self, attempt: Attempt) -> Flow {
        match self.shared.change(|state| state.login_faults.take()) {
            None => self.judge(attempt, true).await,
            Some(LoginFault::Hold(gate)) => {
                gate.pass().await;
                self.judge(attempt, true).await
            }
            Some(LoginFault::FalseSuccess) => self.judge(attempt, false).await,
            Some(LoginFault::Refuse) => self.refuse(attempt).await,
            Some(LoginFault::RefuseWith { challenge, text }) => {
                self.refuse_with(attempt, challenge.as_deref(), &text).await
            }
            Some(fault) => self.misbehave(attempt, fault).await,
        }
    }

    async fn judge(&mut self, attempt: Attempt, connected: bool) -> Flow {
        let limit = self.switches.max_sessions_per_user;
        let id = self.id;
        let judged = self.shared.change(|state| {
            let claim = attempt.claim.as_ref()?;
            let (account, owner) = admit(&self.shared, state, claim)?;
            let same = |session: &&crate::state::Session| session.user.as_deref() == Some(owner.as_str());
            if limit.is_some_and(|limit| state.sessions.values().filter(same).count() >= limit) {
                return Some(None);
            }
            if let Some(session) = state.sessions.get_mut(&id) {
                session.user = Some(owner);
                session.token = Some(claim.token.clone());
            }
            state.stats.entered();
            state.log_login(attempt.record(true));
            Some(Some(Account { connected, ..account }))
        });
        match judged {
            None => self.refuse(attempt).await,
            Some(None) => {
                let text = self.flavour().too_many_sessions();
                self.refuse_with(attempt, None, text).await
            }
            Some(Some(account)) => {
                self.user = Some(account);
                if self.flavour().volunteers_capabilities() {
                    self.transport.put_line(format!("* CAPABILITY {}", self.flavour().after_login()));
                }
                let welcome = self.flavour().welcome();
                self.no(&attempt.tag, welcome);
                Ok(())
            }
        }
    }

    /// Refuses as the flavour does.
    async fn refuse(&mut self, attempt: Attempt) -> Flow {
        let challenge = self.flavour().challenge(&attempt.mechanism);
        let text = self.flavour().refusal();
        self.refuse_with(attempt, challenge, text).await
    }

    /// Refuses with a challenge, which the client must answer with an empty line (XOAUTH2) or with 0x01
    /// (OAUTHBEARER, RFC 7628 §3.2.3).
    async fn refuse_with(&mut self, attempt: Attempt, challenge: Option<&str>, text: &str) -> Flow {
        self.shared.change(|state| {
            state.stats.failed_logins += 1;
            state.log_login(attempt.record(false));
        });
        if let Some(challenge) = challenge {
            self.continuation(&STANDARD.encode(challenge)).await?;
            let answer = self.answer_line().await?;
            if answer == b"*" {
                self.no(&attempt.tag, "BAD Client aborted AUTHENTICATE command.");
                return Ok(());
            }
            let expected: &[u8] = if attempt.mechanism == "XOAUTH2" { b"" } else { b"AQ==" };
            if self.switches.strict && answer != expected {
                self.violation(format!(
                    "the challenge of {} was not answered as it must be",
                    attempt.mechanism
                ))?;
            }
        }
        self.no(&attempt.tag, text);
        Ok(())
    }

    /// Sends the lines that precede `+`, then `+`.
    pub(super) async fn continuation(&mut self, text: &str) -> Flow {
        let switches = Arc::clone(&self.switches);
        for line in &switches.before_continuation {
            self.transport.put_line(line);
        }
        let space = if switches.bare_continuation && text.is_empty() { "" } else { " " };
        self.transport.put_line(format!("+{space}{text}"));
        Ok(self.transport.flush().await?)
    }

    pub(super) async fn answer_line(&mut self) -> Flow<Vec<u8>> {
        let line = self.line().await?;
        self.scan(&line)?;
        Ok(line)
    }

    /// Commands that the client pipelined behind its login must wait in the proxy until the provider has said
    /// OK.
    async fn expect_nothing_behind(&mut self) -> Flow {
        if !self.switches.strict || !self.transport.has_more().await {
            return Ok(());
        }
        self.scan(self.transport.unread())?;
        self.violation("octets behind AUTHENTICATE before it was answered".to_owned())
    }
}

impl Attempt {
    fn record(&self, accepted: bool) -> LoginRecord {
        let (user, token) = match &self.claim {
            Some(claim) => (claim.user.clone(), claim.token.clone()),
            None => (String::new(), String::new()),
        };
        let (mechanism, tag) = (self.mechanism.clone(), self.tag.clone());
        LoginRecord { mechanism, user, token, initial_response: self.initial_response, tag, accepted }
    }
}

/// The mailbox that the claim opens, and its user's address.
fn admit(shared: &Shared, state: &State, claim: &Claim) -> Option<(Account, String)> {
    let (access, grant) = state.live_access(&claim.token)?;
    if !access.scopes.iter().any(|scope| shared.vendor.opens_mail(scope)) {
        return None;
    }
    let user = state.user(&claim.user)?;
    let own = |owner: &String| {
        state.user(owner).is_some_and(|owner| Arc::ptr_eq(&owner.mailboxes, &user.mailboxes))
            || user.delegates.contains(&owner.to_lowercase())
    };
    if !grant.owner.as_ref().is_none_or(own) {
        return None;
    }
    let mailboxes = Arc::clone(&user.mailboxes);
    let account = Account { mailboxes, expires: access.expires.max(Instant::now()), connected: true };
    Some((account, user.address.clone()))
}
