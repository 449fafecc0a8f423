//! APPEND: into the mailbox, or into the sink if the message is too big to keep.

use super::mailbox::Body;
use super::message;
use super::parser::{Arg, Command};
use super::session::Session;
use super::store::system_case;

impl Session {
    pub(super) fn append(&mut self, mut command: Command) {
        let name = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let mut flags = Vec::new();
        if matches!(command.args.front(), Some(Arg::List(_))) {
            let asked = command.args.pop_front().map(Arg::into_members).unwrap_or_default();
            flags = asked.iter().map(|flag| system_case(&flag.text())).collect();
        }
        let mut received = None;
        if command.args.len() > 1 {
            let text = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
            received = message::parse_date_time(&text);
            if received.is_none() {
                return self.no(&command.tag, "BAD Command Argument Error. 11");
            }
        }
        let Some(mailbox) = self.mailboxes().find(&name) else {
            return self.no(&command.tag, "NO [TRYCREATE] No such mailbox");
        };
        let body = match command.args.pop_front() {
            Some(Arg::Text(octets)) => Body::plain(&octets),
            Some(Arg::Sunk(mut sunk)) => {
                sunk.mailbox = name;
                self.shared.change(|state| {
                    state.stats.appends += 1;
                    state.sunk.push(sunk);
                });
                return self.done(&command);
            }
            _ => return self.no(&command.tag, "BAD Command Argument Error. 11"),
        };
        let uid = mailbox.deliver(body, flags, received);
        self.shared.change(|state| state.stats.appends += 1);
        self.report_changes(true);
        self.no(&command.tag, &format!("OK [APPENDUID {} {uid}] (Success)", mailbox.validity));
    }
}
