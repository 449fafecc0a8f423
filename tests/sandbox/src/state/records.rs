//! Records of what happened, for tests to read.

use super::State;
use crate::stats::{LoginRecord, Pop3Session, Sent, Submission, TokenRequest};

/// Kept records of requests, logins and messages; older ones are dropped, so that a soak test does not grow.
const RECORDS: usize = 20_000;

impl State {
    pub(crate) fn log_token_request(&mut self, request: TokenRequest) {
        keep_recent(&mut self.token_log);
        self.token_log.push(request);
    }

    pub(crate) fn log_login(&mut self, login: LoginRecord) {
        keep_recent(&mut self.logins);
        self.logins.push(login);
    }

    pub(crate) fn log_pop3_login(&mut self, login: LoginRecord) {
        keep_recent(&mut self.pop3_logins);
        self.pop3_logins.push(login);
    }

    pub(crate) fn log_pop3_session(&mut self, id: u64, session: Pop3Session) {
        if self.pop3_sessions.len() >= RECORDS {
            self.pop3_sessions.pop_first();
        }
        self.pop3_sessions.insert(id, session);
    }

    pub(crate) fn log_submission_login(&mut self, login: LoginRecord) {
        keep_recent(&mut self.submission_logins);
        self.submission_logins.push(login);
    }

    pub(crate) fn log_sent(&mut self, sent: Sent) {
        keep_recent(&mut self.sent);
        self.sent.push(sent);
    }

    pub(crate) fn log_submission(&mut self, id: u64, submission: Submission) {
        if self.submissions.len() >= RECORDS {
            self.submissions.pop_first();
        }
        self.submissions.insert(id, submission);
    }
}

fn keep_recent<T>(records: &mut Vec<T>) {
    if records.len() >= RECORDS {
        records.drain(..RECORDS / 2);
    }
}
