//! How rough a run is. Each seed draws its own mixture, because a storm of everything hides what a single trouble does.

use crate::chance::Chance;

/// What a provider does with refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// Each is taken once; a second use revokes the consent.
    Strict,
    /// Each is taken once, and again within some seconds of the first use.
    Grace,
    /// There is no rotation: a refresh token stays valid.
    None,
}

/// The mixture of one run. Frequencies are in 10,000.
#[derive(Debug)]
pub(crate) struct Knobs {
    pub(crate) instances: u64,
    pub(crate) accounts: u64,
    pub(crate) rotation: Rotation,
    /// Seconds of the storm.
    pub(crate) storm: u64,
    /// The life of access tokens in seconds.
    pub(crate) life: u64,
    /// The longest delay of a step in milliseconds.
    pub(crate) delay: u64,
    /// The longest pause between two logins in milliseconds.
    pub(crate) login_gap: u64,
    /// The longest pause between two troubles of the plan in milliseconds.
    pub(crate) trouble_gap: u64,
    /// Per step of an instance.
    pub(crate) crash: u64,
    pub(crate) pause: u64,
    /// Per call of the store.
    pub(crate) lost_commit: u64,
    /// Statements that are given up, and executed later.
    pub(crate) late: u64,
    /// Per request.
    pub(crate) refusal: u64,
    pub(crate) slow: u64,
    pub(crate) lost_answer: u64,
    pub(crate) mistake: u64,
    /// Per answer: the process is cut from the database, or the database goes away.
    pub(crate) cut_at_answer: u64,
    /// How far clocks are off, in seconds.
    pub(crate) skew: u64,
    /// How long a record counts while the database is away, in seconds.
    pub(crate) stale: u64,
    /// Whether a consent brings an access token.
    pub(crate) tokens_at_consent: bool,
    /// Whether the instances renew tokens ahead of time.
    pub(crate) upkeep: bool,
    /// Whether the provider ends a consent that the proxy revokes or that a new consent replaces.
    pub(crate) ends_old: bool,
}

impl Knobs {
    /// Two instances without any disturbance, for the tests in `stories.rs`.
    pub(crate) fn quiet() -> Self {
        Self {
            instances: 2,
            accounts: 1,
            rotation: Rotation::Strict,
            storm: 0,
            life: 600,
            delay: 200,
            login_gap: 0,
            trouble_gap: 0,
            crash: 0,
            pause: 0,
            lost_commit: 0,
            late: 0,
            refusal: 0,
            slow: 0,
            lost_answer: 0,
            mistake: 0,
            cut_at_answer: 0,
            skew: 0,
            stale: 0,
            tokens_at_consent: false,
            upkeep: false,
            ends_old: false,
        }
    }

    pub(crate) fn of(chance: &mut Chance) -> Self {
        let life = chance.pick(&[10, 30, 120, 400, 600, 600]);
        let delay = chance.pick(&[0, 0, 5, 5, 50, 50, 500, 500, 5_000]);
        Self {
            instances: chance.of(1..=5),
            accounts: chance.of(1..=3),
            rotation: chance.pick(&[Rotation::Strict, Rotation::Strict, Rotation::Grace, Rotation::None]),
            storm: chance.of(20..=150),
            // A login takes half a minute where each step takes seconds.
            life: if delay < 1_000 { life } else { life.max(120) },
            delay,
            login_gap: chance.pick(&[300, 2_000, 5_000]),
            trouble_gap: chance.pick(&[2_000, 8_000, 20_000]),
            crash: chance.pick(&[0, 0, 10, 50]),
            pause: chance.pick(&[0, 0, 10, 50]),
            lost_commit: chance.pick(&[0, 0, 50, 300]),
            late: chance.pick(&[0, 0, 100, 500]),
            refusal: chance.pick(&[0, 500, 3_000]),
            slow: chance.pick(&[0, 500, 2_000]),
            lost_answer: chance.pick(&[0, 0, 0, 300]),
            mistake: chance.pick(&[0, 0, 200]),
            cut_at_answer: chance.pick(&[0, 0, 2_000, 8_000]),
            skew: chance.pick(&[0, 2, 240]),
            stale: chance.pick(&[0, 10, 60]),
            tokens_at_consent: chance.hits(7_000),
            upkeep: chance.hits(8_000),
            ends_old: chance.hits(5_000),
        }
    }
}
