//! From a grant that was given to rows in the store.

use time::OffsetDateTime;

use super::{Arguments, Stored};
use crate::cli::failure::Failure;
use crate::cli::installation::{Installation, Legs};
use crate::cli::interrupt::Uninterrupted;
use crate::cli::proof::{Unproven, prove};
use crate::cli::{passwords, print};
use crate::config::Provider;
use crate::oauth::Tokens;
use crate::secret::Secret;
use crate::store::{AppPassword, Authorization, Grant, GrantKind, Granted, Id, Right, fold};

/// How sure it is that the person who consented is the one who was meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Certainty {
    /// The provider said so.
    Known,
    /// The provider tells no names: the sign-in has to prove it.
    Unknown,
}

/// A consent's result, to be proven and stored.
pub(in crate::cli) struct NewGrant<'a> {
    pub(in crate::cli) account: &'a str,
    pub(in crate::cli) owner: &'a str,
    pub(in crate::cli) aliases: &'a [String],
    pub(in crate::cli) tokens: Tokens,
}

/// An application's right to an account.
pub(super) struct AppGranted<'a> {
    pub(super) account: &'a str,
    pub(super) aliases: &'a [String],
    pub(super) scopes: Vec<String>,
    pub(super) tokens: Option<Tokens>,
    pub(super) now: OffsetDateTime,
}

/// The name of the password to make for an account that has none.
pub(super) fn first_password_name(arguments: &Arguments) -> Option<&str> {
    (!arguments.no_app_password).then_some(&arguments.app_password_name)
}

/// Signs in with the new token, then stores. A provider that cannot be reached right now costs no
/// consent where it is known who consented.
pub(in crate::cli) async fn prove_and_store(
    installation: &Installation,
    legs: &Legs,
    granted: NewGrant<'_>,
    certainty: Certainty,
    password: Option<&str>,
) -> Result<Stored, Failure> {
    let proven = prove(legs, granted.account, &granted.tokens.access_token).await;
    let folders = match proven {
        Ok(folders) => Some(folders),
        Err(unproven) if certainty == Certainty::Known && unproven.is_passing() => {
            print::words(&format!("warning: the sign-in could not be tried yet: {unproven}"));
            None
        }
        Err(unproven) => return Err(unproven_failure(&unproven, granted.account)),
    };
    let mut stored = store(installation, legs, granted, password).await?;
    stored.folders = folders;
    Ok(stored)
}

fn unproven_failure(unproven: &Unproven, account: &str) -> Failure {
    Failure::new(format!(
        "the new authorisation did not open the mailbox {account}, so nothing is stored: {unproven}"
    ))
}

async fn store(
    installation: &Installation,
    legs: &Legs,
    granted: NewGrant<'_>,
    password: Option<&str>,
) -> Result<Stored, Failure> {
    let now = OffsetDateTime::now_utc();
    let NewGrant { account, owner, aliases, tokens } = granted;
    let provider = &legs.provider;
    let _storing = Uninterrupted::begin();
    let refresh_token =
        tokens.refresh_token.as_ref().ok_or_else(|| Failure::new("the provider gave no refresh token"))?;
    let _lock = installation.sealing().await?;
    let known = installation.store.grant_of(&provider.name, owner, GrantKind::Person).await?;
    let id = known.map_or_else(Id::random, |known| known.id);
    let sealed = seal(installation, &Grant::refresh_context(&id), refresh_token)?;
    let mut grant = Grant::new(id, &provider.name, owner, Right::Person { refresh_token: sealed }, now);
    grant.scopes = tokens.scopes.clone().unwrap_or_else(|| provider.scopes.clone());
    put_access_token(installation, &mut grant, &tokens, now)?;
    let seat = Seat { account, aliases, owner, password };
    put(installation, seat, Granted::New(Box::new(grant))).await
}

fn seal(installation: &Installation, context: &str, secret: &Secret) -> Result<Vec<u8>, Failure> {
    Ok(installation.sealer.seal(context, secret.expose().as_bytes())?)
}

/// Puts an access token, and what the provider said with it, into a grant.
fn put_access_token(
    installation: &Installation,
    grant: &mut Grant,
    tokens: &Tokens,
    now: OffsetDateTime,
) -> Result<(), Failure> {
    grant.access_token = Some(seal(installation, &Grant::access_context(&grant.id), &tokens.access_token)?);
    grant.access_expires_at = Some(tokens.expires_at);
    grant.refreshed_at = Some(now);
    grant.refresh_expires_at = tokens.refresh_expires_at;
    Ok(())
}

/// Stores an application's grant for an account. The account has a password from its first moment on.
pub(super) async fn store_app(
    installation: &Installation,
    provider: &Provider,
    granted: AppGranted<'_>,
    password: &str,
) -> Result<Stored, Failure> {
    let AppGranted { account, aliases, scopes, tokens, now } = granted;
    let _storing = Uninterrupted::begin();
    let _lock = installation.sealing().await?;
    let known = installation.store.grant_of(&provider.name, account, GrantKind::App).await?;
    let id = known.map_or_else(Id::random, |known| known.id);
    let mut grant = Grant::new(id, &provider.name, account, Right::Application, now);
    grant.scopes = scopes;
    if let Some(tokens) = &tokens {
        put_access_token(installation, &mut grant, tokens, now)?;
    }
    let seat = Seat { account, aliases, owner: account, password: Some(password) };
    put(installation, seat, Granted::New(Box::new(grant))).await
}

/// Lets an account use a grant that is there.
pub(super) async fn attach(
    installation: &Installation,
    account: &str,
    aliases: &[String],
    grant: &Grant,
    password: Option<&str>,
) -> Result<Stored, Failure> {
    let _storing = Uninterrupted::begin();
    let seat = Seat { account, aliases, owner: &grant.owner, password };
    put(installation, seat, Granted::Existing(grant.id.clone())).await
}

/// An account to be, and what it is called.
struct Seat<'a> {
    account: &'a str,
    aliases: &'a [String],
    owner: &'a str,
    /// The name of its first password, where one is to be made.
    password: Option<&'a str>,
}

async fn put(installation: &Installation, seat: Seat<'_>, grant: Granted) -> Result<Stored, Failure> {
    let known = installation.known_account(seat.account).await?;
    let known = known.filter(|known| known.account.name == seat.account);
    let has_password = known.as_ref().is_some_and(|known| !known.passwords.is_empty());
    let id = known.map_or_else(Id::random, |known| known.account.id);
    let made: Option<(Secret, AppPassword)> = match seat.password {
        Some(name) if !has_password => Some(passwords::make(installation, &id, name, None).await?),
        _ => None,
    };
    let (password, row) = made.unzip();
    let aliases = seat.aliases.iter().filter(|alias| fold(alias) != fold(seat.account)).cloned().collect();
    let authorization = Authorization { account: seat.account.to_owned(), aliases, grant, id, password: row };
    let account = installation.store.authorize(&authorization).await?;
    Ok(Stored { account: account.name, owner: seat.owner.to_owned(), folders: None, password })
}
