//! `keys`: what seals the store.

use std::time::Duration;

use time::OffsetDateTime;

use super::failure::Failure;
use super::installation::{Installation, Options};
use super::interrupt::Uninterrupted;
use super::{Done, print};
use crate::secret::{Key, KeySource, Sealer, bundle, random_bytes};
use crate::store::{Grant, Id, StoreError};

/// Resealing a grant takes milliseconds; a holder that dies gives its lease up sooner.
const LEASE: time::Duration = time::Duration::seconds(120);
/// How often a grant is looked at that is being refreshed.
const PAUSE: Duration = Duration::from_millis(100);
/// Where this installation's own key for bundles is kept.
const TRANSFER_KEY: &str = "transfer_key";

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Seal everything with a new key, while `serve` runs
    Rotate,
    /// Print the key that accounts can be exported for, to this installation alone
    Recipient,
}

pub(super) async fn run(options: &Options, command: &Command) -> Result<Done, Failure> {
    let installation = Installation::open(options.load()?).await?;
    installation.verify_key().await?;
    match command {
        Command::Rotate => rotate(&installation).await?,
        Command::Recipient => print::data(&bundle::recipient(&transfer_key(&installation).await?)?),
    }
    Ok(Done::Well)
}

/// The private key that bundles for this installation are sealed for, made at its first use.
pub(super) async fn transfer_key(installation: &Installation) -> Result<Key, Failure> {
    let fresh = Key::new(random_bytes::<32>());
    let sealed = {
        let _lock = installation.sealing()?;
        let sealed = installation.sealer.seal(TRANSFER_KEY, &*fresh)?;
        installation.store.setting(TRANSFER_KEY, &sealed).await?
    };
    let opened = installation.sealer.open(TRANSFER_KEY, &sealed)?;
    let key = <[u8; 32]>::try_from(opened.as_slice());
    Ok(Key::new(key.map_err(|_| Failure::new("the transfer key in the store is damaged"))?))
}

/// The order is what makes it safe: the new key is on disk before anything is sealed with it, every value
/// is replaced only where it is still the one that was read, and an old key goes when nothing needs it.
async fn rotate(installation: &Installation) -> Result<(), Failure> {
    let _finishing = Uninterrupted::begin();
    // Commands that seal wait until this is done.
    let _lock = installation.sealing()?;
    let source = &installation.config.store.key;
    let sealer = &installation.sealer;
    match source.add()? {
        Some(id) => {
            sealer.reload()?;
            print::words(&format!("Key {id} is added to {source}."));
        }
        None if sealer.key_ids().len() < 2 => return Err(foreign_source(source, sealer)),
        None => print::words(&format!("Sealing with key {}, the newest of {source}.", sealer.current_key())),
    }
    let settings = reseal_settings(installation).await?;
    let grants = reseal_grants(installation).await?;
    print::words(&format!("{} values are sealed with key {} now.", settings + grants, sealer.current_key()));
    let old: Vec<String> = still_needed(installation).await?;
    if !old.is_empty() {
        return Err(Failure::new(format!(
            "the old keys are kept, because they still seal {}",
            old.join(", ")
        )));
    }
    let current = sealer.current_key();
    let gone: Vec<String> =
        sealer.key_ids().iter().filter(|id| **id != current).map(|id| format!("key {id}")).collect();
    match source.retain(&[current])? {
        true => print::words(&format!(
            "Nothing needs {} any more; {source} holds key {current} alone. Backups of the store from before need the old one.",
            gone.join(", ")
        )),
        false => {
            print::words(&format!("Nothing needs {} any more; take it out of {source}.", gone.join(", ")));
        }
    }
    print::words("App passwords stay as they are. A running serve has the new key with its next login.");
    Ok(())
}

fn foreign_source(source: &KeySource, sealer: &Sealer) -> Failure {
    let current = sealer.current_key();
    let next = current.saturating_add(1);
    Failure::new(format!("{source} holds one key, and only you can add another"))
        .hint(format!("let it hold two lines: `{current} OLD-KEY` and `{next} NEW-KEY`; openssl rand -base64 32 makes one"))
        .hint("restart serve where its keys come from the environment or a credential, then run keys rotate again")
}

async fn reseal_settings(installation: &Installation) -> Result<usize, Failure> {
    let mut count = 0;
    for setting in installation.store.sealed_settings().await? {
        if is_current(&installation.sealer, &setting.value) {
            continue;
        }
        let value = reseal(&installation.sealer, &setting.key, &setting.value)?;
        if installation.store.replace_setting(&setting.key, &setting.value, &value).await? {
            count += 1;
        }
    }
    Ok(count)
}

async fn reseal_grants(installation: &Installation) -> Result<usize, Failure> {
    let mut count = 0;
    for grant in installation.store.grants().await? {
        count += reseal_grant(installation, &grant.id).await?;
    }
    Ok(count)
}

/// Under the grant's lease, so that no refresh is under way that would write what it read before.
async fn reseal_grant(installation: &Installation, id: &Id) -> Result<usize, Failure> {
    let (store, sealer) = (&installation.store, &installation.sealer);
    let holder = store.holder().await?;
    loop {
        let now = OffsetDateTime::now_utc();
        if !store.take_lease(id, &holder, now, now.saturating_add(LEASE)).await? {
            if store.grant(id).await?.is_none() {
                return Ok(0);
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let Some(mut grant) = store.grant(id).await? else { return Ok(0) };
        let (access, refresh) = (Grant::access_context(id), Grant::refresh_context(id));
        let mut count = 0;
        for (context, value) in [(access, &mut grant.access_token), (refresh, &mut grant.refresh_token)] {
            if let Some(sealed) = value
                && !is_current(sealer, sealed)
            {
                *sealed = match reseal(sealer, &context, sealed) {
                    Ok(resealed) => resealed,
                    Err(failure) => {
                        store.release_lease(id, &holder).await?;
                        return Err(failure);
                    }
                };
                count += 1;
            }
        }
        if count == 0 {
            store.release_lease(id, &holder).await?;
            return Ok(0);
        }
        match store.update_grant(&grant, Some(&holder)).await {
            Ok(_) => return Ok(count),
            // A person authorised at this very moment: theirs is looked at anew.
            Err(StoreError::Conflict) => store.release_lease(id, &holder).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_current(sealer: &Sealer, sealed: &[u8]) -> bool {
    Sealer::key_of(sealed) == Some(sealer.current_key())
}

fn reseal(sealer: &Sealer, context: &str, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
    let opened = sealer.open(context, sealed).map_err(|error| {
        Failure::new(format!("{context} cannot be opened, so the old key stays: {error}"))
    })?;
    Ok(sealer.seal(context, &opened)?)
}

/// What is sealed with another key than the newest.
async fn still_needed(installation: &Installation) -> Result<Vec<String>, Failure> {
    let sealer = &installation.sealer;
    let mut old = Vec::new();
    for grant in installation.store.grants().await? {
        let values = [&grant.access_token, &grant.refresh_token];
        if values.into_iter().flatten().any(|sealed| !is_current(sealer, sealed)) {
            old.push(format!("the grant of {}", grant.owner));
        }
    }
    for setting in installation.store.sealed_settings().await? {
        if !is_current(sealer, &setting.value) {
            old.push(setting.key);
        }
    }
    Ok(old)
}
