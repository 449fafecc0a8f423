//! Which doors an authorisation is for, and what came of proving each.
//!
//! Doors that were named are a condition: each opens, or nothing is stored. Without names they are those of the grant
//! that is renewed, else those that the installation opens and the provider offers; of these one is enough, and the
//! others are left out with a reason.

use super::plan::{Progress, Tell};

use crate::config::{Config, Door, Names, Provider};
use crate::control::doors::in_use;
use crate::control::error::{LeftOut, Unproven};
use crate::control::proof::prove;
use crate::control::providers::Legs;
use crate::secret::Secret;
use crate::store::Grant;

/// The doors that an authorisation is for.
#[derive(Clone, Debug)]
pub(super) struct Doors {
    /// A person is asked for their scopes.
    asked: Vec<Door>,
    /// They are proven.
    proven: Vec<Door>,
    /// Whether they were named.
    named: bool,
}

/// What came of a door.
#[derive(Debug)]
pub(crate) enum Proof {
    /// It opened; the number of folders, where the protocol has such.
    Opened { folders: Option<usize> },
    /// It could not be asked, and it is known whose grant it is.
    Later(Unproven),
    /// There was no mailbox to ask it about.
    NoMailbox,
    /// It did not open, and others did.
    LeftOut(LeftOut),
}

/// What came of each door that was tried.
pub(crate) type Proofs = Vec<(Door, Proof)>;

/// How much a proof has to prove.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The provider said who consented: a mail server that cannot be asked now is no obstacle.
    Known,
    /// The provider tells no names: the sign-in has to prove it.
    Unknown,
}

impl Doors {
    /// The doors that were named, besides those that the grant has to go on opening.
    pub(super) fn named(provider: &Provider, named: &[Door], kept: &[Door]) -> Self {
        let asked = provider.doors().filter(|door| named.contains(door) || kept.contains(door)).collect();
        // Each once, however often it was named.
        let proven = provider.doors().filter(|door| named.contains(door)).collect();
        Self { asked, proven, named: true }
    }

    /// The doors that the grant opens already, and those in use where the account `is_new` or the grant opens none.
    pub(super) fn unnamed(config: &Config, provider: &Provider, opened: &[Door], is_new: bool) -> Self {
        let mut asked = opened.to_vec();
        if is_new || opened.is_empty() {
            let offered = in_use(config, provider.doors().collect());
            asked = provider.doors().filter(|door| opened.contains(door) || offered.contains(door)).collect();
        }
        Self { proven: in_use(config, asked.clone()), asked, named: false }
    }

    /// The scopes that a person is asked for.
    pub(super) fn scopes(&self, provider: &Provider) -> Vec<String> {
        provider.asked_for(&self.asked)
    }

    /// Each door alone, where there are several.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        let one = |&door: &Door| Self { asked: vec![door], proven: vec![door], named: self.named };
        self.proven.iter().map(one).filter(|_| self.proven.len() > 1)
    }

    /// Whether `grant` opens what has to open.
    pub(super) fn are_opened_by(&self, provider: &Provider, grant: &Grant) -> bool {
        let opens = |door: &Door| provider.lacking(*door, grant.known_scopes()).is_empty();
        match self.named {
            true => self.proven.iter().all(opens),
            false => self.proven.iter().any(opens),
        }
    }

    /// All of them, without a mailbox to try.
    pub(super) fn untried(&self) -> Proofs {
        self.proven.iter().map(|&door| (door, Proof::NoMailbox)).collect()
    }

    /// Proves each with `token`, which stands for `scopes`. The error is the door that keeps the grant from being
    /// stored.
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

/// Where the request named no doors, one that opens is enough. One that could not be asked can wait, once it is known whose grant it is:
/// because the provider said so, or because another door opened.
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
