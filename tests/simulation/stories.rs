//! The faults that the simulation has found, each as a fixed sequence of steps. Seeds lose their meaning when the
//! simulation changes; these tests do not.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::faults::Fault;
use crate::instance::{Ended, Instance};
use crate::knobs::Knobs;
use crate::provider::grant_of;
use crate::storm::{Storm, on_paused_time};
use crate::world::{Report, World};

const ALICE: &str = "a0";

/// Two instances, and the first login of the first of them, which has just taken the lease.
struct Story {
    storm: Arc<Storm>,
    one: Arc<Instance>,
    other: Arc<Instance>,
    first: JoinHandle<Ended>,
}

impl Story {
    async fn begin(seed: u64) -> Self {
        Self::with(seed, None).await
    }

    async fn with(seed: u64, fault: Option<Fault>) -> Self {
        let world = World::with(Knobs::quiet(), Chance::new(seed), fault, true);
        let storm = Storm::new(&world);
        let [one, other] = [0, 1].map(|number: usize| storm.instances.lock().unwrap()[number].clone());
        let logging_in = one.clone();
        let first = tokio::spawn(async move { logging_in.login(ALICE).await });
        let story = Self { storm, one, other, first };
        while !story.has_lease() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        story
    }

    fn has_lease(&self) -> bool {
        self.storm.database.lock().unwrap().audit.has(&grant_of(ALICE), &self.one.process.name)
    }

    /// Checks that the run found no fault, and that the account works.
    async fn ends_well(self) {
        let _ = self.first.await;
        self.storm.passes().await;
        let report = self.storm.world.report(0);
        assert!(report.breaches.is_empty(), "{}\n{:#?}", report.log.join("\n"), report.breaches);
    }
}

/// A process that was suspended after it took the lease asked with a refresh token that another process had spent.
#[test]
fn suspended_between_lease_and_request_a_process_looks_again() {
    let mut told = 0;
    for seed in 0..40 {
        on_paused_time(async {
            let story = Story::begin(seed).await;
            if story.storm.provider.lock().unwrap().was_asked() {
                return;
            }
            told += 1;
            story.one.process.pause(Duration::from_secs(45), "the lease");
            tokio::time::sleep(Duration::from_secs(35)).await;
            let ended = story.other.login(ALICE).await;
            assert!(matches!(ended, Ended::In), "{ended:?}");
            story.ends_well().await;
        });
    }
    assert!(told >= 10, "in {told} of 40 the process was suspended in time");
}

/// A consent frees the lease: its holder and another process asked with the new refresh token at once.
#[test]
fn a_consent_under_a_lease_is_used_by_one_process() {
    for seed in 0..20 {
        on_paused_time(async {
            let story = Story::begin(seed).await;
            story.storm.consent(ALICE);
            let ended = story.other.login(ALICE).await;
            assert!(matches!(ended, Ended::In), "{ended:?}");
            story.ends_well().await;
        });
    }
}

/// A lease that could not be released, because the database was away, kept the other processes waiting for an hour.
#[test]
fn a_lease_that_cannot_be_released_is_given_back_later() {
    for seed in 0..20 {
        on_paused_time(async {
            let story = Story::begin(seed).await;
            story.storm.provider.lock().unwrap().goes_out(Duration::from_secs(5));
            story.one.process.cut_off(Duration::from_secs(20));
            tokio::time::sleep(Duration::from_secs(33)).await;
            assert!(!story.has_lease(), "the holder lives, and needs the lease no more");
            let ended = story.other.login(ALICE).await;
            assert!(matches!(ended, Ended::In), "{ended:?}");
            story.ends_well().await;
        });
    }
}

/// A lease that was eight seconds old counted as old, so that a slow database kept its refreshes in a loop for ever.
#[test]
fn with_a_slow_database_an_account_logs_in() {
    for seed in 0..20 {
        on_paused_time(async {
            let knobs = Knobs { delay: 5_000, ..Knobs::quiet() };
            let storm = Storm::new(&World::with(knobs, Chance::new(seed), None, true));
            let one = storm.instances.lock().unwrap()[0].clone();
            let end = Instant::now() + Duration::from_secs(120);
            while !matches!(one.login(ALICE).await, Ended::In) {
                assert!(Instant::now() < end, "{}", storm.world.report(seed).log.join("\n"));
            }
        });
    }
}

/// An instance has the answer to a refresh and is cut off for 50 s before it has stored it, while the access token in the row
/// lasts 200 s still; meanwhile there is a login at another one. `None` if it has stored the answer in time.
async fn cut_off_with_a_rotated_token(seed: u64, fault: Option<Fault>) -> Option<Report> {
    let Story { storm, one, other, first } = Story::with(seed, fault).await;
    assert!(matches!(first.await, Ok(Ended::In)));
    tokio::time::sleep(Duration::from_secs(400)).await;
    let logging_in = one.clone();
    let waiting = tokio::spawn(async move { logging_in.login(ALICE).await });
    while storm.provider.lock().unwrap().answers() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    one.process.cut_off(Duration::from_secs(50));
    let first = storm.stored(ALICE).unwrap();
    if storm.provider.lock().unwrap().newest(&first) == first {
        return None;
    }
    tokio::time::sleep(Duration::from_secs(35)).await;
    let began = Instant::now();
    let ended = other.login(ALICE).await;
    if fault.is_none() {
        assert!(matches!(ended, Ended::In), "{ended:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "it does not wait for the holder");
        assert!(matches!(waiting.await, Ok(Ended::In)));
        tokio::time::sleep(Duration::from_secs(30)).await;
        let stored = storm.stored(ALICE).unwrap();
        assert_eq!(stored, storm.provider.lock().unwrap().newest(&stored), "it is stored after all");
        assert_eq!(storm.provider.lock().unwrap().answers(), 2, "no instance has asked again");
    }
    storm.passes().await;
    Some(storm.world.report(seed))
}

/// Such an instance was taken for dead, and the spent token came again.
#[test]
fn security_row_49_while_the_access_token_lasts_the_lease_of_a_silent_holder_is_left_alone() {
    let told = (0..40).filter_map(|seed| on_paused_time(cut_off_with_a_rotated_token(seed, None)));
    let told: Vec<_> = told.collect();
    assert!(told.len() >= 10, "in {} of 40 the instance was cut off in time", told.len());
    for report in told {
        assert!(report.breaches.is_empty(), "{}\n{:#?}", report.log.join("\n"), report.breaches);
    }
}

/// A storm seldom brings all of this together.
#[test]
fn a_lease_that_does_not_wait_for_the_end_of_the_access_token_is_found() {
    let fault = Some(Fault::TakesOverAtOnce);
    let mut reports = (0..40).filter_map(|seed| on_paused_time(cut_off_with_a_rotated_token(seed, fault)));
    assert!(reports.any(|report| report.breaches.iter().any(|breach| breach.contains(" asks with "))));
}
