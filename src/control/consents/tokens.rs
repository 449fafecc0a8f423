//! What a browser brings to find a consent: the `state` of its answer, or the key that it got when the consent began.
//!
//! Both have the mark of the installation, that of a key for its consent alone. So what was made up is known as such
//! before the store is asked.

use super::table::{ANSWER, Consents, Kept, NotTaken};
use crate::control::marks;
use crate::secret::Secret;
use crate::store::ShortLived;

impl Consents {
    /// Where a browser takes the answer with this `state`: an address on the page where its consent began, which may be
    /// another instance's.
    pub(crate) async fn place_of(&self, state: &str) -> Result<Option<String>, NotTaken> {
        let found = self.of_state(&id_of(state), state).await?;
        let Some(Kept { record, .. }) = found else { return Ok(None) };
        Ok(record.waiting.is_some().then(|| format!("{}{ANSWER}", record.origin)))
    }

    /// The key of the browser that begins the consent called `id`.
    pub(super) fn new_key(&self, id: &str) -> Secret {
        self.marks.token(&key_kind(id))
    }

    /// The consent called `id`, which is that of an answer with this `state`.
    pub(super) async fn of_state(&self, id: &str, state: &str) -> Result<Option<Kept>, NotTaken> {
        self.load(id, self.marks.knows(marks::STATE, state)).await
    }

    /// The consent called `id`, for a browser with this `key`, which the caller judges.
    pub(super) async fn of_key(&self, id: &str, key: &Secret) -> Result<Option<Kept>, NotTaken> {
        self.load(id, self.marks.knows(&key_kind(id), key.expose())).await
    }
}

/// The id of the consent whose answer has this `state`, so that any instance finds it; the id does not tell the `state`.
pub(super) fn id_of(state: &str) -> String {
    let mut id = ShortLived::key_of(&format!("consent {state}"));
    id.truncate(22);
    id
}

/// What the mark of a browser's key for the consent called `id` is made for.
fn key_kind(id: &str) -> String {
    format!("consent {id}")
}
