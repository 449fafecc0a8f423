//! The commands after the login (RFC 1939 §5).

use super::maildrop::{stuffed, top};
use super::session::{Flow, Session};
use crate::imap::mailbox::Body;
use crate::pattern;

impl Session {
    /// A command of the TRANSACTION state (RFC 1939 §5).
    pub(super) async fn transaction(&mut self, verb: &str, rest: &str) -> Flow {
        let Some(user) = &mut self.user else { return Ok(()) };
        let mut numbers = rest.split(' ').map(|word| word.parse::<usize>().ok());
        let number = numbers.next().flatten();
        let said = match (verb, number) {
            ("STAT", _) => {
                let (count, octets) = user.maildrop.figures();
                format!("+OK {count} {octets}")
            }
            ("LIST" | "UIDL", _) => {
                let all = if verb == "LIST" { user.maildrop.sizes() } else { user.maildrop.ids() };
                return self.list(&all, number);
            }
            ("RETR" | "TOP", Some(number)) => match user.maildrop.body(number) {
                Some(body) => {
                    let lines = numbers.next().flatten().filter(|_| verb == "TOP");
                    return self.message(&body, lines).await;
                }
                None => "-ERR no such message".to_owned(),
            },
            ("DELE", Some(number)) if user.maildrop.delete(number) => "+OK marked for deletion".to_owned(),
            ("DELE", _) => "-ERR no such message".to_owned(),
            ("RSET", _) => {
                user.maildrop.reset();
                "+OK".to_owned()
            }
            ("NOOP", _) => "+OK".to_owned(),
            _ => "-ERR Unknown command.".to_owned(),
        };
        self.transport.put_line(said);
        Ok(())
    }

    fn list(&mut self, all: &[(usize, String)], number: Option<usize>) -> Flow {
        match number {
            Some(number) => match all.iter().find(|(own, _)| *own == number) {
                Some((number, what)) => self.transport.put_line(format!("+OK {number} {what}")),
                None => self.transport.put_line("-ERR no such message"),
            },
            None => {
                self.transport.put_line(format!("+OK {} messages", all.len()));
                for (number, what) in all {
                    self.transport.put_line(format!("{number} {what}"));
                }
                self.transport.put_line(".");
            }
        }
        Ok(())
    }

    /// A huge message is the pattern, which is sent without dot-stuffing.
    async fn message(&mut self, body: &Body, lines: Option<usize>) -> Flow {
        self.transport.put_line("+OK message follows");
        match body {
            Body::Huge { header, octets } if lines.is_none() => {
                self.transport.put(header);
                let mut sent = 0;
                while sent < *octets {
                    let chunk = pattern::chunk(sent, octets - sent);
                    self.transport.put(chunk);
                    self.transport.flush().await?;
                    sent += chunk.len() as u64;
                }
                self.transport.put("\r\n");
            }
            body => {
                let whole = body.readable();
                let part = lines.map_or(whole, |lines| top(whole, lines));
                self.transport.put(stuffed(part));
            }
        }
        self.transport.put_line(".");
        Ok(())
    }
}
