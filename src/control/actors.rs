//! Who does something to an installation: a command's user, a person on the page, the sender of a signal.

use crate::store::Actor;

/// The user whose command asked a running `serve`.
pub(crate) fn asker(uid: u32) -> Actor {
    Actor { surface: "cli".to_owned(), user: Some(crate::secret::user_name(uid)), uid: Some(uid) }
}

/// A person on the page: the user whose command opened it, and the session.
pub(crate) fn on_the_page(opened_by: &Actor, session: &str) -> Actor {
    let user = opened_by.user.as_deref().unwrap_or("unknown");
    Actor { surface: "page".to_owned(), user: Some(format!("{user}, session {session}")), uid: opened_by.uid }
}

/// A program with the bearer token of that name.
pub(crate) fn by_token(name: &str) -> Actor {
    Actor { surface: "api".to_owned(), user: Some(format!("token {name}")), uid: None }
}

/// A person who opened a sign-in link. Who that is, the provider says: the account's owner, or nothing is stored.
pub(crate) fn by_link() -> Actor {
    Actor { surface: "link".to_owned(), user: None, uid: None }
}

/// A signal; its sender is not known.
pub(crate) fn signal() -> Actor {
    Actor { surface: "signal".to_owned(), user: None, uid: None }
}

/// The user who runs this command. Under `sudo`, also the user who called it, if the environment names that user.
pub(crate) fn command_line() -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let user = crate::secret::user_name(uid);
    let user = match std::env::var("SUDO_USER") {
        Ok(caller) if !caller.is_empty() && caller != user => format!("{user}, for {caller}"),
        _ => user,
    };
    Actor { surface: "cli".to_owned(), user: Some(user), uid: Some(uid) }
}
