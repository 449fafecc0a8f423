//! IMAP: drives the two dialogues over their wires.
//!
//! [`client::Dialogue`] and [`upstream::SignIn`] make all decisions and know no sockets; the loops here move bytes
//! for them. The sign-in speaks with the provider under the tag of the client's own login command, so that the
//! provider's answer can be passed on unchanged.

mod answer;
pub mod begin_tls;
pub mod client;
mod command;
mod framer;
mod meaning;
mod probe;
mod response;
pub mod upstream;
mod watch;

use std::time::Duration;

use super::dialogue::{self, ClientDialogue as _};
use super::{Accepted, Channel, Credential, Denial, Door, Limits, NotListed, Protocol, Refusal, Vocabulary};
use crate::wire::{Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use upstream::SignIn;

pub use answer::response_code;
pub use meaning::advice_on;
pub use probe::count_folders;
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

/// The IMAP dialogue of one connection.
#[derive(Debug)]
pub struct Imap {
    dialogue: Dialogue,
}

impl Protocol for Imap {
    const DOOR: Door = Door::Imap;
    /// Mail programs that reconnect close their old session within a moment; a longer wait would make them time
    /// out.
    const GATE_PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    /// Exchange counts refusals and then closes the connection; Gmail closes it at once.
    const KEEPS_REFUSED: bool = false;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;
    type Dialogue = Dialogue;

    fn new(channel: Channel, limits: Limits) -> Self {
        Self { dialogue: Dialogue::new(channel, limits) }
    }

    fn dialogue(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    /// A BYE instead of a greeting (RFC 3501 §7.1.5).
    fn turn_away(denial: &Denial) -> Vec<u8> {
        answer::bye(Some(denial.code), &denial.text)
    }

    fn alert(text: &str) -> Option<Vec<u8>> {
        Some(answer::alert(text))
    }

    async fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        let tag = self.dialogue.login_tag().ok_or(Refusal::NotAsked)?;
        sign_in(tag, upstream, credential).await
    }

    async fn sign_in<U: Stream>(
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        sign_in(PROOF_TAG, upstream, credential).await
    }

    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        count_folders(upstream).await.map(Some).map_err(NotListed)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        let mut begin_tls = BeginTls::new();
        dialogue::drive(upstream, |inbox, outbox| Ok(begin_tls.step(inbox, outbox)?.then_some(()))).await
    }
}

/// Signs in at a provider on a fresh connection, under `tag`: a client's tag, or one of the proxy's own.
///
/// If this future is dropped while it waits, the wire is in the middle of an exchange: close it.
pub async fn sign_in<U: Stream>(
    tag: &[u8],
    upstream: &mut Wire<U>,
    credential: &Credential<'_>,
) -> Result<Accepted, Refusal> {
    dialogue::sign_in(&mut SignIn::new(tag, credential)?, upstream).await
}
