//! IDLE (RFC 2177): sends changes until DONE.

use super::parser::Command;
use super::session::{Event, Flow, Session};
use crate::Flavour;
use crate::state::Shared;

/// Counts a session as idling until dropped.
struct Idling(std::sync::Arc<Shared>);

impl Drop for Idling {
    fn drop(&mut self) {
        self.0.change(|state| state.stats.idling -= 1);
    }
}

impl Session {
    pub(super) async fn idle(&mut self, command: &Command) -> Flow {
        self.report_changes(true);
        let text = match self.flavour() {
            Flavour::Gmail => "+ idling",
            _ => "+ IDLE accepted, awaiting DONE command.",
        };
        self.transport.put_line(text);
        self.transport.flush().await?;
        self.shared.change(|state| state.stats.idling += 1);
        let _idling = Idling(std::sync::Arc::clone(&self.shared));
        loop {
            match self.event(true).await? {
                Event::Changed => {
                    self.report_changes(true);
                    self.transport.flush().await?;
                }
                Event::Line(line) if line.eq_ignore_ascii_case(b"DONE") => break,
                Event::Line(line) => {
                    self.scan(&line)?;
                    self.no(&command.tag, "BAD Expected DONE.");
                    return Ok(());
                }
            }
        }
        self.no(
            &command.tag,
            if self.flavour() == Flavour::Gmail {
                "OK IDLE terminated (Success)"
            } else {
                "OK IDLE completed."
            },
        );
        Ok(())
    }
}
