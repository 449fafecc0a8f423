//! The list of accounts as an administrator looks at it: what needs a person first, then what ends soon, then the
//! rest, each by name; searched, filtered and cut into pages.
//!
//! One pass reads the accounts page by page and keeps only what may be shown, so that memory does not grow with their
//! number.

mod endings;
mod standing;

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::accounts;
use super::error::Error;
use super::grants::{Overview, Pages};
use super::installation::Installation;
use crate::store::AppPassword;

pub(crate) use endings::{Ending, EndingOf, endings};
pub(crate) use standing::{SOON, Standing, Urgency};

/// The search and the filters of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// A part of the name, an alias or the owner.
    pub(crate) text: String,
    pub(crate) kind: Option<Kind>,
    pub(crate) provider: Option<String>,
}

/// A kind of accounts in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NeedsPerson,
    /// The grant, or an app password, certainly ends within [`SOON`].
    EndsSoon,
    Of(Standing),
}

impl Kind {
    /// All kinds, with their words in addresses.
    pub(crate) fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let standings = Standing::ALL.iter().map(|standing| (standing.word(), Self::Of(*standing)));
        [("needs_person", Self::NeedsPerson), ("ends_soon", Self::EndsSoon)].into_iter().chain(standings)
    }

    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::all().find(|(name, _)| *name == word).map(|(_, kind)| kind)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The accounts of the page, in the order of the list.
    pub(crate) shown: Vec<(Urgency, Overview)>,
    pub(crate) matching: usize,
    /// How many of all accounts need a person.
    pub(crate) need_person: usize,
    /// In how many of all accounts something is wrong now, those that need a person included.
    pub(crate) wrong: usize,
    /// How many of all accounts end soon.
    pub(crate) end_soon: usize,
    /// How many accounts there are, by the name of their standing.
    standings: BTreeMap<&'static str, usize>,
    /// How many accounts there are, by provider.
    pub(crate) providers: BTreeMap<String, usize>,
}

impl Listing {
    pub(crate) fn total(&self) -> usize {
        self.standings.values().sum()
    }

    /// How many of all accounts stand like that.
    pub(crate) fn number_of(&self, standing: Standing) -> usize {
        self.standings.get(standing.word()).copied().unwrap_or(0)
    }
}

/// The page number `page`, from 0, of at most `size` accounts.
pub(crate) async fn search(
    installation: &Installation,
    wanted: &Wanted,
    page: usize,
    size: usize,
) -> Result<Listing, Error> {
    let now = OffsetDateTime::now_utc();
    let text = wanted.text.trim().to_lowercase();
    let (from, to) = (page.saturating_mul(size), page.saturating_add(1).saturating_mul(size));
    let mut listing = Listing::default();
    // For each urgency, the accounts up to the end of the page are kept: only at the end is it known how many of them
    // come before the page.
    let mut kept: BTreeMap<Urgency, (usize, Vec<Overview>)> = BTreeMap::new();
    let mut pages = Pages::default();
    loop {
        let overviews = pages.next(installation).await?;
        if overviews.is_empty() {
            break;
        }
        for overview in overviews {
            let urgency = Urgency::of(&overview, now);
            listing.count(&overview, urgency);
            if !is_wanted(&overview, urgency, wanted, &text) {
                continue;
            }
            let (count, of_urgency) = kept.entry(urgency).or_default();
            *count += 1;
            if of_urgency.len() < to {
                of_urgency.push(overview);
            }
        }
    }
    let mut before = 0;
    for (urgency, (count, overviews)) in kept {
        let (skip, take) = (from.saturating_sub(before), to.saturating_sub(before.max(from)));
        listing.shown.extend(overviews.into_iter().skip(skip).take(take).map(|overview| (urgency, overview)));
        before += count;
    }
    listing.matching = before;
    Ok(listing)
}

impl Listing {
    fn count(&mut self, overview: &Overview, urgency: Urgency) {
        *self.standings.entry(Standing::of(overview).word()).or_default() += 1;
        self.wrong += usize::from(urgency.is_wrong());
        self.need_person += usize::from(urgency.needs_person());
        self.end_soon += usize::from(urgency == Urgency::EndsSoon);
        if let Some(grant) = &overview.grant {
            *self.providers.entry(grant.provider.clone()).or_default() += 1;
        }
    }
}

fn is_wanted(overview: &Overview, urgency: Urgency, wanted: &Wanted, text: &str) -> bool {
    let is_of_kind = match wanted.kind {
        None => true,
        Some(Kind::NeedsPerson) => urgency.needs_person(),
        Some(Kind::EndsSoon) => urgency == Urgency::EndsSoon,
        Some(Kind::Of(standing)) => Standing::of(overview) == standing,
    };
    let grant = overview.grant.as_ref();
    let is_of_provider = wanted
        .provider
        .as_ref()
        .is_none_or(|provider| grant.is_some_and(|grant| grant.provider == *provider));
    let has_text = || {
        let names = std::iter::once(&overview.account.name).chain(&overview.account.aliases);
        names.chain(grant.map(|grant| &grant.owner)).any(|name| name.to_lowercase().contains(text))
    };
    is_of_kind && is_of_provider && (text.is_empty() || has_text())
}

/// One account with its app passwords.
pub(crate) struct Single {
    pub(crate) overview: Overview,
    pub(crate) passwords: Vec<AppPassword>,
}

pub(crate) async fn one(installation: &Installation, name: &str) -> Result<Single, Error> {
    let row = accounts::one(installation, name).await?;
    let passwords = installation.store.passwords(&row.account.id).await?;
    Ok(Single { overview: Overview::of(installation, row), passwords })
}
