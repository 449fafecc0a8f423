//! EHLO with its list of extensions, and STARTTLS, which changes the list.

use std::sync::Arc;

use super::flavour::Phrase;
use super::session::{Command, End, Flow, Session};
use crate::switches::{AuthForm, Security, Step};

impl Session {
    pub(super) async fn hello(&mut self, command: &Command) -> Flow {
        let Some(gate) = self.enter(Step::Ehlo).await? else { return Ok(()) };
        self.note(|submission| submission.names.push(command.rest.clone()));
        self.envelope = None;
        let mut lines = vec![self.dialect().hello()];
        if command.verb == "EHLO" {
            lines.extend(self.capabilities());
        }
        self.reply(250, &lines);
        self.leave(gate).await
    }

    /// EHLO's current list.
    pub(super) fn capabilities(&self) -> Vec<String> {
        if let Some(lines) = &self.switches.instead {
            return lines.clone();
        }
        let mechanisms = self.switches.flavour.mechanisms();
        let (plain, equals) = (format!("AUTH {mechanisms}"), format!("AUTH={mechanisms}"));
        let auth = match self.switches.auth {
            _ if !self.may_sign_in() => vec!["STARTTLS".to_owned()],
            AuthForm::Usual | AuthForm::Last => vec![plain],
            AuthForm::Equals => vec![equals],
            AuthForm::Both => vec![equals, plain],
            AuthForm::Missing => Vec::new(),
        };
        let mut lines = Vec::new();
        for &line in self.dialect().capabilities() {
            match line {
                "AUTH" if self.switches.auth != AuthForm::Last => lines.extend(auth.iter().cloned()),
                "AUTH" => {}
                line => lines.push(line.to_owned()),
            }
        }
        lines.extend(self.switches.besides.iter().cloned());
        if self.switches.auth == AuthForm::Last {
            lines.extend(auth);
        }
        let word = |line: &String| line.split([' ', '=']).next().unwrap_or_default().to_owned();
        lines.retain(|line| !self.switches.without.contains(&word(line)));
        lines
    }

    /// Whether EHLO currently lists this word.
    pub(super) fn lists(&self, wanted: &str) -> bool {
        self.capabilities().iter().any(|line| line.split(' ').next() == Some(wanted))
    }

    /// Whether AUTH is allowed: only under TLS, if the server has STARTTLS.
    pub(super) fn may_sign_in(&self) -> bool {
        self.server.security == Security::Tls || self.transport.is_tls()
    }

    pub(super) async fn start_tls(&mut self) -> Flow {
        let Some(gate) = self.enter(Step::StartTls).await? else { return Ok(()) };
        if self.transport.is_tls() {
            return self.answer(self.dialect().say(Phrase::StartTlsTwice)).await;
        }
        if self.transport.has_more().await {
            self.scan(self.transport.unread())?;
            if self.switches.strict {
                self.violation("octets behind STARTTLS before it was answered".to_owned())?;
            }
            let unread = self.transport.unread().len();
            self.transport.take(unread);
            return self.answer(self.dialect().say(Phrase::BehindStartTls)).await;
        }
        self.say(Phrase::StartTls);
        let switches = Arc::clone(&self.switches);
        self.transport.put(&switches.behind_starttls);
        self.leave(gate).await?;
        let tls = Arc::clone(&self.server.tls);
        if self.transport.begin_tls(&tls).await.is_err() {
            self.server.shared.change(|state| state.stats.submission_tls_failures += 1);
            return Err(End::Gone);
        }
        self.note(|submission| submission.tls = true);
        self.sender = None;
        self.envelope = None;
        Ok(())
    }
}
