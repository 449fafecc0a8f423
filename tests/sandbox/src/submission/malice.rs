//! The faults that a session meets at its steps, and the behaviour of no honest server.

use super::session::{End, Flow, Session};
use crate::Gate;
use crate::switches::{Step, StepFault};

/// A step to carry out, with the gate at which its reply waits, if any.
pub(super) type Entered = Option<Gate>;

impl Session {
    /// Enters a step. `None` means that a fault took its place, and the step must not be carried out.
    pub(super) async fn enter(&mut self, step: Step) -> Flow<Option<Entered>> {
        match self.server.shared.change(|state| state.step_fault(step)) {
            None => Ok(Some(None)),
            Some(fault) => self.meet(fault).await,
        }
    }

    /// Like [`Session::enter`], for a given fault. A fault that belongs to AUTH has no effect at other steps.
    pub(super) async fn meet(&mut self, fault: StepFault) -> Flow<Option<Entered>> {
        match fault {
            StepFault::Hold(gate) => {
                gate.pass().await;
                return Ok(Some(None));
            }
            StepFault::HoldReply(gate) => return Ok(Some(Some(gate))),
            StepFault::Refuse
            | StepFault::EarlySuccess
            | StepFault::FalseSuccess
            | StepFault::EndlessChallenges => return Ok(Some(None)),
            StepFault::Reply(lines) => {
                lines.iter().for_each(|line| self.transport.put_line(line));
            }
            StepFault::ReplyAndClose(lines) => return Err(End::Said(lines)),
            StepFault::Raw(octets) => self.transport.put(octets),
            StepFault::Silence => self.silence().await?,
            StepFault::Close => return Err(End::Close),
            StepFault::Reset => return Err(End::Reset),
            StepFault::Endless => loop {
                self.lines(1024).await?;
            },
            StepFault::Lines(count) => {
                self.lines(count.saturating_sub(1)).await?;
                self.transport.put_line("250 that was all");
            }
            StepFault::LongLine(octets) => self.long_line(octets).await?,
        }
        self.transport.flush().await?;
        Ok(None)
    }

    /// Sends nothing until the client disconnects or the test ends the session.
    async fn silence(&mut self) -> Flow {
        loop {
            let come = self.transport.unread().len();
            self.transport.take(come);
            self.more().await?;
        }
    }

    /// This many lines of one reply, without its last line.
    async fn lines(&mut self, count: u64) -> Flow {
        for number in 0..count {
            self.transport.put_line("250-X-STILL-THINKING");
            if number % 512 == 511 {
                self.transport.flush().await?;
            }
        }
        Ok(self.transport.flush().await?)
    }

    async fn long_line(&mut self, octets: u64) -> Flow {
        let piece = vec![b'x'; 64 << 10];
        self.transport.put("250 ");
        let mut left = octets.saturating_sub(4);
        while left > 0 {
            let now = left.min(piece.len() as u64);
            self.transport.put(&piece[..now as usize]);
            self.transport.flush().await?;
            left -= now;
        }
        self.transport.put_line("");
        Ok(())
    }
}
