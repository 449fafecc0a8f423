//! IMAP: its part of the dialogue with a client, and its dialogues with a provider.
//!
//! The sign-in speaks with the provider under the tag of the client's own login command, so that the
//! provider's answer can be passed on unchanged.

mod answer;
pub mod begin_tls;
pub mod client;
mod command;
mod meaning;
mod probe;
mod response;
pub mod upstream;
mod watch;

use std::time::Duration;

use super::provider::drive;
use super::{Accepted, Credential, Denial, Door, NotListed, Protocol, Refusal, Vocabulary};
use crate::wire::{Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use probe::List;
use upstream::SignIn;

pub use answer::response_code;
pub use client::Imap;
pub use meaning::advice_on;
pub use watch::SessionWatch;

/// The words that a session trace may show.
const WORDS: Vocabulary = Vocabulary {
    tagged: true,
    #[rustfmt::skip]
    commands: &[
        "CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "AUTHENTICATE", "LOGIN", "ID", "ENABLE", "SELECT", "EXAMINE", "CREATE",
        "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST", "LSUB", "XLIST", "NAMESPACE", "STATUS", "APPEND", "IDLE",
        "DONE", "CHECK", "CLOSE", "UNSELECT", "EXPUNGE", "SEARCH", "FETCH", "STORE", "COPY", "MOVE", "UID", "SORT", "THREAD",
        "COMPRESS", "GETQUOTA", "GETQUOTAROOT", "GETACL", "MYRIGHTS", "GETMETADATA", "SETMETADATA", "NOTIFY",
    ],
    exchanges: &["AUTHENTICATE"],
    codes: false,
    texts: false,
    #[rustfmt::skip]
    replies: &[
        "OK", "NO", "BAD", "BYE", "PREAUTH", "CAPABILITY", "ID", "ENABLED", "EXISTS", "RECENT", "EXPUNGE", "VANISHED", "FETCH",
        "FLAGS", "LIST", "LSUB", "XLIST", "NAMESPACE", "STATUS", "SEARCH", "ESEARCH", "SORT", "THREAD", "QUOTA", "QUOTAROOT",
        "ACL", "MYRIGHTS", "METADATA",
    ],
    prompts: &["+"],
    message: None,
};

/// The tag of a sign-in without a client.
const PROOF_TAG: &[u8] = b"a1";

impl Protocol for Imap {
    const DOOR: Door = Door::Imap;
    /// Mail programs that reconnect close their old session within a moment; a longer wait would make them time
    /// out.
    const GATE_PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    /// Exchange counts refusals and then closes the connection; Gmail closes it at once.
    const KEEPS_REFUSED: bool = false;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;

    /// A BYE instead of a greeting (RFC 3501 §7.1.5).
    fn turn_away(denial: &Denial) -> Vec<u8> {
        answer::bye(Some(denial.code), &denial.text)
    }

    fn alert(text: &str) -> Option<Vec<u8>> {
        Some(answer::alert(text))
    }

    async fn sign_in<U: Stream>(
        client: Option<&Dialogue>,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        let tag = client.map_or(PROOF_TAG, Dialogue::login_tag);
        drive(SignIn::new(tag, credential)?, upstream).await
    }

    /// Lists the folders: Exchange accepts tokens for mailboxes that it then refuses with the first command.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        let folders = drive(List::default(), upstream).await.map_err(NotListed)?;
        // For politeness; the answer is not awaited.
        let _ = upstream.send(b"P4 LOGOUT\r\n").await;
        Ok(Some(folders))
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        drive(BeginTls::default(), upstream).await
    }
}
