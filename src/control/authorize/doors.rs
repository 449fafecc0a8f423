//! The doors of an authorisation, and the result of proving each.
//!
//! Doors that the request names are a condition: each must open, or nothing is stored. Otherwise the doors are
//! those of the grant that is renewed, or those that the installation listens on and the provider offers. Then one
//! door that opens is enough, and the others are left out with a reason.

use super::plan::{Progress, Tell};

use crate::config::{Config, Door, Names, Provider};
use crate::control::doors::in_use;
use crate::control::error::{LeftOut, Unproven};
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::secret::Secret;
use crate::store::Grant;

/// The doors of an authorisation.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    /// The doors whose scopes a person is asked for.
    pub(super) asked: Vec<Door>,
    pub(super) proven: Vec<Door>,
    pub(super) named: bool,
}

/// The result for a door.
#[derive(Debug)]
pub(crate) enum Proof {
    /// The door opened; with the number of folders if the protocol has folders.
    Opened { folders: Option<usize> },
    /// The server could not be asked, but the identity of the person is known.
    Later(Unproven),
    /// There was no mailbox to test the door with.
    NoMailbox,
    /// The door did not open, but another did.
    LeftOut(LeftOut),
}

/// The result for each door that was tried.
pub(crate) type Proofs = Vec<(Door, Proof)>;

/// How much the proof must show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The provider named the person: a mail server that cannot be asked now is no obstacle.
    Known,
    /// The provider names no person: the sign-in has to prove the identity.
    Unknown,
}

impl Doors {
    /// The doors in the request, and those that the grant must continue to open.
    pub(super) fn named(provider: &Provider, named: &[Door], kept: &[Door]) -> Self {
        let asked = provider.doors().filter(|door| named.contains(door) || kept.contains(door)).collect();
        // Each once, however often it was named.
        let proven = provider.doors().filter(|door| named.contains(door)).collect();
        Self { asked, proven, named: true }
    }

    /// The doors that the grant opens already; also those in use if the account `is_new` or the grant opens none.
    pub(super) fn unnamed(config: &Config, provider: &Provider, opened: &[Door], is_new: bool) -> Self {
        let mut asked = opened.to_vec();
        if is_new || opened.is_empty() {
            let offered = in_use(config, provider.doors().collect());
            asked = provider.doors().filter(|door| opened.contains(door) || offered.contains(door)).collect();
        }
        Self { proven: in_use(config, asked.clone()), asked, named: false }
    }

    /// The scopes to ask a person for.
    pub(super) fn scopes(&self, provider: &Provider) -> Vec<String> {
        provider.asked_for(&self.asked)
    }

    /// Each door separately, if there are several.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let one = |&door: &Door| Self { asked: vec![door], proven: vec![door], named: self.named };
        self.proven.iter().map(one).filter(|_| self.proven.len() > 1)
    }

    /// Whether `grant` opens the required doors.
    pub(super) fn are_opened_by(&self, provider: &Provider, grant: &Grant) -> bool {
        let opens = |door: &Door| provider.lacking(*door, grant.known_scopes()).is_empty();
        match self.named {
            true => self.proven.iter().all(opens),
            false => self.proven.iter().any(opens),
        }
    }

    /// Proves each door with `token`, which has the `scopes`. The error is the door because of which the grant
    /// must not be stored.
    pub(super) async fn prove(
        &self,
        legs: &Legs,
        names: Names<'_>,
        scopes: Option<&[String]>,
        token: &Secret,
        certainty: Certainty,
        tell: Tell<'_>,
    ) -> Result<Proofs, (Door, Box<LeftOut>)> {
        let mut tried = Vec::new();
        for &door in &self.proven {
            let lacking = legs.provider.lacking(door, scopes);
            let outcome = match lacking.is_empty() {
                true => {
                    tell(Progress::Proving { door, mailbox: names.account });
                    prove(legs, door, names, token).await.map_err(LeftOut::Unproven)
                }
                false => Err(LeftOut::NotGranted(lacking)),
            };
            match outcome {
                Err(why) if self.named => return Err((door, why.into())),
                outcome => tried.push((door, outcome)),
            }
        }
        judge(tried, certainty)
    }
}

/// If the request named no doors, one open door is enough. A door that could not be asked may stay unproven once
/// the identity is known: from the provider, or because another door opened.
fn judge(
    tried: Vec<(Door, Result<Option<usize>, LeftOut>)>,
    certainty: Certainty,
) -> Result<Proofs, (Door, Box<LeftOut>)> {
    let opened = tried.iter().any(|(_, outcome)| outcome.is_ok());
    let may_wait = opened || certainty == Certainty::Known;
    let waits = |why: &LeftOut| matches!(why, LeftOut::Unproven(unproven) if unproven.is_passing());
    let enough = opened || (may_wait && tried.iter().any(|(_, outcome)| outcome.as_ref().is_err_and(waits)));
    let mut proofs = Vec::new();
    for (door, outcome) in tried {
        let proof = match outcome {
            Ok(folders) => Proof::Opened { folders },
            Err(why) if !enough => return Err((door, why.into())),
            Err(LeftOut::Unproven(unproven)) if may_wait && unproven.is_passing() => Proof::Later(unproven),
            Err(why) => Proof::LeftOut(why),
        };
        proofs.push((door, proof));
    }
    Ok(proofs)
}
