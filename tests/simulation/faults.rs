//! The faults that are planted in the parts around the product, to show that the simulation finds what it is for.

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A holder counts as dead after two seconds.
    LeaseEndsEarly,
    /// The lease of a silent holder is taken although the row's access token lasts.
    TakesOverAtOnce,
    /// A death is believed at once after an outage.
    DeathIsBelieved,
    /// A statement that was given up takes or frees a lease when it comes late.
    LateStatements,
    /// A lease is judged by the clock of the instance that wants it.
    LeaseByOwnClock,
    /// An instance goes on as if it still had a lease that it has lost.
    HolderGoesOn,
    /// A write of a grant does not compare the revision.
    WriteWithoutRevision,
    /// The tokens of the provider are acknowledged and not stored.
    AnswerDropped,
    /// A login uses a record that is some seconds old, although the database answers.
    StaleReader,
    /// A login reads the grant of another account.
    AnothersGrant,
    /// A lease that was not released is never free, though its holder is dead.
    LeaseForEver,
}

impl Fault {
    /// Those that a storm finds; a story finds the other one.
    pub(crate) const ALL: [Self; 10] = [
        Self::LeaseEndsEarly,
        Self::DeathIsBelieved,
        Self::LateStatements,
        Self::LeaseByOwnClock,
        Self::HolderGoesOn,
        Self::WriteWithoutRevision,
        Self::AnswerDropped,
        Self::StaleReader,
        Self::AnothersGrant,
        Self::LeaseForEver,
    ];

    /// The text with which the simulation reports the fault: the damage where it shows, else the fault itself.
    pub(crate) fn harm(self) -> &'static str {
        match self {
            Self::LeaseEndsEarly
            | Self::TakesOverAtOnce
            | Self::DeathIsBelieved
            | Self::LateStatements
            | Self::LeaseByOwnClock
            | Self::HolderGoesOn => " asks with ",
            Self::WriteWithoutRevision => "went over revision",
            Self::AnswerDropped => "after it had the answer of",
            Self::StaleReader => "after its revocation",
            Self::AnothersGrant => "with a token of",
            Self::LeaseForEver => "does not log in",
        }
    }
}
