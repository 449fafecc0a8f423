//! A mailbox that a probe could not look into behind a sign-in that succeeded.

use std::fmt;

use super::{Refusal, Said};

/// Why the mailbox could not be read, in words. The token is good: the provider has just accepted it.
#[derive(Debug)]
pub struct NotListed(pub Refusal);

impl fmt::Display for NotListed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sign-in succeeded, but the mailbox was not looked into: ")?;
        match &self.0 {
            // The advice on an unknown text is about a sign-in, and wrong here.
            Refusal::Token(Said { text, answers, .. }) => write!(
                f,
                "the provider said \"{text}\"{answers}; check the access to the mailbox, and try again later"
            ),
            Refusal::Closed => {
                f.write_str("the provider closed the connection instead of showing it; try again later")
            }
            refusal => write!(f, "{refusal}"),
        }
    }
}

impl std::error::Error for NotListed {}
