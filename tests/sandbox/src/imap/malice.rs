//! Greetings and login answers that no honest server sends and a proxy must survive.

use super::login::Attempt;
use super::session::{End, Flow, Session};
use crate::switches::{Greeting, LoginFault};

impl Session {
    pub(super) async fn greet_wrongly(&mut self, greeting: &Greeting) -> Flow {
        match greeting {
            Greeting::Normal | Greeting::Hold(_) => Ok(()),
            Greeting::Bye(text) => Err(End::Bye(text.clone())),
            Greeting::Preauth => {
                self.transport.put_line("* PREAUTH IMAP4rev1 server logged in as somebody");
                Ok(self.transport.flush().await?)
            }
            Greeting::Raw(octets) => {
                self.transport.put(octets);
                self.transport.flush().await?;
                self.silence().await
            }
            Greeting::Silence => self.silence().await,
            Greeting::Close => Err(End::Close),
            Greeting::Endless => self.endless().await,
            Greeting::LongLine(octets) => self.long_line(*octets).await,
        }
    }

    pub(super) async fn misbehave(&mut self, attempt: Attempt, fault: LoginFault) -> Flow {
        self.shared.change(|state| state.stats.failed_logins += 1);
        match fault {
            LoginFault::Lines(lines) => {
                for line in lines {
                    self.transport.put_line(line.replace("{tag}", &attempt.tag));
                }
                Ok(())
            }
            LoginFault::Silence => self.silence().await,
            LoginFault::Reset => Err(End::Reset),
            LoginFault::Endless => self.endless().await,
            LoginFault::EndlessChallenges => loop {
                self.continuation("e30=").await?;
                self.answer_line().await?;
            },
            LoginFault::LongLine(octets) => self.long_line(octets).await,
            // `login` handles the other faults.
            _ => Err(End::Close),
        }
    }

    /// Sends nothing until the client disconnects or the test ends the session.
    async fn silence(&mut self) -> Flow {
        loop {
            self.line().await?;
        }
    }

    /// Untagged lines until the client disconnects.
    async fn endless(&mut self) -> Flow {
        let lines = "* OK still thinking\r\n".repeat(512);
        loop {
            self.transport.put_large(lines.as_bytes()).await?;
            self.transport.flush().await?;
        }
    }

    /// One very long line, then its end, then silence.
    async fn long_line(&mut self, octets: u64) -> Flow {
        let piece = vec![b'x'; 64 << 10];
        self.transport.put("* OK ");
        let mut left = octets;
        while left > 0 {
            let now = left.min(piece.len() as u64);
            self.transport.put_large(&piece[..now as usize]).await?;
            left -= now;
        }
        self.transport.put_line("");
        self.transport.flush().await?;
        self.silence().await
    }
}
