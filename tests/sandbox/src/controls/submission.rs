//! The test's controls of the submission server.

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

    /// Completed messages, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared().look(|state| state.sent.clone())
    }

    // Switches and faults.

    /// Changes what the submission server does to sessions accepted from now on.
    pub fn submission(&self, change: impl FnOnce(&mut SubmissionSwitches)) {
        self.shared().change(|state| change(Arc::make_mut(&mut state.submission)));
    }

    /// The fault meets the next session at this step. Several faults queue.
    pub fn next_step(&self, step: Step, fault: impl Into<StepFault>) {
        self.next_steps(1, step, fault);
    }

    /// The fault meets the next `count` sessions at this step.
    pub fn next_steps(&self, count: u64, step: Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.step_faults.entry(step).or_default().push(Some(count), fault));
    }

    /// The fault meets all sessions at this step, after those queued before it.
    pub fn every_step(&self, step: Step, fault: impl Into<StepFault>) {
        let fault = fault.into();
        self.shared().change(|state| state.step_faults.entry(step).or_default().push(None, fault));
    }

    /// Removes all faults at the submission server.
    pub fn heal_steps(&self) {
        self.shared().change(|state| state.step_faults.clear());
    }

    // Sessions.

    /// Sends this line (such as `421 4.3.2 Service not available`) to every session of `user` (`None`: to all
    /// sessions), then closes.
    pub fn end_submissions(&self, user: Option<&str>, line: &str) {
        self.order_senders(user, &Order::Bye(line.to_owned()));
    }

    /// Closes every session (TLS close_notify and FIN) without a reply.
    pub fn close_submissions(&self, user: Option<&str>) {
        self.order_senders(user, &Order::Close);
    }

    /// Resets every session (TCP RST).
    pub fn reset_submissions(&self, user: Option<&str>) {
        self.order_senders(user, &Order::Reset);
    }

    /// Writes these octets into every session, unchanged.
    pub fn inject_submissions(&self, user: Option<&str>, octets: &[u8]) {
        self.order_senders(user, &Order::Raw(octets.to_vec()));
    }

    fn order_senders(&self, user: Option<&str>, order: &Order) {
        self.shared().change(|state| order_sessions(&state.senders, user, |_| Some(order.clone())));
    }
}
