//! Delivers an accepted message to its recipients with mailboxes here, and to the sender's mailbox of sent
//! mail, as both Gmail and Exchange do.

use crate::imap::mailbox::Body;
use crate::state::State;
use crate::stats::Sent;

/// Delivers `sent`, unless it was too big to keep.
pub(super) fn deliver(state: &State, sent: &Sent) {
    if sent.octets != sent.data.len() as u64 {
        return;
    }
    let body = match sent.chunks.is_empty() {
        true => Body::plain(&without_dots(&sent.data)),
        false => Body::plain(&sent.data),
    };
    for user in sent.recipients.iter().filter_map(|recipient| state.user(recipient)) {
        user.mailboxes.ensure("INBOX").deliver(body.clone(), Vec::new(), None);
    }
    if let Some(sent_mail) = state.user(&sent.user).and_then(|user| user.mailboxes.special("\\Sent")) {
        sent_mail.deliver(body, vec!["\\Seen".to_owned()], None);
    }
}

/// Removes the dot that the sender added to each line beginning with a dot (RFC 5321 §4.5.2).
fn without_dots(octets: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(octets.len());
    for (at, &octet) in octets.iter().enumerate() {
        let is_doubled = octet == b'.' && (at == 0 || octets[..at].ends_with(b"\r\n"));
        if !is_doubled {
            plain.push(octet);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_dot_of_a_line_goes() {
        assert_eq!(without_dots(b"..a\r\n..\r\n.b.c\n.d\r\n"), b".a\r\n.\r\nb.c\n.d\r\n");
    }
}
