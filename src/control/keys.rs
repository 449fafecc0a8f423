//! The keys that seal the store, and this installation's key for bundles.

use super::audit::Deed;
use super::error::{Error, KeysError};
use super::installation::Installation;
use crate::secret::{Key, KeyError, KeySource, Sealer, random_bytes, random_text};
use crate::shutdown::Uninterrupted;
use crate::store::{Id, KeyTeller, SealedSetting, ShortLived, SignInLink, StoreError, ToldKeys};

/// How long an instance may take to answer: half a minute for a key command, and the time until it counts as dead.
/// Meanwhile no instance can store a consent.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_secs(60);
/// Resealing a grant takes milliseconds; the lease of a holder that dies ends sooner.
const LEASE: time::Duration = time::Duration::seconds(120);
/// The setting that holds this installation's key for bundles.
const TRANSFER_KEY: &str = "transfer_key";
/// The pause before the instances are looked at again; each answers with its next sign of life, within five seconds.
const ANSWER_PAUSE: std::time::Duration = std::time::Duration::from_millis(300);

/// A finished step of a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RotationStep<'a> {
    Added(u32, &'a KeySource),
    /// The source had a new key already, with old ones beside it.
    GoingOn(u32, &'a KeySource),
    /// The number of values that are now sealed with that key.
    Resealed(usize, u32),
}

#[derive(Debug)]
pub(crate) struct Rotated<'a> {
    pub(crate) current: u32,
    pub(crate) retired: Vec<u32>,
    pub(crate) source: &'a KeySource,
    /// Whether the retired keys were removed from there; otherwise a person must remove them.
    pub(crate) removed: Removed,
    /// Whether other machines have copies of the keys.
    pub(crate) is_shared: bool,
}

#[derive(Debug)]
pub(crate) enum Removed {
    Yes,
    /// Their place belongs to the machine's administrator.
    NotOurs,
    Failed(KeyError),
}

/// The private key for bundles to this installation, made at its first use.
pub(crate) async fn transfer_key(installation: &Installation) -> Result<Key, Error> {
    let fresh = Key::new(random_bytes::<32>());
    let sealed = {
        let _lock = installation.sealing().await?;
        let sealed = installation.sealer.seal(TRANSFER_KEY, &*fresh)?;
        installation.store.setting(TRANSFER_KEY, &sealed).await?
    };
    let opened = installation.sealer.open(TRANSFER_KEY, &sealed)?;
    let key = <[u8; 32]>::try_from(opened.as_slice());
    Ok(Key::new(key.map_err(|_| Error::TransferKeyDamaged)?))
}

/// Seals every value with a new key. The order makes this safe: the new key is on disk before a value is sealed
/// with it, a value is replaced only if it is still the one that was read, and an old key is removed when no value
/// needs it. Where instances share the store, each of them has the new key before a value is sealed with it. A rotation
/// that was interrupted at any step goes on with its key.
pub(crate) async fn rotate<'a>(
    installation: &'a Installation,
    done: &mut (dyn FnMut(RotationStep<'_>) + Send),
) -> Result<Rotated<'a>, Error> {
    let _finishing = Uninterrupted::begin();
    // Other commands that seal wait until this is done.
    let _lock = installation.sealing().await?;
    let source = &installation.config.store.key;
    let sealer = &installation.sealer;
    if sealer.key_ids().len() > 1 {
        done(RotationStep::GoingOn(newest(sealer), source));
    } else if let Some(id) = add(source, newest(sealer))? {
        sealer.reload()?;
        done(RotationStep::Added(id, source));
    } else {
        return Err(Error::ForeignKeys { keys: source.clone(), current: sealer.current_key() });
    }
    all_have_newest(installation).await?;
    sealer.seal_with(newest(sealer));
    let (resealed, current) = (reseal_all(installation).await?, sealer.current_key());
    done(RotationStep::Resealed(resealed, current));
    let old = still_needed(installation).await?;
    if !old.is_empty() {
        return Err(Error::KeysStillNeeded(old));
    }
    let retired = sealer.key_ids().into_iter().filter(|id| *id != current).collect();
    installation.record(Deed::KeysRotated, Some(&format!("key {current}"))).await;
    // The rotation is complete: everything is sealed with the new key, even if the old one cannot be removed.
    let removed = match source.retain(&[current]) {
        Ok(true) => Removed::Yes,
        Ok(false) => Removed::NotOurs,
        Err(error) => Removed::Failed(error),
    };
    let is_shared = installation.config.store.postgres.is_some();
    Ok(Rotated { current, retired, source, removed, is_shared })
}

/// Adds a key to a source whose newest key is `newest`; `None` if the source is not ours to write.
fn add(source: &KeySource, newest: u32) -> Result<Option<u32>, Error> {
    source.add().map_err(|error| match error {
        KeyError::Unwritable(..) => {
            KeysError::NotAdded { key: newest.saturating_add(1), keys: source.clone(), error }.into()
        }
        error => error.into(),
    })
}

fn newest(sealer: &Sealer) -> u32 {
    sealer.key_ids().last().copied().unwrap_or_default()
}

/// Publishes the names of this instance's keys to the others on the store, now and whenever a rotation asks.
pub(super) async fn tell(installation: &Installation) -> Result<(), Error> {
    // Under this lock no rotation is under way: an earlier one, which did not ask this instance, has ended, and a later
    // one will ask it.
    let is_shared = installation.config.store.postgres.is_some();
    let _lock = if is_shared { Some(installation.sealing().await?) } else { None };
    let (sealer, source) = (installation.sealer.clone(), installation.config.store.key.clone());
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let teller: KeyTeller = std::sync::Arc::new(move || {
        // If the keys cannot be read now, the known ones are published.
        if let Err(error) = sealer.reload() {
            tracing::warn!("the keys cannot be read again: {error}");
        }
        (format!("{source} of {machine}"), sealer.key_names())
    });
    Ok(installation.store.tell_keys(teller).await?)
}

/// Waits until each living instance has said whether it has the newest key; fails if one lacks it.
async fn all_have_newest(installation: &Installation) -> Result<(), Error> {
    let Some(name) = installation.sealer.key_names().pop() else { return Ok(()) };
    let (asking, began) = (random_text::<9>(), std::time::Instant::now());
    loop {
        let mut told = installation.store.ask_keys(&asking).await?;
        told.retain(|ToldKeys { keys, .. }| !keys.contains(&name));
        if told.is_empty() {
            return Ok(());
        }
        let (key, keys) = (newest(&installation.sealer), installation.config.store.key.clone());
        if told.iter().all(|told| told.has_looked) {
            let places = told.into_iter().map(|told| told.place).collect();
            return Err(KeysError::NotEverywhere { key, keys, places }.into());
        }
        // A dead instance is left out after half a minute; a living one may be unable to answer.
        if began.elapsed() > ANSWER_TIME {
            told.retain(|told| !told.has_looked);
            let places = told.into_iter().map(|told| told.place).collect();
            return Err(KeysError::NotTold { key, keys, places, seconds: ANSWER_TIME.as_secs() }.into());
        }
        tokio::time::sleep(ANSWER_PAUSE).await;
    }
}

/// Seals every value with the current key; returns how many were sealed with another.
async fn reseal_all(installation: &Installation) -> Result<usize, Error> {
    let (store, sealer) = (&installation.store, &installation.sealer);
    let mut count = 0;
    for SealedSetting { key, value: old } in store.sealed_settings().await? {
        if let Some(new) = reseal(sealer, &key, &old)? {
            count += usize::from(store.replace_setting(&key, &old, &new).await?);
        }
    }
    for grant in store.grants().await? {
        count += reseal_grant(installation, &grant.id).await?;
    }
    // A link that does not open is left: the login that needs it makes another.
    for (account, old) in store.sealed_links().await? {
        if let Ok(Some(new)) = reseal(sealer, &SignInLink::context(&account), &old) {
            count += usize::from(store.reseal_link(&account, &old, &new).await?);
        }
    }
    // A value that does not open is left: it ends soon.
    for ShortLived { kind, key, sealed: old, .. } in store.all_short_lived().await? {
        if let Ok(Some(new)) = reseal(sealer, &ShortLived::context(kind, &key), &old) {
            count += usize::from(store.replace_short_lived(kind, &key, &old, &new).await?);
        }
    }
    Ok(count)
}

/// Reseals under the grant's lease, so that no running refresh overwrites the row with older values.
async fn reseal_grant(installation: &Installation, id: &Id) -> Result<usize, Error> {
    let (store, sealer) = (&installation.store, &installation.sealer);
    loop {
        let Some(mut grant) = installation.lease(id, LEASE).await? else { return Ok(0) };
        let resealed = grant.sealed().try_fold(0, |count, (context, sealed)| {
            let Some(new) = reseal(sealer, &context, sealed)? else { return Ok(count) };
            *sealed = new;
            Ok(count + 1)
        });
        let count = match resealed {
            Ok(count) if count > 0 => count,
            none => {
                store.release_lease(id).await?;
                return none;
            }
        };
        match store.update_grant(&grant).await {
            Ok(_) => return Ok(count),
            // A person has just authorised again: read the new row.
            Err(StoreError::Conflict) => store.release_lease(id).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_current(sealer: &Sealer, sealed: &[u8]) -> bool {
    Sealer::key_of(sealed) == Some(sealer.current_key())
}

/// The value, sealed with the current key; `None` if it is already.
fn reseal(sealer: &Sealer, context: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    if is_current(sealer, sealed) {
        return Ok(None);
    }
    let unopened = |error| Error::NotResealed { what: context.to_owned(), error };
    let opened = sealer.open(context, sealed).map_err(unopened)?;
    Ok(Some(sealer.seal(context, &opened)?))
}

/// Values that are sealed with another key than the newest.
async fn still_needed(installation: &Installation) -> Result<Vec<String>, Error> {
    let sealer = &installation.sealer;
    let mut old = Vec::new();
    for mut grant in installation.store.grants().await? {
        if grant.sealed().any(|(_, sealed)| !is_current(sealer, sealed)) {
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
