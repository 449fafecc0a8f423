//! The faults at the steps of a session, and the behaviour of dishonest servers.

use super::session::{End, Flow, Session};
use crate::Gate;
use crate::switches::{Pop3Step, StepFault};

/// A step without a fault: the gate at which its answer waits, if there is one.
pub(super) type Entered = Option<Gate>;

impl Session {
    /// Begins a step. `None`: a fault happened instead, and the step must not be carried out.
    pub(super) async fn enter(&mut self, step: Pop3Step) -> Flow<Option<Entered>> {
        match self.server.shared.change(|state| state.pop3_fault(step)) {
            None => Ok(Some(None)),
            Some(fault) => self.meet(fault).await,
        }
    }

    /// Applies a fault to a step. A fault that belongs to a step of AUTH has no effect at other steps.
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
            StepFault::Reply(lines) => lines.iter().for_each(|line| self.transport.put_line(line)),
            StepFault::ReplyAndClose(lines) => return Err(End::Said(lines)),
            StepFault::Raw(octets) => self.transport.put(octets),
            StepFault::Silence => loop {
                let come = self.transport.unread().len();
                self.transport.take(come);
                self.more().await?;
            },
            StepFault::Close => return Err(End::Close),
            StepFault::Reset => return Err(End::Reset),
            StepFault::Endless => loop {
                self.lines(1024).await?;
            },
            StepFault::Lines(count) => self.lines(count).await?,
            StepFault::LongLine(octets) => self.long_line(octets).await?,
        }
        self.transport.flush().await?;
        Ok(None)
    }

    /// Sends the answer of a step when its gate opens.
    pub(super) async fn leave(&mut self, gate: Entered) -> Flow {
        if let Some(gate) = gate {
            gate.pass().await;
        }
        Ok(self.transport.flush().await?)
    }

    async fn lines(&mut self, count: u64) -> Flow {
        for number in 0..count {
            self.transport.put_line("+OK still thinking");
            if number % 512 == 511 {
                self.transport.flush().await?;
            }
        }
        Ok(self.transport.flush().await?)
    }

    async fn long_line(&mut self, octets: u64) -> Flow {
        let piece = vec![b'x'; 64 << 10];
        self.transport.put("+OK ");
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
