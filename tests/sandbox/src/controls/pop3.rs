//! The test's controls of the POP3 server.

use std::sync::Arc;

use super::{Controls, order_sessions};
use crate::state::Order;
use crate::switches::{Pop3Step, Pop3Switches, StepFault};
use crate::{LoginRecord, Pop3Session};

impl Controls {
    /// Connections to the POP3 server, in order.
    pub fn pop3_sessions(&self) -> Vec<Pop3Session> {
        self.shared().look(|state| state.pop3_sessions.values().cloned().collect())
    }

    /// Logins judged by the POP3 server, in order.
    pub fn pop3_logins(&self) -> Vec<LoginRecord> {
        self.shared().look(|state| state.pop3_logins.clone())
    }

    /// Changes what the POP3 server does to sessions accepted from now on.
    pub fn pop3(&self, change: impl FnOnce(&mut Pop3Switches)) {
        self.shared().change(|state| change(Arc::make_mut(&mut state.pop3)));
    }

    /// The fault meets the next session at this step. Several faults queue.
    pub fn next_pop3(&self, step: Pop3Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.pop3_faults.entry(step).or_default().push(Some(1), fault));
    }

    /// The fault meets all sessions at this step, after those queued before it.
    pub fn every_pop3(&self, step: Pop3Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.pop3_faults.entry(step).or_default().push(None, fault));
    }

    /// Removes all faults at the POP3 server.
    pub fn heal_pop3(&self) {
        self.shared().change(|state| state.pop3_faults.clear());
    }

    /// Closes every session (TLS close_notify and FIN) of `user` (`None`: all sessions).
    pub fn close_pop3(&self, user: Option<&str>) {
        self.order_fetchers(user, &Order::Close);
    }

    /// Resets every session (TCP RST).
    pub fn reset_pop3(&self, user: Option<&str>) {
        self.order_fetchers(user, &Order::Reset);
    }

    /// Writes these octets into every session, unchanged.
    pub fn inject_pop3(&self, user: Option<&str>, octets: &[u8]) {
        self.order_fetchers(user, &Order::Raw(octets.to_vec()));
    }

    fn order_fetchers(&self, user: Option<&str>, order: &Order) {
        self.shared().change(|state| order_sessions(&state.fetchers, user, |_| Some(order.clone())));
    }
}
