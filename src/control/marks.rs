//! The key of the marks in tokens: a sealed setting, which the first process that needs the key makes.
//!
//! All processes and commands of an installation have the same key, so that each knows the tokens of the others; see
//! [`crate::secret::marks`]. A rotation of the keys seals the setting anew and changes no token.

use super::error::Error;
use super::installation::Installation;
use crate::secret::marks::Marks;
use crate::secret::{Key, random_bytes};

/// The setting that holds the key.
const KEY: &str = "token_marks";

/// What the mark of an answer's `state` is made for.
pub(crate) const STATE: &str = "state";

/// The marks of this installation.
pub(crate) async fn of(installation: &Installation) -> Result<Marks, Error> {
    let settings = installation.store.sealed_settings().await?;
    let sealed = match settings.into_iter().find(|setting| setting.key == KEY) {
        Some(setting) => setting.value,
        None => make(installation).await?,
    };
    let not_opened =
        |error| Error::NotSealedHere { what: "the key of the marks in tokens".to_owned(), error };
    Ok(Marks::new(&installation.sealer.open(KEY, &sealed).map_err(not_opened)?))
}

/// Of several processes that make a key at once, the first one's counts.
async fn make(installation: &Installation) -> Result<Vec<u8>, Error> {
    let fresh = Key::new(random_bytes::<32>());
    let _lock = installation.sealing().await?;
    let sealed = installation.sealer.seal(KEY, &*fresh)?;
    Ok(installation.store.setting(KEY, &sealed).await?)
}
