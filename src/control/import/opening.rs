//! Opens what email-oauth2-proxy has encrypted with the password of an account's mail program.
//!
//! Each value is judged by itself: a damaged one costs only what it was for. A password that opens one value is the
//! right one, even if it does not open the others; a password that opens none of several sound values is wrong, and is
//! not kept.

use super::source::Account;
use super::vault::is_sound;
use crate::control::passwords::{LONGEST_CHOSEN, SHORTEST_CHOSEN};
use crate::secret::Secret;

/// The source of a moved account's tokens.
pub(crate) enum Token {
    Refresh(Secret),
    Application,
    /// None yet: a person has to authorise the account.
    Awaited(Awaited),
}

/// Why a person has to authorise a moved account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    NoToken,
    NoPassword,
    /// The given password does not open the refresh token.
    WrongPassword,
    /// The value of this option is missing or damaged, so no password opens the refresh token.
    BadValue(&'static str),
}

/// A password that mail programs continue to send.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(super) secret: Secret,
    /// Whether it is too short for logins from other machines.
    pub(crate) is_short: bool,
    /// Whether the password has opened an encrypted value.
    pub(crate) is_proven: bool,
}

/// What a password has opened of an account.
pub(super) struct Opened {
    /// The client's secret, if it was encrypted.
    pub(super) secret: Option<Secret>,
    pub(super) token: Token,
    pub(super) kept: Option<Kept>,
    /// The password, unless it is missing or opens none of the values that it should open.
    pub(super) password: Option<Secret>,
}

impl Token {
    /// Why there is no token, for an account whose application needs a password.
    pub(super) fn awaited(self) -> Awaited {
        match self {
            Self::Awaited(why) => why,
            Self::Refresh(_) | Self::Application => Awaited::NoPassword,
        }
    }
}

/// Whether the client's secret is known only in its encrypted form.
pub(super) fn needs_locked_secret(account: &Account) -> bool {
    account.client_secret.is_none() && account.client_secret_encrypted.is_some()
}

/// The encrypted values that show whether a password is right: those that move, else the access token.
fn locked(account: &Account) -> [Option<&str>; 3] {
    let secret = account.client_secret_encrypted.as_deref().filter(|_| needs_locked_secret(account));
    let refresh_token = account.refresh_token.as_deref();
    let [secret, refresh_token] = [secret, refresh_token].map(|value| value.filter(|value| is_sound(value)));
    let access_token = account.access_token.as_deref().filter(|value| is_sound(value));
    [secret, refresh_token, access_token.filter(|_| secret.or(refresh_token).is_none())]
}

/// Whether `password` opens an encrypted value of `account`, or there is nothing that would show it.
pub(super) fn fits(account: &Account, password: &Secret) -> bool {
    let values = locked(account);
    match &account.lock {
        Some(lock) if values.iter().any(Option::is_some) && account.bad_lock.is_none() => {
            lock.open(password, &values).iter().any(Option::is_some)
        }
        _ => true,
    }
}

pub(super) fn open(account: &Account, password: Option<&Secret>) -> Opened {
    let shut = |why| Opened { secret: None, token: Token::Awaited(why), kept: None, password: None };
    let damaged = damaged(account);
    let Some(password) = password else { return shut(damaged.unwrap_or(Awaited::NoPassword)) };
    let values = locked(account);
    let [secret, refresh_token, access_token] = match &account.lock {
        Some(lock) if values.iter().any(Option::is_some) => lock.open(password, &values),
        _ => [None, None, None],
    };
    let is_proven = secret.is_some() || refresh_token.is_some() || access_token.is_some();
    let could_open = values.iter().any(Option::is_some) && account.lock.is_some();
    if could_open && !is_proven && account.bad_lock.is_none() {
        return shut(damaged.unwrap_or(Awaited::WrongPassword));
    }
    let token = match refresh_token {
        Some(token) => Token::Refresh(token),
        // The password is right, and does not open this value.
        None if is_proven && account.refresh_token.is_some() => {
            Token::Awaited(Awaited::BadValue("refresh_token"))
        }
        None => Token::Awaited(damaged.unwrap_or(Awaited::NoToken)),
    };
    Opened { secret, token, kept: kept(password, is_proven), password: Some(password.clone()) }
}

/// Why no password opens the refresh token, if that is known without one.
fn damaged(account: &Account) -> Option<Awaited> {
    let token = account.refresh_token.as_deref()?;
    let option = match account.bad_lock {
        Some(option) => option,
        None if !is_sound(token) => "refresh_token",
        None if account.lock.is_none() => "token_salt",
        None => return None,
    };
    Some(Awaited::BadValue(option))
}

/// The password as an app password, if mail programs can send it here.
fn kept(password: &Secret, is_proven: bool) -> Option<Kept> {
    let text = password.expose();
    let can_be_sent = !text.is_empty() && text.len() <= LONGEST_CHOSEN && !text.contains(['\r', '\n', '\0']);
    let is_short = text.chars().count() < SHORTEST_CHOSEN;
    can_be_sent.then(|| Kept { secret: password.clone(), is_short, is_proven })
}
