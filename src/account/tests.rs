//! Logins, verified against a store.

use time::Date;
use time::macros::date;

use super::*;
use crate::secret::Sealer;
use crate::store::{Authorization, Granted, Id, LastRefusal, Limits, Right, SignInAs, Sqlite, any_act};
use crate::trouble::{CauseKind, Cure, Trouble};

const ALICE: &str = "alice@example.com";
const CHOSEN: &str = "correct-horse-battery";
const HOME: &str = "192.0.2.7";
const AWAY: &str = "198.51.100.7";

/// A store with Alice's account and her chosen `password`.
async fn accounts(directory: &std::path::Path, password: &str) -> Accounts {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.join("store.sqlite")).await.unwrap());
    let sealer = Sealer::new([(1, zeroize::Zeroizing::new([7; 32]))]).unwrap();
    let accounts = Accounts::open(store.clone(), &sealer).await.unwrap();
    let now = OffsetDateTime::now_utc();
    let account = Id::random();
    let chosen = AppPassword {
        id: Id::random(),
        account: account.clone(),
        name: "chosen".to_owned(),
        verifier: accounts.passwords.chosen(&Secret::new(password)).await.unwrap(),
        limits: Limits::default(),
        created_at: now,
        last_used_at: None,
        last_used_from: None,
    };
    let authorization = Authorization {
        account: ALICE.to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(Grant::new(Id::random(), "gmail", ALICE, Right::Application, now))),
        id: account,
        password: Some(chosen),
        disabled: false,
    };
    store.authorize(&authorization, &[]).await.unwrap();
    accounts
}

/// A login under TLS.
fn asked(from: IpAddr, due: Instant) -> Asked {
    Asked { from, exposed: false, due }
}

async fn at(
    accounts: &Accounts,
    door: Door,
    name: &str,
    password: &str,
    from: &str,
    due: Instant,
) -> Verdict {
    accounts.verify(name, &Secret::new(password), door, asked(from.parse().unwrap(), due)).await.unwrap()
}

async fn verdict(accounts: &Accounts, name: &str, password: &str, from: &str) -> Verdict {
    let due = Instant::now() + Duration::from_millis(500);
    at(accounts, Door::Imap, name, password, from, due).await
}

#[tokio::test]
async fn security_row_32_behind_a_long_queue_every_failure_is_busy_and_the_right_password_gets_in() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), "correct-horse-battery").await;
    for name in [ALICE, "nobody@example.com"] {
        let verdict = verdict(&accounts, name, "wrong", "192.0.2.1").await;
        assert!(matches!(verdict, Verdict::Refused { elsewhere: None }), "{verdict:?}");
    }
    // As after a flood of unknown names: no run of argon2id is under way, but the imagined queue is full.
    let later = Instant::now() + Duration::from_secs(3600);
    while accounts.passwords.queue_up(later) {}
    for (name, from) in [(ALICE, "192.0.2.2"), ("nobody@example.com", "192.0.2.3"), ("x", "192.0.2.4")] {
        let verdict = verdict(&accounts, name, "another", from).await;
        assert!(matches!(verdict, Verdict::Busy), "{name}: {verdict:?}");
        while accounts.passwords.queue_up(later) {}
    }
    let right = verdict(&accounts, ALICE, "correct-horse-battery", "192.0.2.5").await;
    assert!(matches!(right, Verdict::Admitted(_)), "{right:?}");
}

#[tokio::test]
async fn security_row_32_what_is_not_verified_in_time_is_remembered_for_the_next_try() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), "correct-horse-battery").await;
    let from = "192.0.2.1".parse().unwrap();
    let right = Secret::new("correct-horse-battery");
    let first = accounts.verify(ALICE, &right, Door::Imap, asked(from, Instant::now())).await.unwrap();
    assert!(matches!(first, Verdict::Busy), "{first:?}");
    let patience = Instant::now() + Duration::from_secs(60);
    let record = accounts.store.find(&fold(ALICE)).await.unwrap().unwrap();
    while accounts.passwords.find_remembered(&record.passwords, &right).is_none() {
        assert!(Instant::now() < patience, "the run did not go on");
        tokio::task::yield_now().await;
    }
    let second = accounts.verify(ALICE, &right, Door::Imap, asked(from, Instant::now())).await.unwrap();
    assert!(matches!(second, Verdict::Admitted(_)), "{second:?}");
}

/// Alice's row in the store.
async fn alice(accounts: &Accounts) -> Account {
    accounts.store.find(&fold(ALICE)).await.unwrap().unwrap().account
}

/// Limits Alice's chosen password.
async fn limit(accounts: &Accounts, limits: Limits) {
    assert!(
        accounts
            .store
            .limit_password(&alice(accounts).await.id, "chosen", &limits, &any_act())
            .await
            .unwrap()
    );
}

/// A generated password for Alice.
async fn generated(accounts: &Accounts, limits: Limits) -> String {
    let (account, password) = (alice(accounts).await.id, generate_password());
    let row = AppPassword {
        id: Id::random(),
        account: account.clone(),
        name: "generated".to_owned(),
        verifier: accounts.passwords.generated(&account, &password),
        limits,
        created_at: OffsetDateTime::now_utc(),
        last_used_at: None,
        last_used_from: None,
    };
    accounts.store.add_password(&row, &any_act()).await.unwrap();
    password.expose().to_owned()
}

fn at_home() -> Limits {
    Limits { networks: vec!["192.0.2.0/24".parse().unwrap()], ..Limits::default() }
}

/// A login with enough time for argon2id on any machine.
async fn patiently(accounts: &Accounts, door: Door, password: &str, from: &str) -> Verdict {
    at(accounts, door, ALICE, password, from, Instant::now() + Duration::from_secs(60)).await
}

#[tokio::test]
async fn a_right_password_that_does_not_open_a_door_is_told_which_it_opens() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    limit(&accounts, Limits::of_before()).await;
    let made = generated(&accounts, Limits::of_before()).await;
    for (password, name) in [(CHOSEN, "chosen"), (made.as_str(), "generated")] {
        let verdict = patiently(&accounts, Door::Submission, password, HOME).await;
        let Verdict::Barred(barred) = verdict else { panic!("{verdict:?}") };
        let by = Bar::Door(vec!["imap", "submission"]);
        assert_eq!(barred, Barred { account: ALICE.to_owned(), password: name.to_owned(), by });
        let verdict = patiently(&accounts, Door::Imap, password, HOME).await;
        assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
    }
    // A right password at another door costs no guess; a wrong one is not told about doors.
    for _ in 0..20 {
        let verdict = patiently(&accounts, Door::Submission, CHOSEN, HOME).await;
        assert!(matches!(verdict, Verdict::Barred(_)), "{verdict:?}");
    }
    let verdict = patiently(&accounts, Door::Submission, "wrong", HOME).await;
    assert!(matches!(verdict, Verdict::Refused { elsewhere: None }), "{verdict:?}");
}

#[tokio::test]
async fn a_right_password_is_told_that_it_ended_and_that_its_account_is_disabled() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    let today = OffsetDateTime::now_utc().date();
    // The test may run over midnight: the day after tomorrow is never over.
    let last_day = today.next_day().and_then(Date::next_day);
    limit(&accounts, Limits { last_day, ..Limits::default() }).await;
    let verdict = patiently(&accounts, Door::Imap, CHOSEN, HOME).await;
    assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");

    let over = date!(2026 - 01 - 31);
    limit(&accounts, Limits { last_day: Some(over), ..Limits::of_before() }).await;
    let verdict = patiently(&accounts, Door::Submission, CHOSEN, HOME).await;
    assert!(matches!(&verdict, Verdict::Barred(Barred { by: Bar::Ended(day), .. }) if *day == over));

    accounts.store.set_disabled(&alice(&accounts).await.id, true, &any_act()).await.unwrap();
    let verdict = patiently(&accounts, Door::Imap, CHOSEN, HOME).await;
    assert!(matches!(verdict, Verdict::Barred(Barred { by: Bar::Disabled, .. })), "{verdict:?}");
    let verdict = patiently(&accounts, Door::Imap, "wrong", HOME).await;
    assert!(matches!(verdict, Verdict::Refused { elsewhere: None }), "{verdict:?}");
}

#[tokio::test]
async fn security_row_11_a_right_password_from_another_network_is_charged_as_a_wrong_one() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    limit(&accounts, Limits { networks: at_home().networks, ..Limits::of_before() }).await;
    let made = generated(&accounts, at_home()).await;
    let verdict = patiently(&accounts, Door::Imap, CHOSEN, &format!("::ffff:{HOME}")).await;
    assert!(matches!(verdict, Verdict::Admitted(_)), "an IPv4 client on an IPv6 socket: {verdict:?}");
    // Whether remembered, generated or chosen, at this door or another: each attempt is charged, until the
    // address is throttled.
    let attempts = [
        (CHOSEN, Door::Imap, "chosen"),
        (CHOSEN, Door::Submission, "chosen"),
        (made.as_str(), Door::Imap, "generated"),
        (made.as_str(), Door::Submission, "generated"),
    ];
    for (password, door, name) in attempts.into_iter().cycle().take(8) {
        let verdict = patiently(&accounts, door, password, AWAY).await;
        assert!(matches!(&verdict, Verdict::Refused { elsewhere: Some(it) } if it == name), "{verdict:?}");
    }
    for (password, door, _) in attempts {
        let verdict = patiently(&accounts, door, password, AWAY).await;
        assert!(matches!(verdict, Verdict::Throttled(_)), "{verdict:?}");
    }
    for password in [CHOSEN, &made] {
        let verdict = patiently(&accounts, Door::Imap, password, HOME).await;
        assert!(matches!(verdict, Verdict::Admitted(_)), "{verdict:?}");
    }
}

#[tokio::test]
async fn no_draw_is_about_a_password_that_is_limited_to_other_networks() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    limit(&accounts, at_home()).await;
    let mut record = accounts.store.find(&fold(ALICE)).await.unwrap().unwrap();
    for (from, is_open) in [(HOME, true), (AWAY, false)] {
        let (known, _) = admitted_from(from.parse().unwrap(), &mut record.passwords);
        assert_eq!(accounts.passwords.is_open(known, &Secret::new(CHOSEN)), is_open, "{from}");
    }
}

// The recorded refusal of a message.

fn refused(at: OffsetDateTime, code: &str) -> LastRefusal {
    let cure = Cure::Administrator { text: "ask for the right to send as it".to_owned() };
    let trouble = Trouble::new(CauseKind::MailboxRefused, "it may not send as that address", cure);
    LastRefusal { at, protocol: "submission".to_owned(), code: code.to_owned(), trouble }
}

/// Notes a refusal as a session does.
async fn remember(accounts: &Accounts, account: &Account, refusal: Option<LastRefusal>) {
    if accounts.refusal_changes(account, refusal) {
        accounts.write_refusal(account).await;
    }
}

#[tokio::test]
async fn a_refusal_is_written_once_and_cleared_once() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    let (account, now) = (alice(&accounts).await, OffsetDateTime::now_utc().replace_nanosecond(0).unwrap());
    let store = accounts.store.clone();
    let at_first = store.changes().await.unwrap();
    remember(&accounts, &account, None).await;
    assert_eq!(store.changes().await.unwrap(), at_first, "nothing was on record");

    remember(&accounts, &account, Some(refused(now, "5.7.60"))).await;
    let noted = store.changes().await.unwrap();
    assert_eq!(alice(&accounts).await.refusal, Some(refused(now, "5.7.60")));
    for seconds in 0..59 {
        remember(&accounts, &account, Some(refused(now + time::Duration::seconds(seconds), "5.7.60"))).await;
    }
    assert_eq!(store.changes().await.unwrap(), noted, "the same again is no news");
    let later = refused(now + time::Duration::minutes(1), "5.7.60");
    let other = refused(now, "5.7.57");
    for refusal in [later, other] {
        remember(&accounts, &account, Some(refusal.clone())).await;
        assert_eq!(alice(&accounts).await.refusal, Some(refusal));
    }
    remember(&accounts, &account, None).await;
    assert_eq!(alice(&accounts).await.refusal, None);
    let cleared = store.changes().await.unwrap();
    remember(&accounts, &account, None).await;
    assert_eq!(store.changes().await.unwrap(), cleared);
}

#[tokio::test]
async fn a_refusal_of_before_is_cleared_by_a_session_that_began_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    let refusal = refused(now, "5.7.60");
    accounts.store.set_refusal(&alice(&accounts).await.id, Some(&refusal)).await.unwrap();
    let Verdict::Admitted(admitted) = patiently(&accounts, Door::Submission, CHOSEN, HOME).await else {
        panic!("not admitted")
    };
    assert_eq!(admitted.account.refusal, Some(refusal));
    remember(&accounts, &admitted.account, None).await;
    assert_eq!(alice(&accounts).await.refusal, None);
}

#[tokio::test]
async fn whose_name_was_taken_is_written_on_a_change_only() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = accounts(directory.path(), CHOSEN).await;
    accounts.remember_sign_in_as(&alice(&accounts).await, SignInAs::Account).await;
    let known = alice(&accounts).await;
    assert_eq!(known.sign_in_as, Some(SignInAs::Account));
    let before = accounts.store.changes().await.unwrap();
    accounts.remember_sign_in_as(&known, SignInAs::Account).await;
    assert_eq!(accounts.store.changes().await.unwrap(), before);
    accounts.remember_sign_in_as(&known, SignInAs::Owner).await;
    assert_eq!(alice(&accounts).await.sign_in_as, Some(SignInAs::Owner));
}
