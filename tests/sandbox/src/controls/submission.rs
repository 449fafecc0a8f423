//! The test's hand on the submission server.

use std::sync::Arc;

use super::{Controls, order_sessions};
use crate::state::Order;
use crate::switches::{Step, StepFault, SubmissionSwitches};
use crate::{LoginRecord, Sent, Submission};

impl Controls {
    // Watching.

    /// Connections to the submission server, in order.
    pub fn submissions(&self) -> Vec<Submission> {
        self.shared().look(|state| state.submissions.values().cloned().collect())
    }

    /// Logins judged by the submission server, in order.
    pub fn submission_logins(&self) -> Vec<LoginRecord> {
        self.shared().look(|state| state.submission_logins.clone())
    }

    /// Messages that came to their end, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared().look(|state| state.sent.clone())
    }

    // Switches and faults.

    /// Changes what the submission server does to sessions accepted from now on.
    pub fn submission(&self, change: impl FnOnce(&mut SubmissionSwitches)) {
        self.shared().change(|state| change(Arc::make_mut(&mut state.submission)));
    }

    /// The fault meets the next session that comes to this step. Several wait in line.
    pub fn next_step(&self, step: Step, fault: impl Into<StepFault>) {
        self.next_steps(1, step, fault);
    }

    /// The fault meets the next `count` that come to this step.
    pub fn next_steps(&self, count: u64, step: Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.step_faults.entry(step).or_default().push(Some(count), fault));
    }

    /// The fault meets all that come to this step, once those in line before it are used up.
    pub fn every_step(&self, step: Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.step_faults.entry(step).or_default().push(None, fault));
    }

    /// No more faults at the submission server.
    pub fn heal_steps(&self) {
        self.shared().change(|state| state.step_faults.clear());
    }

    // Sessions.

    /// This line (such as `421 4.3.2 Service not available`) to every session of `user` (`None`: to all sessions),
    /// then the end.
    pub fn end_submissions(&self, user: Option<&str>, line: &str) {
        self.order_senders(user, &Order::Bye(line.to_owned()));
    }

    /// The end (TLS close_notify and FIN) of every session, without a word.
    pub fn close_submissions(&self, user: Option<&str>) {
        self.order_senders(user, &Order::Close);
    }

    /// TCP reset of every session.
    pub fn reset_submissions(&self, user: Option<&str>) {
        self.order_senders(user, &Order::Reset);
    }

    /// These octets, as they are, into every session.
    pub fn inject_submissions(&self, user: Option<&str>, octets: &[u8]) {
        self.order_senders(user, &Order::Raw(octets.to_vec()));
    }

    fn order_senders(&self, user: Option<&str>, order: &Order) {
        self.shared().change(|state| order_sessions(&state.senders, user, |_| Some(order.clone())));
    }
}
