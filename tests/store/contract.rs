//! The contract of the store. Each function tests one rule, on an empty database.

use std::sync::Arc;
use std::task::Poll;

use imap_oauth_proxy::store::{
    Account, Act, Actor, ApiToken, AppPassword, Authorization, Grant, GrantKind, GrantState, Granted, Id,
    LastRefusal, Leased, Limits, Linked, LoginNote, MailboxTrouble, NextLook, Right, ShortLived,
    ShortLivedKind, SignInAs, SignInLink, Store, StoreError, Takeover, Verifier, Watch, fold,
};
use time::macros::date;
use time::{Date, Duration, OffsetDateTime};

use super::Database;
pub(crate) use super::together::{
    a_question_is_answered_once_by_each_instance_and_removed_with_its_answers,
    charges_of_all_instances_add_up_and_what_is_taken_back_is_taken_from_all,
    what_an_instance_holds_is_seen_by_the_others_until_it_dies,
};
use imap_oauth_proxy::trouble::{Cause, CauseKind, Cure, Trouble, Way};

/// A mail server's trouble with a mailbox.
fn closed() -> Trouble {
    Trouble::new(CauseKind::MailboxRefused, "closed", Cure::advice("ask for it"))
}

/// A token endpoint's trouble with a grant, with all fields set.
fn refused() -> Trouble {
    let cause = Cause {
        kind: CauseKind::GrantRefused,
        code: Some("invalid_grant".to_owned()),
        text: "it ended (invalid_grant)".to_owned(),
    };
    Trouble { cause, cure: Cure::authorize_by(Some(Way::Device), "wait, then ", " and accept") }
}

const ALICE: &str = "Alice@Example.com";
const BOB: &str = "bob@example.com";
const TODAY: Date = date!(2027 - 02 - 08);

/// Runs the contract against a kind of database, each rule as a test.
macro_rules! holds_for {
    ($name:ident, $database:ty $(, #[$attribute:meta])?) => {
        mod $name {
            use crate::contract;
            contract::holds_for!($database $(, #[$attribute])?:
                a_name_and_an_alias_find_their_account_however_they_are_written,
                a_login_and_what_a_mail_server_has_against_a_mailbox_are_remembered,
                a_refusal_in_a_session_is_kept_until_it_is_cleared,
                messages_of_a_device_are_counted_in_the_hour_that_they_begin,
                a_token_of_the_api_has_a_name_of_its_own_and_is_gone_when_it_is_revoked,
                a_value_for_a_limited_time_is_found_taken_once_and_replaced_by_one,
                values_for_a_limited_time_are_bounded_and_removed_when_they_are_over,
                whose_name_a_provider_took_is_remembered,
                a_grant_is_read_as_it_was_written,
                a_write_that_builds_on_an_old_revision_conflicts,
                a_persons_grant_and_an_applications_for_one_mailbox_are_two,
                a_status_tells_what_upkeep_has_to_know,
                a_status_leaves_out_disabled_accounts,
                a_grant_is_due_when_it_was_written_and_at_the_time_that_was_set,
                what_wrote_meanwhile_is_not_overwritten_by_a_later_look,
                what_was_told_goes_on_with_the_grant_that_takes_the_place,
                accounts_are_read_page_by_page_with_all_that_belongs_to_them,
                the_trail_is_in_order_and_keeps_what_is_not_too_old,
                a_change_and_its_entry_are_written_together,
                what_changes_nothing_leaves_no_entry,
                a_change_whose_entry_cannot_be_written_is_not_made,
                a_change_that_is_cut_off_is_there_with_its_entry_or_not_at_all,
                a_copy_is_a_store_by_itself_and_overwrites_nothing,
                a_telling_is_reserved_by_one_and_again_when_that_ends,
                a_lease_has_one_holder_until_it_is_given_up,
                the_lease_of_a_holder_that_died_is_free_and_its_grant_is_interrupted,
                a_lease_ends_at_its_time,
                writing_a_grant_gives_up_the_writers_lease_alone,
                authorising_again_replaces_the_grant_and_wins_over_a_refresh,
                a_login_name_opens_one_account_and_what_is_refused_changes_nothing,
                a_grant_that_was_withdrawn_is_not_shared,
                an_account_that_waits_for_a_consent_replaces_none_that_came_meanwhile,
                a_grant_goes_with_the_last_account_that_uses_it,
                an_alias_can_be_taken_back_and_the_accounts_own_name_cannot,
                a_password_has_a_name_of_its_own_in_its_account,
                a_password_is_limited_to_what_was_said_last,
                an_account_is_disabled_until_it_is_enabled,
                a_link_is_found_by_its_hash_and_renewed_by_one_process,
                the_consents_that_a_link_begins_are_counted,
                a_stored_grant_ends_the_links_of_its_accounts_and_one_that_waits_does_not,
                a_links_token_is_sealed_again_if_it_is_still_the_same,
                an_alert_is_given_once_by_all,
                the_first_value_of_a_setting_stays_until_it_is_replaced_by_name,
                sealing_is_done_by_one_at_a_time,
                an_answer_is_collected_once_and_in_time,
                the_counter_moves_with_what_others_write,
                passwords_are_in_force_while_their_accounts_grant_is,
                a_password_is_in_force_up_to_its_last_day,
                no_password_of_a_disabled_account_is_in_force,
                what_an_instance_holds_is_seen_by_the_others_until_it_dies,
                charges_of_all_instances_add_up_and_what_is_taken_back_is_taken_from_all,
                a_question_is_answered_once_by_each_instance_and_removed_with_its_answers,
            );
        }
    };
    // As one token tree, so that it stands before each test.
    ($database:ty $(, #[$attribute:meta])?: $($sentence:ident),* $(,)?) => {
        contract::holds_for!(@each $database, [$(#[$attribute])?], $($sentence)*);
    };
    (@each $database:ty, $attributes:tt, $($sentence:ident)*) => {
        $(contract::holds_for!(@one $database, $attributes, $sentence);)*
    };
    (@one $database:ty, [$($attributes:tt)*], $sentence:ident) => {
        #[tokio::test]
        $($attributes)*
        async fn $sentence() {
            contract::$sentence(&<$database as crate::Database>::fresh().await).await;
        }
    };
}
pub(crate) use holds_for;

/// What a test does, by root.
pub(crate) fn act(deed: &str) -> Act {
    let actor = Actor { surface: "cli".into(), user: Some("root".into()), uid: Some(0) };
    Act { deed: deed.into(), accounts: vec![ALICE.into()], about: None, actor, at: now() }
}

/// A time that every database can store: whole seconds.
fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc().replace_nanosecond(0).unwrap()
}

fn of(owner: &str) -> Grant {
    let right = Right::Person { refresh_token: b"sealed refresh token".to_vec() };
    Grant::new(Id::random(), "acme", owner, right, now())
}

fn password(account: &Id, name: &str) -> AppPassword {
    AppPassword {
        id: Id::random(),
        account: account.clone(),
        name: name.to_owned(),
        verifier: Verifier::Generated(b"hash".to_vec()),
        limits: Limits::default(),
        created_at: now(),
        last_used_at: None,
        last_used_from: None,
    }
}

/// An account with an app password, `default`.
async fn authorize(store: &Arc<dyn Store>, account: &str, aliases: &[&str], grant: Granted) -> Account {
    let id = Id::random();
    let authorization = Authorization {
        account: account.to_owned(),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        grant,
        password: Some(password(&id, "default")),
        disabled: false,
        id,
    };
    store.authorize(&authorization, &[]).await.unwrap()
}

async fn authorize_again(store: &Arc<dyn Store>, account: &str) -> Account {
    let authorization = Authorization {
        account: account.to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(Grant { provider: "another".to_owned(), ..of(account) })),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    store.authorize(&authorization, &[]).await.unwrap()
}

pub(crate) async fn with_account(store: &Arc<dyn Store>, name: &str) -> (Account, Grant) {
    let grant = of(name);
    let account = authorize(store, name, &[], Granted::New(Box::new(grant.clone()))).await;
    (account, store.grant(&grant.id).await.unwrap().unwrap())
}

// Logins.

pub(crate) async fn a_name_and_an_alias_find_their_account_however_they_are_written(on: &impl Database) {
    let store = on.open().await;
    let granted = of(ALICE);
    let account = authorize(&store, ALICE, &["CORP\\alice"], Granted::New(Box::new(granted.clone()))).await;
    for name in [ALICE, "alice@example.COM", "corp\\ALICE"] {
        let record = store.find(&fold(name)).await.unwrap().unwrap();
        assert_eq!((record.account.id, record.account.name.as_str()), (account.id.clone(), ALICE));
        assert_eq!(record.grant.unwrap().id, granted.id);
        assert_eq!(record.passwords.len(), 1);
    }
    for name in ["bob@example.com", "@example.com", "alice", ""] {
        assert!(store.find(&fold(name)).await.unwrap().is_none(), "{name}");
    }
    assert_eq!(store.accounts().await.unwrap()[0].aliases, ["CORP\\alice"]);
}

pub(crate) async fn a_login_and_what_a_mail_server_has_against_a_mailbox_are_remembered(on: &impl Database) {
    let store = on.open().await;
    let (account, _) = with_account(&store, ALICE).await;
    let used = store.passwords(&account.id).await.unwrap().remove(0);
    let from = "192.0.2.7".to_owned();
    let note = LoginNote { account: account.id.clone(), password: used.id, at: now(), from: from.clone() };
    store.note_logins(std::slice::from_ref(&note)).await.unwrap();
    let trouble = MailboxTrouble { trouble: closed(), count: 3, at: now(), retry_at: now() };
    store.set_trouble(&account.id, "imap", Some(&trouble)).await.unwrap();

    let record = on.open().await.find(&fold(ALICE)).await.unwrap().unwrap();
    assert_eq!(record.account.last_login_at, Some(note.at));
    assert_eq!(record.account.last_login_from.as_ref(), Some(&from));
    assert_eq!(record.passwords[0].last_used_at, Some(note.at));
    assert_eq!(record.passwords[0].last_used_from, Some(from));
    assert_eq!(record.account.troubles.get("imap"), Some(&trouble));

    // Each door has its own trouble.
    let lesser = MailboxTrouble { count: 0, ..trouble.clone() };
    store.set_trouble(&account.id, "submission", Some(&lesser)).await.unwrap();
    let account = store.find(&fold(ALICE)).await.unwrap().unwrap().account;
    assert_eq!(account.troubles.get("submission"), Some(&lesser));
    assert_eq!(account.trouble(), Some(&trouble), "a refused token is worse than a remark");
    store.set_trouble(&account.id, "imap", None).await.unwrap();
    let account = store.find(&fold(ALICE)).await.unwrap().unwrap().account;
    assert_eq!(account.troubles.keys().collect::<Vec<_>>(), ["submission"]);
}

pub(crate) async fn a_refusal_in_a_session_is_kept_until_it_is_cleared(on: &impl Database) {
    let store = on.open().await;
    let (account, _) = with_account(&store, ALICE).await;
    assert_eq!(account.refusal, None);
    let cause = Cause { code: Some("5.7.60".to_owned()), ..closed().cause };
    for (cause, code) in [(cause, "5.7.60"), (closed().cause, "")] {
        let trouble = Trouble { cause, cure: Cure::Administrator { text: "ask for it".to_owned() } };
        let refusal =
            LastRefusal { at: now(), protocol: "submission".to_owned(), code: code.to_owned(), trouble };
        store.set_refusal(&account.id, Some(&refusal)).await.unwrap();
        let record = on.open().await.find(&fold(ALICE)).await.unwrap().unwrap();
        assert_eq!(record.account.refusal.as_ref(), Some(&refusal));
        assert_eq!(store.accounts().await.unwrap()[0].refusal, Some(refusal));
    }
    store.set_refusal(&account.id, None).await.unwrap();
    assert_eq!(store.find(&fold(ALICE)).await.unwrap().unwrap().account.refusal, None);
}

pub(crate) async fn messages_of_a_device_are_counted_in_the_hour_that_they_begin(on: &impl Database) {
    let store = on.open().await;
    let (account, _) = with_account(&store, ALICE).await;
    let (other, _) = with_account(&store, BOB).await;
    let start = now();
    let at = |minutes| start + Duration::minutes(minutes);
    let count = async |store: &Arc<dyn Store>, account: &Id, network: &str, minutes| {
        let messages = store.device_messages(account, network, at(minutes)).await.unwrap();
        messages.map_or((0, 0), |messages| (messages.count, (messages.since - start).whole_minutes()))
    };
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 0).await, (0, 0));
    store.count_messages(&account.id, "192.0.2.7/32", 2, at(0)).await.unwrap();
    on.open().await.count_messages(&account.id, "192.0.2.7/32", 1, at(59)).await.unwrap();
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 59).await, (3, 0), "processes count together");
    assert_eq!(count(&store, &account.id, "192.0.2.8/32", 59).await, (0, 0), "another device");
    assert_eq!(count(&store, &other.id, "192.0.2.7/32", 59).await, (0, 0), "another account");
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 60).await, (0, 0), "the hour is over");
    store.count_messages(&account.id, "192.0.2.7/32", 1, at(61)).await.unwrap();
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 62).await, (1, 61), "another one began");
    store.count_messages(&account.id, "192.0.2.7/32", 1, at(30)).await.unwrap();
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 30).await, (1, 30), "the clock was set back");
    store.remove_account(&account.id, &act("removed")).await.unwrap();
    store.count_messages(&account.id, "192.0.2.7/32", 1, at(31)).await.unwrap();
    assert_eq!(count(&store, &account.id, "192.0.2.7/32", 31).await, (0, 0), "nothing is left of it");
}

pub(crate) async fn a_token_of_the_api_has_a_name_of_its_own_and_is_gone_when_it_is_revoked(
    on: &impl Database,
) {
    let store = on.open().await;
    let token = |name: &str, byte, read_only| ApiToken {
        name: name.to_owned(),
        hash: [byte; 32],
        read_only,
        created_at: now(),
        last_used_at: None,
    };
    let (monitor, deploy) = (token("monitor", 1, true), token("deploy", 2, false));
    assert!(store.add_api_token(&monitor, &act("made")).await.unwrap());
    assert!(store.add_api_token(&deploy, &act("made")).await.unwrap());
    assert!(!store.add_api_token(&token("monitor", 3, false), &act("made")).await.unwrap());
    let other = on.open().await;
    assert_eq!(other.api_tokens().await.unwrap(), [deploy.clone(), monitor.clone()]);
    other.note_api_token("monitor", now()).await.unwrap();
    let used = ApiToken { last_used_at: Some(now()), ..monitor };
    assert_eq!(store.api_tokens().await.unwrap(), [deploy.clone(), used]);
    assert!(store.remove_api_token("monitor", &act("revoked")).await.unwrap());
    assert!(!store.remove_api_token("monitor", &act("revoked")).await.unwrap());
    assert_eq!(other.api_tokens().await.unwrap(), [deploy]);
    let trail = store.trail(None, 0, 9).await.unwrap();
    let deeds: Vec<&str> = trail.iter().map(|entry| entry.act.deed.as_str()).collect();
    assert_eq!(deeds, ["made", "made", "revoked"], "what changes nothing leaves no entry");
}

fn short_lived(kind: ShortLivedKind, token: &str, used_at: OffsetDateTime) -> ShortLived {
    let until = used_at + Duration::minutes(5);
    ShortLived { kind, key: ShortLived::key_of(token), sealed: token.as_bytes().to_vec(), used_at, until }
}

pub(crate) async fn a_value_for_a_limited_time_is_found_taken_once_and_replaced_by_one(on: &impl Database) {
    let (store, other) = (on.open().await, on.open().await);
    let kind = ShortLivedKind::Consent;
    let value = short_lived(kind, "token", now());
    let key = value.key.as_str();
    store.keep_shortly(&value, now()).await.unwrap();
    assert_eq!(other.short_lived(kind, key, now()).await.unwrap(), Some(value.clone()));
    assert_eq!(other.short_lived(ShortLivedKind::Session, key, now()).await.unwrap(), None);
    assert_eq!(other.short_lived(kind, key, value.until).await.unwrap(), None, "it is over");
    assert_eq!(other.take_short_lived(kind, key, value.until).await.unwrap(), None);

    let (one, two) = tokio::join!(
        store.replace_short_lived(kind, key, b"token", b"one"),
        other.replace_short_lived(kind, key, b"token", b"two")
    );
    assert!(one.unwrap() != two.unwrap(), "of two that read the same, one writes");
    let later = now() + Duration::minutes(1);
    store.use_short_lived(kind, key, later, later + Duration::hours(1)).await.unwrap();
    let used = other.short_lived(kind, key, value.until).await.unwrap().unwrap();
    assert_eq!((used.used_at, used.until), (later, later + Duration::hours(1)));
    assert_eq!(store.all_short_lived().await.unwrap(), [used]);
    let (one, two) =
        tokio::join!(store.take_short_lived(kind, key, now()), other.take_short_lived(kind, key, now()));
    assert!(one.unwrap().is_some() != two.unwrap().is_some(), "of two that take it, one has it");
    assert!(store.all_short_lived().await.unwrap().is_empty());

    store.keep_shortly(&value, now()).await.unwrap();
    other.sweep_short_lived(now()).await.unwrap();
    assert_eq!(store.all_short_lived().await.unwrap(), std::slice::from_ref(&value));
    other.sweep_short_lived(value.until).await.unwrap();
    assert!(store.all_short_lived().await.unwrap().is_empty(), "what is over does not wait for the next one");
}

pub(crate) async fn values_for_a_limited_time_are_bounded_and_removed_when_they_are_over(on: &impl Database) {
    let store = on.open().await;
    let (kind, most) = (ShortLivedKind::Session, i64::from(ShortLivedKind::Session.most()));
    let old = short_lived(ShortLivedKind::Entrance, "old", now() - Duration::hours(1));
    store.keep_shortly(&old, now() - Duration::hours(1)).await.unwrap();
    for number in 0..=most {
        // The second one is used again, so that the third one gives way.
        let at = now() + Duration::seconds(number);
        store.keep_shortly(&short_lived(kind, &number.to_string(), at), at).await.unwrap();
        if number == 1 {
            let key = ShortLived::key_of("0");
            store
                .use_short_lived(kind, &key, now() + Duration::hours(1), at + Duration::hours(2))
                .await
                .unwrap();
        }
    }
    let there = async |token: &str| {
        let found = store.short_lived(kind, &ShortLived::key_of(token), now()).await;
        found.unwrap().is_some()
    };
    assert!(there("0").await && !there("1").await && there("2").await && there(&most.to_string()).await);
    let all = store.all_short_lived().await.unwrap();
    assert_eq!(all.len() as i64, most, "what is over is removed");
    let clock = store.clock().await.unwrap() - OffsetDateTime::now_utc();
    assert!(clock.abs() < Duration::minutes(1), "{clock}");
}

pub(crate) async fn whose_name_a_provider_took_is_remembered(on: &impl Database) {
    let store = on.open().await;
    let (account, _) = with_account(&store, ALICE).await;
    for user in [None, Some(SignInAs::Owner), Some(SignInAs::Account), None, Some(SignInAs::Owner)] {
        store.set_sign_in_as(&account.id, user).await.unwrap();
        let record = on.open().await.find(&fold(ALICE)).await.unwrap().unwrap();
        assert_eq!(record.account.sign_in_as, user);
    }
    let again = authorize_again(&store, ALICE).await;
    assert_eq!(again.sign_in_as, None, "another person may have consented");
}

// Grants.

pub(crate) async fn a_grant_is_read_as_it_was_written(on: &impl Database) {
    let store = on.open().await;
    let (_, mut grant) = with_account(&store, ALICE).await;
    let rights = [
        Right::Person { refresh_token: b"rotated".to_vec() },
        Right::Application,
        Right::Withdrawn { was: GrantKind::App },
        Right::Withdrawn { was: GrantKind::Person },
    ];
    for (seconds, right) in (1..).zip(rights) {
        let at = Some(now() + Duration::seconds(seconds));
        grant.right = right;
        grant.scopes = vec!["mail".to_owned(), "offline".to_owned()];
        (grant.access_token, grant.access_expires_at) = (Some(b"sealed access token".to_vec()), at);
        (grant.state, grant.failures) = (GrantState::Retrying, 7);
        (grant.trouble, grant.failed_at, grant.retry_at) = (Some(refused()), at, at);
        (grant.refreshed_at, grant.refresh_expires_at, grant.interrupted_at) = (at, at, at);
        grant.revision = store.update_grant(&grant).await.unwrap();
        let read = on.open().await.grant(&grant.id).await.unwrap().unwrap();
        assert_eq!(format!("{read:?}"), format!("{grant:?}"));
        let found = store.find(&fold(ALICE)).await.unwrap().unwrap().grant.unwrap();
        assert_eq!(format!("{found:?}"), format!("{grant:?}"), "a login reads the same");
    }
    assert_eq!(store.grants().await.unwrap().len(), 1);
    assert!(store.grant(&Id::random()).await.unwrap().is_none());
}

pub(crate) async fn a_write_that_builds_on_an_old_revision_conflicts(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (_, mut grant) = with_account(&one, ALICE).await;
    let mut late = other.grant(&grant.id).await.unwrap().unwrap();
    grant.failures = 1;
    let revision = one.update_grant(&grant).await.unwrap();
    assert!(revision > grant.revision);
    late.failures = 2;
    assert!(matches!(other.update_grant(&late).await, Err(StoreError::Conflict)));
    assert_eq!(other.grant(&grant.id).await.unwrap().unwrap().failures, 1);
}

pub(crate) async fn a_persons_grant_and_an_applications_for_one_mailbox_are_two(on: &impl Database) {
    let store = on.open().await;
    let (_, of_person) = with_account(&store, ALICE).await;
    let of_app = Grant { right: Right::Application, ..of(ALICE) };
    authorize(&store, BOB, &[], Granted::New(Box::new(of_app.clone()))).await;
    for (kind, id) in [(GrantKind::Person, &of_person.id), (GrantKind::App, &of_app.id)] {
        let found = store.grant_of("acme", "ALICE@example.com", kind).await.unwrap().unwrap();
        assert_eq!((&found.id, found.kind()), (id, kind));
    }
    assert!(store.grant_of("other", ALICE, GrantKind::Person).await.unwrap().is_none());
}

pub(crate) async fn a_status_tells_what_upkeep_has_to_know(on: &impl Database) {
    let store = on.open().await;
    let (account, mut grant) = with_account(&store, ALICE).await;
    authorize(&store, BOB, &[], Granted::Existing(grant.id.clone())).await;
    let used = store.passwords(&account.id).await.unwrap().remove(0);
    let note = LoginNote { account: account.id, password: used.id, at: now(), from: "192.0.2.7".into() };
    store.note_logins(std::slice::from_ref(&note)).await.unwrap();
    grant.refreshed_at = Some(now());
    grant.revision = store.update_grant(&grant).await.unwrap();
    store.set_told(&[&grant.id], Some("something"), None).await.unwrap();

    let status = store.statuses(Watch::Upkeep, None, 9).await.unwrap().remove(0);
    assert_eq!((status.id, status.kind, status.in_force), (grant.id.clone(), GrantKind::Person, true));
    assert_eq!((Some(status.renewed_at), status.last_login_at), (grant.refreshed_at, Some(note.at)));
    assert_eq!(status.told.as_deref(), Some("something"));
    let mut accounts = status.accounts;
    accounts.sort();
    assert_eq!(accounts, [ALICE, BOB]);

    grant.withdraw(refused(), now());
    store.update_grant(&grant).await.unwrap();
    let status = store.statuses(Watch::Upkeep, None, 9).await.unwrap().remove(0);
    assert_eq!((status.kind, status.in_force), (GrantKind::Person, false));
}

pub(crate) async fn a_status_leaves_out_disabled_accounts(on: &impl Database) {
    let store = on.open().await;
    let (alice, grant) = with_account(&store, ALICE).await;
    let bob = authorize(&store, BOB, &[], Granted::Existing(grant.id.clone())).await;
    store.set_disabled(&alice.id, true, &act("disabled")).await.unwrap();
    assert_eq!(store.statuses(Watch::Upkeep, None, 9).await.unwrap()[0].accounts, [BOB]);
    store.set_disabled(&bob.id, true, &act("disabled")).await.unwrap();
    assert!(
        store.statuses(Watch::Upkeep, None, 9).await.unwrap().is_empty(),
        "none of its accounts is in use"
    );
    store.set_disabled(&alice.id, false, &act("disabled")).await.unwrap();
    assert_eq!(store.statuses(Watch::Upkeep, None, 9).await.unwrap()[0].accounts, [ALICE]);
}

/// Schedules the next look of both watches at `grant` for `at`.
async fn put_off(store: &Arc<dyn Store>, grant: &Id, at: OffsetDateTime) {
    for watch in [Watch::Upkeep, Watch::News] {
        let due = store.due(watch, now(), 9).await.unwrap();
        let seen = due.iter().find(|status| status.id == *grant).unwrap().look;
        store.look_again(watch, &[NextLook { grant: grant.clone(), seen, at }]).await.unwrap();
    }
}

/// Which watches have to look at `grant` by `at`.
async fn due_at(store: &Arc<dyn Store>, grant: &Id, at: OffsetDateTime) -> [bool; 2] {
    let mut is_due = [false; 2];
    for (due, watch) in is_due.iter_mut().zip([Watch::Upkeep, Watch::News]) {
        *due = store.due(watch, at, 9).await.unwrap().iter().any(|status| status.id == *grant);
    }
    is_due
}

pub(crate) async fn a_grant_is_due_when_it_was_written_and_at_the_time_that_was_set(on: &impl Database) {
    let store = on.open().await;
    let (account, mut grant) = with_account(&store, ALICE).await;
    let (id, later) = (grant.id.clone(), now() + Duration::hours(1));
    let used = store.passwords(&account.id).await.unwrap().remove(0);
    put_off(&store, &id, later).await;
    assert_eq!(due_at(&store, &id, now()).await, [false, false]);
    assert_eq!(due_at(&store, &id, later).await, [true, true]);
    assert_eq!(due_at(&store, &id, now() - Duration::days(400)).await, [true, true], "a clock was wrong");

    grant.revision = store.update_grant(&grant).await.unwrap();
    assert_eq!(due_at(&store, &id, now()).await, [true, true], "it was written");
    put_off(&store, &id, later).await;
    store.set_told(&[&id], Some("something"), None).await.unwrap();
    assert_eq!(due_at(&store, &id, now()).await, [false, true], "upkeep tells nothing");
    store.look_again(Watch::News, &[]).await.unwrap();
    let seen = store.due(Watch::News, now(), 9).await.unwrap()[0].look;
    store.look_again(Watch::News, &[NextLook { grant: id.clone(), seen, at: later }]).await.unwrap();
    let note = LoginNote { account: account.id.clone(), password: used.id, at: now(), from: String::new() };
    store.note_logins(std::slice::from_ref(&note)).await.unwrap();
    assert_eq!(due_at(&store, &id, now()).await, [true, false], "it is in use now");
    put_off_upkeep(&store, &id, later).await;
    store.note_logins(&[LoginNote { at: now() + Duration::minutes(5), ..note }]).await.unwrap();
    assert_eq!(due_at(&store, &id, now()).await, [false, false], "it was in use before");
    store.set_disabled(&account.id, true, &act("disabled")).await.unwrap();
    assert_eq!(due_at(&store, &id, now()).await, [true, true]);
    assert!(store.due(Watch::Upkeep, now(), 9).await.unwrap()[0].accounts.is_empty());
    assert!(store.due(Watch::Upkeep, now(), 0).await.unwrap().is_empty(), "no more than the limit");
}

async fn put_off_upkeep(store: &Arc<dyn Store>, grant: &Id, at: OffsetDateTime) {
    let seen = store.due(Watch::Upkeep, now(), 9).await.unwrap()[0].look;
    store.look_again(Watch::Upkeep, &[NextLook { grant: grant.clone(), seen, at }]).await.unwrap();
}

pub(crate) async fn what_wrote_meanwhile_is_not_overwritten_by_a_later_look(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (_, grant) = with_account(&one, ALICE).await;
    one.update_grant(&grant).await.unwrap();
    let seen = one.due(Watch::Upkeep, now(), 9).await.unwrap()[0].look;
    let grant = one.grant(&grant.id).await.unwrap().unwrap();
    other.update_grant(&grant).await.unwrap();
    let look = NextLook { grant: grant.id.clone(), seen, at: now() + Duration::hours(1) };
    one.look_again(Watch::Upkeep, &[look]).await.unwrap();
    assert_eq!(due_at(&one, &grant.id, now()).await, [true, true]);
}

pub(crate) async fn what_was_told_goes_on_with_the_grant_that_takes_the_place(on: &impl Database) {
    let store = on.open().await;
    let (_, grant) = with_account(&store, ALICE).await;
    store.set_told(&[&grant.id], Some("about_to_need_person"), None).await.unwrap();
    let account = authorize_again(&store, ALICE).await;
    assert!(store.grant(&grant.id).await.unwrap().is_none());
    let status = store.statuses(Watch::News, None, 9).await.unwrap().remove(0);
    assert_eq!((Some(status.id), status.told.as_deref()), (account.grant, Some("about_to_need_person")));
}

pub(crate) async fn accounts_are_read_page_by_page_with_all_that_belongs_to_them(on: &impl Database) {
    let store = on.open().await;
    let (_, grant) = with_account(&store, ALICE).await;
    authorize(&store, BOB, &["z-bob", "a-bob"], Granted::Existing(grant.id.clone())).await;
    let first = store.account_page(None, 1).await.unwrap();
    assert_eq!(first.iter().map(|row| row.account.name.as_str()).collect::<Vec<_>>(), [ALICE]);
    let rest = store.account_page(Some(ALICE), 9).await.unwrap();
    assert_eq!((rest.len(), rest[0].account.name.as_str()), (1, BOB));
    assert_eq!(rest[0].account.aliases, ["a-bob", "z-bob"]);
    assert_eq!(rest[0].grant.as_ref().map(|grant| &grant.id), Some(&grant.id));
    assert_eq!((first[0].passwords, rest[0].passwords), (1, 1));
    assert_eq!((first[0].in_force, first[0].next_last_day), (1, None));
    assert!(store.account_page(Some(BOB), 9).await.unwrap().is_empty());
    let bob = store.account_row(&rest[0].account.id).await.unwrap().unwrap();
    assert_eq!((bob.account.aliases, bob.passwords), (rest[0].account.aliases.clone(), 1));
    assert!(store.account_row(&Id::random()).await.unwrap().is_none());
    // A password is in force up to the end of its last day, and the nearest of these days is told.
    let today = OffsetDateTime::now_utc().date();
    let days = [today.previous_day(), Some(today), today.next_day(), None];
    for (number, last_day) in days.into_iter().enumerate() {
        let limits = Limits { last_day, ..Limits::default() };
        let password = AppPassword {
            id: Id::random(),
            name: format!("password {number}"),
            limits,
            ..store.passwords(&bob.account.id).await.unwrap().remove(0)
        };
        store.add_password(&password, &act("made")).await.unwrap();
        let bob = store.account_row(&bob.account.id).await.unwrap().unwrap();
        let known = [(2, 1, None), (3, 2, Some(today)), (4, 3, Some(today)), (5, 4, Some(today))][number];
        assert_eq!((bob.passwords, bob.in_force, bob.next_last_day), known, "{number}");
    }
}

pub(crate) async fn the_trail_is_in_order_and_keeps_what_is_not_too_old(on: &impl Database) {
    let (store, other) = (on.open().await, on.open().await);
    let at = |act: Act, at: OffsetDateTime| Act { at, ..act };
    let one = at(act("one"), now());
    let two = Act { accounts: vec![ALICE.into(), BOB.into()], about: Some("it".into()), ..act("two") };
    let two = at(two, now() + Duration::days(1));
    store.record(&one).await.unwrap();
    other.record(&two).await.unwrap();
    let trail = store.trail(None, 0, 9).await.unwrap();
    assert_eq!(trail.iter().map(|entry| &entry.act).collect::<Vec<_>>(), [&one, &two]);
    assert_eq!(store.trail(None, 0, 1).await.unwrap(), trail[..1]);
    assert_eq!(store.trail(None, trail[0].number, 9).await.unwrap(), trail[1..]);
    assert_eq!(store.trail(Some(now() + Duration::hours(1)), 0, 9).await.unwrap(), trail[1..]);
    let newest = [trail[1].clone(), trail[0].clone()];
    assert_eq!(store.latest(None, None, 9).await.unwrap(), newest);
    assert_eq!(store.latest(None, Some(newest[0].number), 9).await.unwrap(), newest[1..]);
    assert_eq!(store.latest(None, None, 1).await.unwrap(), newest[..1]);
    assert_eq!(store.latest(Some(BOB), None, 9).await.unwrap(), newest[..1]);
    assert!(store.latest(Some(&BOB[1..]), None, 9).await.unwrap().is_empty(), "the whole name");
    let later = at(act("later"), now() + Duration::days(401));
    store.record(&later).await.unwrap();
    let left = store.trail(None, 0, 9).await.unwrap();
    assert_eq!(
        left.iter().map(|entry| &entry.act).collect::<Vec<_>>(),
        [&one, &two, &later],
        "the newest 1000"
    );
    for _ in 0..998 {
        store.record(&later).await.unwrap();
    }
    let oldest = store.trail(None, 0, 1).await.unwrap();
    assert_eq!(oldest[0].act, two, "400 days");
}

/// Everything that takes an act.
const CHANGES: [&str; 10] = [
    "authorize",
    "end_grant",
    "set_told",
    "add_alias",
    "remove_alias",
    "add_password",
    "limit_password",
    "remove_password",
    "set_disabled",
    "remove_account",
];

/// Applies one of them to Alice's account, so that it changes something.
async fn change(store: &Arc<dyn Store>, what: &str, act: &Act) -> Result<(), StoreError> {
    let record = store.find(&fold(ALICE)).await?.unwrap();
    let (id, mut grant) = (&record.account.id, record.grant.unwrap());
    match what {
        "authorize" => {
            let grant = Granted::Existing(grant.id);
            let (account, id) = (BOB.to_owned(), Id::random());
            let new =
                Authorization { account, aliases: Vec::new(), grant, id, password: None, disabled: true };
            store.authorize(&new, std::slice::from_ref(act)).await.map(drop)
        }
        "end_grant" => {
            grant.withdraw(refused(), now());
            store.end_grant(&grant, act).await.map(drop)
        }
        "set_told" => store.set_told(&[&grant.id], Some("news"), Some(act)).await,
        "add_alias" => store.add_alias(id, "ally", act).await.map(drop),
        "remove_alias" => store.remove_alias(id, "corp\\alice", act).await.map(drop),
        "add_password" => store.add_password(&password(id, "another"), act).await,
        "limit_password" => {
            let limits = Limits { last_day: Some(TODAY), ..Limits::default() };
            store.limit_password(id, "default", &limits, act).await.map(drop)
        }
        "remove_password" => store.remove_password(id, "default", act).await.map(drop),
        "set_disabled" => store.set_disabled(id, true, act).await.map(drop),
        "remove_account" => store.remove_account(id, act).await,
        _ => unreachable!("{what}"),
    }
}

/// An account of Alice with an alias, for [`change`].
async fn with_alice<D: Database>() -> (D, Arc<dyn Store>) {
    let on = D::fresh().await;
    let store = on.open().await;
    authorize(&store, ALICE, &["CORP\\alice"], Granted::New(Box::new(of(ALICE)))).await;
    (on, store)
}

/// All that [`CHANGES`] can change.
async fn everything(store: &Arc<dyn Store>) -> String {
    let (accounts, mut grants) = (store.accounts().await.unwrap(), store.grants().await.unwrap());
    grants.sort_by(|one, other| one.id.cmp(&other.id));
    let mut text = format!("{accounts:?} {grants:?}");
    for account in &accounts {
        text += &format!("{:?}", store.passwords(&account.id).await.unwrap());
    }
    let told = store.statuses(Watch::News, None, 9).await.unwrap();
    text + &format!("{:?}", told.into_iter().map(|status| status.told).collect::<Vec<_>>())
}

async fn acts(store: &Arc<dyn Store>) -> Vec<Act> {
    store.trail(None, 0, 99).await.unwrap().into_iter().map(|entry| entry.act).collect()
}

pub(crate) async fn a_change_and_its_entry_are_written_together<D: Database>(_: &D) {
    for what in CHANGES {
        let (on, store) = with_alice::<D>().await;
        let (before, done) = (everything(&store).await, act(what));
        change(&store, what, &done).await.unwrap();
        let other = on.open().await;
        assert_ne!(everything(&other).await, before, "{what}");
        assert_eq!(acts(&other).await, [done]);
    }
}

pub(crate) async fn what_changes_nothing_leaves_no_entry<D: Database>(_: &D) {
    let (_on, store) = with_alice::<D>().await;
    let record = store.find(&fold(ALICE)).await.unwrap().unwrap();
    let (id, mut grant) = (&record.account.id, record.grant.unwrap());
    let before = everything(&store).await;
    let done = act("nothing");
    assert!(!store.add_alias(id, "corp\\ALICE", &done).await.unwrap());
    assert!(!store.remove_alias(id, ALICE, &done).await.unwrap());
    assert!(!store.remove_password(id, "other", &done).await.unwrap());
    assert!(!store.limit_password(id, "other", &Limits::default(), &done).await.unwrap());
    assert!(!store.set_disabled(id, false, &done).await.unwrap());
    store.remove_account(&Id::random(), &done).await.unwrap();
    store.add_password(&password(id, "default"), &done).await.unwrap_err();
    grant.revision -= 1;
    assert!(matches!(store.end_grant(&grant, &done).await, Err(StoreError::Conflict)));
    let (account, grant) = (BOB.to_owned(), Granted::Existing(Id::random()));
    let (aliases, id) = (Vec::new(), Id::random());
    let gone = Authorization { account, aliases, grant, id, password: None, disabled: false };
    store.authorize(&gone, &[done]).await.unwrap_err();
    assert_eq!(everything(&store).await, before);
    assert_eq!(acts(&store).await, []);
}

pub(crate) async fn a_change_whose_entry_cannot_be_written_is_not_made<D: Database>(_: &D) {
    for what in CHANGES {
        let (on, store) = with_alice::<D>().await;
        let before = everything(&store).await;
        on.break_trail().await;
        change(&store, what, &act(what)).await.expect_err(what);
        assert_eq!(everything(&on.open().await).await, before, "{what}");
    }
}

/// Drops `work` at its wait number `last`; returns whether it had ended before.
async fn given_up(work: impl Future, last: usize) -> bool {
    let (mut work, mut waits) = (std::pin::pin!(work), 0);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if waits == last => Poll::Ready(false),
        Poll::Pending => {
            waits += 1;
            Poll::Pending
        }
    })
    .await
}

pub(crate) async fn a_change_that_is_cut_off_is_there_with_its_entry_or_not_at_all<D: Database>(_: &D) {
    let (_on, store) = with_alice::<D>().await;
    for last in 0.. {
        let before = store.find(&fold(ALICE)).await.unwrap().unwrap().account;
        let entries = acts(&store).await.len();
        let ended = given_up(store.set_disabled(&before.id, !before.disabled, &act("toggled")), last).await;
        // A write waits for the one that is under way.
        store.note_logins(&[]).await.unwrap();
        let now = store.find(&fold(ALICE)).await.unwrap().unwrap().account;
        let changed = now.disabled != before.disabled;
        assert_eq!(acts(&store).await.len() - entries, usize::from(changed), "given up at wait {last}");
        if ended {
            assert!(changed);
            return;
        }
    }
}

pub(crate) async fn a_copy_is_a_store_by_itself_and_overwrites_nothing(on: &impl Database) {
    let store = on.open().await;
    with_account(&store, ALICE).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("copy");
    store.copy_to(&file).await.unwrap();
    with_account(&store, BOB).await;
    let names = |accounts: Vec<Account>| accounts.into_iter().map(|it| it.name).collect::<Vec<_>>();
    let copy = imap_oauth_proxy::store::Sqlite::open(&file).await.unwrap();
    assert_eq!(names(imap_oauth_proxy::store::AccountStore::accounts(&copy).await.unwrap()), [ALICE]);
    assert!(matches!(store.copy_to(&file).await, Err(StoreError::Unusable(_))));
    assert!(store.copy_to(&home.path().join("no/such")).await.is_err());
}

pub(crate) async fn a_telling_is_reserved_by_one_and_again_when_that_ends(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (_, grant) = with_account(&one, ALICE).await;
    let (id, until) = (&grant.id, now() + Duration::minutes(5));
    assert!(!one.claim_telling(id, Some("else"), now(), until).await.unwrap(), "that was not told last");
    assert!(one.claim_telling(id, None, now(), until).await.unwrap());
    assert!(!other.claim_telling(id, None, now(), until).await.unwrap());
    assert!(other.claim_telling(id, None, until, until + Duration::minutes(5)).await.unwrap());
    other.set_told(&[id], Some("news"), None).await.unwrap();
    assert!(!one.claim_telling(id, None, now(), until).await.unwrap(), "it has been told");
    assert!(one.claim_telling(id, Some("news"), now(), until).await.unwrap());
}

// Leases.

/// Whether `store` takes the lease on `grant`.
pub(crate) async fn takes(
    store: &Arc<dyn Store>,
    grant: &Id,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> bool {
    store.take_lease(grant, now, until, Takeover::AtOnce).await.unwrap() == Leased::Taken
}

pub(crate) async fn a_lease_has_one_holder_until_it_is_given_up(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (_, grant) = with_account(&one, ALICE).await;
    let until = now() + Duration::hours(1);
    assert!(takes(&one, &grant.id, now(), until).await);
    assert!(takes(&one, &grant.id, now(), until).await, "it may take its own again");
    assert!(!takes(&other, &grant.id, now(), until).await);
    other.release_lease(&grant.id).await.unwrap();
    assert!(!takes(&other, &grant.id, now(), until).await, "only the holder's release counts");
    one.release_lease(&grant.id).await.unwrap();
    assert!(takes(&other, &grant.id, now(), until).await);
    assert!(other.grant(&grant.id).await.unwrap().unwrap().interrupted_at.is_none());
    assert!(!takes(&other, &Id::random(), now(), until).await, "there is no such grant");
}

pub(crate) async fn the_lease_of_a_holder_that_died_is_free_and_its_grant_is_interrupted(on: &impl Database) {
    let (dying, other) = (on.open().await, on.open().await);
    let (_, grant) = with_account(&dying, ALICE).await;
    let began = now();
    assert!(takes(&dying, &grant.id, began, began + Duration::hours(1)).await);
    on.kill(dying).await;
    // A store that has just begun may not believe it at once.
    let taking = async {
        while !takes(&other, &grant.id, now(), now() + Duration::hours(1)).await {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    crate::common::within("the lease of the dead", taking).await;
    assert_eq!(other.grant(&grant.id).await.unwrap().unwrap().interrupted_at, Some(began));
}

pub(crate) async fn a_lease_ends_at_its_time(on: &impl Database) {
    let (slow, other) = (on.open().await, on.open().await);
    let (_, grant) = with_account(&slow, ALICE).await;
    let (minute, none) = (Duration::minutes(1), Duration::ZERO);
    assert!(takes(&slow, &grant.id, now(), now() + none).await);
    // A store that has just begun gives the holder the time to take it again.
    let taking = async {
        while !takes(&other, &grant.id, now(), now() + minute).await {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    crate::common::within("the lease that is over", taking).await;
    assert!(!takes(&slow, &grant.id, now(), now() + minute).await);
}

pub(crate) async fn writing_a_grant_gives_up_the_writers_lease_alone(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (_, mut grant) = with_account(&one, ALICE).await;
    let until = now() + Duration::hours(1);
    assert!(takes(&one, &grant.id, now(), until).await);
    grant.revision = other.update_grant(&grant).await.unwrap();
    assert!(!takes(&other, &grant.id, now(), until).await);
    one.update_grant(&grant).await.unwrap();
    assert!(takes(&other, &grant.id, now(), until).await);
}

// Accounts.

pub(crate) async fn authorising_again_replaces_the_grant_and_wins_over_a_refresh(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (account, refreshing) = with_account(&one, ALICE).await;
    let trouble = MailboxTrouble { trouble: closed(), count: 1, at: now(), retry_at: now() };
    one.set_trouble(&account.id, "submission", Some(&trouble)).await.unwrap();
    let until = now() + Duration::hours(1);
    assert!(takes(&one, &refreshing.id, now(), until).await);

    let newer = Grant { id: refreshing.id.clone(), provider: "another".to_owned(), ..of(ALICE) };
    let again = Authorization {
        account: "alice@EXAMPLE.com".to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(newer)),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    let same = other.authorize(&again, &[]).await.unwrap();
    assert_eq!((&same.id, same.name.as_str()), (&account.id, ALICE), "the account stays, and its name");
    let record = other.find(&fold(ALICE)).await.unwrap().unwrap();
    assert_eq!(record.passwords.len(), 1, "its passwords stay");
    assert!(record.account.troubles.is_empty());
    let read = record.grant.unwrap();
    assert_eq!(read.provider, "another");
    assert!(read.revision > refreshing.revision);
    assert!(matches!(one.update_grant(&refreshing).await, Err(StoreError::Conflict)));
    assert!(takes(&other, &read.id, now(), until).await, "the lease is over");
}

/// A link whose hash begins with `number`.
fn a_link(number: u8, made_at: OffsetDateTime) -> SignInLink {
    SignInLink { hash: vec![number; 32], sealed: vec![number, 0, 255], made_at, begun: 0 }
}

pub(crate) async fn a_link_is_found_by_its_hash_and_renewed_by_one_process(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (alice, _) = with_account(&one, ALICE).await;
    assert_eq!(one.link(&alice.id).await.unwrap(), None);
    assert_eq!(one.linked(&[1; 32]).await.unwrap(), None);
    let first = a_link(1, now());
    assert_eq!(one.renew_link(&alice.id, None, &first).await.unwrap(), Some(first.clone()));
    let slower = a_link(2, now());
    assert_eq!(
        other.renew_link(&alice.id, None, &slower).await.unwrap(),
        Some(first.clone()),
        "both give it"
    );
    assert_eq!(other.linked(&slower.hash).await.unwrap(), None);
    let second = a_link(3, now() + Duration::DAY);
    let renewed = other.renew_link(&alice.id, Some(&first.hash), &second).await.unwrap();
    assert_eq!(renewed, Some(second.clone()));
    for link in [&first, &second] {
        let linked = Linked { account: ALICE.to_owned(), made_at: link.made_at, begun: 0 };
        assert_eq!(one.linked(&link.hash).await.unwrap(), Some(linked), "the one before stays");
    }
    let third = a_link(4, now() + Duration::days(2));
    one.renew_link(&alice.id, Some(&second.hash), &third).await.unwrap();
    assert_eq!(one.linked(&first.hash).await.unwrap(), None, "and no older one");
    assert_eq!(one.link(&alice.id).await.unwrap(), Some(third.clone()));
    assert_eq!(one.renew_link(&Id::random(), None, &first).await.unwrap(), None, "no such account");
    one.remove_account(&alice.id, &act("removed")).await.unwrap();
    assert_eq!(other.linked(&third.hash).await.unwrap(), None);
}

pub(crate) async fn the_consents_that_a_link_begins_are_counted(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let (first, second) = (a_link(1, now()), a_link(2, now()));
    let since = now() - Duration::DAY;
    let begin = async |link: &SignInLink, since| store.begin_by_link(&link.hash, 2, since).await.unwrap();
    assert!(!begin(&first, since).await, "there is none");
    store.renew_link(&alice.id, None, &first).await.unwrap();
    assert!(begin(&first, since).await);
    store.renew_link(&alice.id, Some(&first.hash), &second).await.unwrap();
    assert!(begin(&first, since).await && !begin(&first, since).await, "the count goes with the link");
    assert_eq!(store.linked(&first.hash).await.unwrap().unwrap().begun, 2);
    assert!(!begin(&second, now() + Duration::MINUTE).await, "it is too old");
    assert!(begin(&second, since).await && begin(&second, since).await && !begin(&second, since).await);
    assert_eq!(store.link(&alice.id).await.unwrap().unwrap().begun, 2);
}

pub(crate) async fn a_stored_grant_ends_the_links_of_its_accounts_and_one_that_waits_does_not(
    on: &impl Database,
) {
    let store = on.open().await;
    let (alice, grant) = with_account(&store, ALICE).await;
    let authorization = |account: &str, grant: Granted| Authorization {
        account: account.to_owned(),
        aliases: Vec::new(),
        grant,
        id: Id::random(),
        password: None,
        disabled: false,
    };
    let sharing = authorization(BOB, Granted::Existing(grant.id.clone()));
    let bob = store.authorize(&sharing, &[]).await.unwrap();
    let (of_alice, of_bob) = (a_link(1, now()), a_link(2, now()));
    store.renew_link(&alice.id, None, &of_alice).await.unwrap();
    store.renew_link(&bob.id, None, &of_bob).await.unwrap();
    assert!(store.claim_alert(&alice.id, now(), now() - Duration::DAY).await.unwrap());

    let right = Right::Withdrawn { was: GrantKind::Person };
    let waiting = Grant { right, ..Grant { id: grant.id.clone(), ..of(ALICE) } };
    let third = authorization("third@example.com", Granted::New(Box::new(waiting)));
    store.authorize(&third, &[]).await.unwrap();
    for link in [&of_alice, &of_bob] {
        assert!(store.linked(&link.hash).await.unwrap().is_some(), "it still waits for the consent");
    }
    let given = Grant { id: grant.id.clone(), ..of(ALICE) };
    store.authorize(&authorization(ALICE, Granted::New(Box::new(given))), &[]).await.unwrap();
    for link in [&of_alice, &of_bob] {
        assert_eq!(store.linked(&link.hash).await.unwrap(), None);
    }
    assert_eq!(store.link(&bob.id).await.unwrap(), None);
    assert!(store.claim_alert(&alice.id, now(), now() - Duration::DAY).await.unwrap(), "it is another end");
}

pub(crate) async fn a_links_token_is_sealed_again_if_it_is_still_the_same(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    with_account(&store, BOB).await;
    let link = a_link(1, now());
    store.renew_link(&alice.id, None, &link).await.unwrap();
    assert_eq!(store.sealed_links().await.unwrap(), [(alice.id.clone(), link.sealed.clone())]);
    assert!(store.reseal_link(&alice.id, &link.sealed, b"resealed").await.unwrap());
    assert!(!store.reseal_link(&alice.id, &link.sealed, b"again").await.unwrap());
    let read = store.link(&alice.id).await.unwrap().unwrap();
    assert_eq!(read, SignInLink { sealed: b"resealed".to_vec(), ..link });
}

pub(crate) async fn an_alert_is_given_once_by_all(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let (alice, _) = with_account(&one, ALICE).await;
    let claim = async |store: &Arc<dyn Store>, at: OffsetDateTime| {
        store.claim_alert(&alice.id, at, at - Duration::DAY).await.unwrap()
    };
    assert!(claim(&one, now()).await && !claim(&other, now() + Duration::hours(23)).await);
    assert!(claim(&other, now() + Duration::DAY).await);
    assert!(claim(&one, now()).await, "a time in the future was written under a wrong clock");
}

pub(crate) async fn a_login_name_opens_one_account_and_what_is_refused_changes_nothing(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    store.add_alias(&alice.id, "ally", &act("alias_added")).await.unwrap();
    store.add_alias(&alice.id, "ALLY", &act("alias_added")).await.unwrap();
    let of_bob = of(BOB);
    let taking = Authorization {
        account: BOB.to_owned(),
        aliases: vec!["bobby".to_owned(), "Ally".to_owned()],
        grant: Granted::New(Box::new(of_bob.clone())),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    let refused = store.authorize(&taking, &[]).await.unwrap_err();
    let StoreError::LoginNameTaken { name, account } = refused else { panic!("{refused:?}") };
    assert_eq!((name.as_str(), account.as_str()), ("Ally", ALICE));
    for name in [BOB, "bobby"] {
        assert!(store.find(&fold(name)).await.unwrap().is_none(), "{name}");
    }
    assert!(store.grant(&of_bob.id).await.unwrap().is_none());
    let (bob, _) = with_account(&store, BOB).await;
    let refused = store.add_alias(&bob.id, &ALICE.to_uppercase(), &act("alias_added")).await.unwrap_err();
    assert!(matches!(refused, StoreError::LoginNameTaken { account, .. } if account == ALICE));
}

pub(crate) async fn an_account_that_waits_for_a_consent_replaces_none_that_came_meanwhile(
    on: &impl Database,
) {
    let store = on.open().await;
    let waiting = |owner: &str| {
        let mut grant = of(owner);
        grant.withdraw(refused(), now());
        grant
    };
    let adding = |account: &str, grant: &Grant| Authorization {
        account: account.to_owned(),
        aliases: Vec::new(),
        grant: Granted::Waiting(Box::new(grant.clone())),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    // The first write waits; the second one stores the later consent.
    let first = waiting(ALICE);
    let sales = store.authorize(&adding("sales@example.com", &first), &[]).await.unwrap();
    assert_eq!(sales.grant.as_ref(), Some(&first.id));
    let mut consented = store.grant(&first.id).await.unwrap().unwrap();
    consented.right = Right::Person { refresh_token: b"sealed".to_vec() };
    store.update_grant(&consented).await.unwrap();
    let later = waiting(&ALICE.to_uppercase());
    let support = store.authorize(&adding("support@example.com", &later), &[]).await.unwrap();
    assert_eq!(support.grant.as_ref(), Some(&first.id));
    assert!(store.grant(&first.id).await.unwrap().unwrap().is_in_force());
    assert!(store.grant(&later.id).await.unwrap().is_none());
    // An account that was authorised meanwhile keeps its grant, even that of another person.
    let (_, of_bob) = with_account(&store, BOB).await;
    let refused = store.authorize(&adding(BOB, &waiting("another@example.com")), &[]).await.unwrap_err();
    assert!(matches!(refused, StoreError::LoginNameTaken { account, .. } if account == BOB));
    let record = store.find(&fold(BOB)).await.unwrap().unwrap();
    assert_eq!(record.grant.map(|grant| grant.id), Some(of_bob.id));
}

pub(crate) async fn a_grant_that_was_withdrawn_is_not_shared(on: &impl Database) {
    let store = on.open().await;
    let (_, mut grant) = with_account(&store, ALICE).await;
    let sharing = Authorization {
        account: BOB.to_owned(),
        aliases: Vec::new(),
        grant: Granted::Existing(grant.id.clone()),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    grant.withdraw(refused(), now());
    grant.revision = store.update_grant(&grant).await.unwrap();
    assert!(matches!(store.authorize(&sharing, &[]).await, Err(StoreError::Conflict)));
    grant.right = Right::Application;
    store.update_grant(&grant).await.unwrap();
    assert_eq!(store.authorize(&sharing, &[]).await.unwrap().grant, Some(grant.id));
}

pub(crate) async fn a_grant_goes_with_the_last_account_that_uses_it(on: &impl Database) {
    let store = on.open().await;
    let (alice, grant) = with_account(&store, ALICE).await;
    let bob = authorize(&store, BOB, &["bobby"], Granted::Existing(grant.id.clone())).await;
    store.remove_account(&alice.id, &act("removed")).await.unwrap();
    assert!(store.find(&fold(ALICE)).await.unwrap().is_none());
    assert!(store.passwords(&alice.id).await.unwrap().is_empty());
    assert!(store.find(&fold(BOB)).await.unwrap().unwrap().grant.is_some());
    // An account that moves to another grant leaves its old grant without accounts.
    let turned = Authorization {
        account: BOB.to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(of(BOB))),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    store.authorize(&turned, &[]).await.unwrap();
    assert!(store.grant(&grant.id).await.unwrap().is_none());
    store.remove_account(&bob.id, &act("removed")).await.unwrap();
    assert!(store.find(&fold("bobby")).await.unwrap().is_none());
    assert!(store.grants().await.unwrap().is_empty() && store.accounts().await.unwrap().is_empty());
}

pub(crate) async fn an_alias_can_be_taken_back_and_the_accounts_own_name_cannot(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let (bob, _) = with_account(&store, BOB).await;
    store.add_alias(&alice.id, "ally", &act("alias_added")).await.unwrap();
    assert!(!store.remove_alias(&bob.id, "ally", &act("alias_removed")).await.unwrap(), "it is not his");
    assert!(!store.remove_alias(&alice.id, ALICE, &act("alias_removed")).await.unwrap());
    assert!(store.remove_alias(&alice.id, "ALLY", &act("alias_removed")).await.unwrap());
    assert!(!store.remove_alias(&alice.id, "ally", &act("alias_removed")).await.unwrap());
    assert!(store.find(&fold("ally")).await.unwrap().is_none());
    assert!(store.find(&fold(ALICE)).await.unwrap().is_some());
}

pub(crate) async fn a_password_has_a_name_of_its_own_in_its_account(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let (bob, _) = with_account(&store, BOB).await;
    let refused =
        store.add_password(&password(&alice.id, "default"), &act("password_created")).await.unwrap_err();
    assert!(matches!(refused, StoreError::PasswordNameTaken { name } if name == "default"));
    let chosen = AppPassword { verifier: Verifier::Chosen("$argon2id$".into()), ..password(&alice.id, "a") };
    store.add_password(&chosen, &act("password_created")).await.unwrap();
    store.add_password(&password(&bob.id, "a"), &act("password_created")).await.unwrap();
    let of_alice = store.passwords(&alice.id).await.unwrap();
    let names: Vec<&str> = of_alice.iter().map(|password| password.name.as_str()).collect();
    assert_eq!(names, ["a", "default"]);
    assert_eq!((&of_alice[0].id, &of_alice[0].verifier), (&chosen.id, &chosen.verifier));
    assert_eq!(of_alice[0].created_at, chosen.created_at);
    assert!(store.remove_password(&alice.id, "a", &act("password_revoked")).await.unwrap());
    assert!(!store.remove_password(&alice.id, "a", &act("password_revoked")).await.unwrap());
    assert_eq!(store.passwords(&bob.id).await.unwrap().len(), 2);
}

pub(crate) async fn a_password_is_limited_to_what_was_said_last(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let (bob, _) = with_account(&store, BOB).await;
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let narrow = Limits {
        doors: Some(vec!["imap".to_owned(), "submission".to_owned()]),
        networks: networks(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"]),
        last_day: Some(date!(2027 - 02 - 08)),
    };
    let one_door = Limits { doors: Some(vec!["imap".to_owned()]), ..Limits::default() };
    for limits in [&narrow, &one_door, &Limits::default(), &narrow] {
        assert!(store.limit_password(&alice.id, "default", limits, &act("password_limited")).await.unwrap());
        assert_eq!(store.passwords(&alice.id).await.unwrap()[0].limits, *limits);
        let record = on.open().await.find(&fold(ALICE)).await.unwrap().unwrap();
        assert_eq!(record.passwords[0].limits, *limits, "a login reads the same");
    }
    assert!(!store.limit_password(&alice.id, "other", &narrow, &act("password_limited")).await.unwrap());
    assert_eq!(store.passwords(&bob.id).await.unwrap()[0].limits, Limits::default(), "it is not his");
    let born = AppPassword { limits: narrow.clone(), ..password(&alice.id, "born") };
    store.add_password(&born, &act("password_created")).await.unwrap();
    assert_eq!(store.passwords(&alice.id).await.unwrap()[0].limits, narrow);
}

pub(crate) async fn an_account_is_disabled_until_it_is_enabled(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let (bob, _) = with_account(&store, BOB).await;
    assert!(!alice.disabled);
    for disabled in [true, true, false] {
        store.set_disabled(&alice.id, disabled, &act("disabled")).await.unwrap();
        let record = on.open().await.find(&fold(ALICE)).await.unwrap().unwrap();
        assert_eq!(record.account.disabled, disabled);
        assert_eq!((record.passwords.len(), record.grant.is_some()), (1, true), "all of it stays");
        assert!(!store.find(&fold(BOB)).await.unwrap().unwrap().account.disabled);
    }
    store.set_disabled(&bob.id, true, &act("disabled")).await.unwrap();
    let again = authorize_again(&store, BOB).await;
    assert!(again.disabled, "an authorisation enables nothing");
}

// Settings and answers.

pub(crate) async fn the_first_value_of_a_setting_stays_until_it_is_replaced_by_name(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    assert!(one.sealed_settings().await.unwrap().is_empty());
    assert_eq!(one.setting("key", b"first").await.unwrap(), b"first");
    assert_eq!(other.setting("key", b"second").await.unwrap(), b"first");
    assert!(!other.replace_setting("key", b"second", b"third").await.unwrap());
    assert!(!other.replace_setting("none", b"first", b"third").await.unwrap());
    assert!(other.replace_setting("key", b"first", b"third").await.unwrap());
    let settings = one.sealed_settings().await.unwrap();
    assert_eq!((settings.len(), settings[0].key.as_str()), (1, "key"));
    assert_eq!(settings[0].value, b"third");
}

pub(crate) async fn sealing_is_done_by_one_at_a_time(on: &impl Database) {
    let (one, other) = (on.open().await, on.open().await);
    let lock = one.lock_sealing().await.unwrap();
    let mut waiting = Box::pin(other.lock_sealing());
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), &mut waiting).await;
    assert!(early.is_err(), "the other one has it");
    drop(lock);
    drop(waiting.await.unwrap());
    one.lock_sealing().await.unwrap();
}

pub(crate) async fn an_answer_is_collected_once_and_in_time(on: &impl Database) {
    let (receiver, waiting) = (on.open().await, on.open().await);
    let until = now() + Duration::minutes(10);
    receiver.leave("answer", b"first", until).await.unwrap();
    receiver.leave("answer", b"second", until).await.unwrap();
    assert!(waiting.collect("other", now()).await.unwrap().is_none());
    assert_eq!(waiting.collect("answer", now()).await.unwrap().as_deref(), Some(&b"first"[..]));
    assert!(waiting.collect("answer", now()).await.unwrap().is_none());
    receiver.leave("late", b"answer", until).await.unwrap();
    assert!(waiting.collect("late", until + Duration::seconds(1)).await.unwrap().is_none());
}

// Changes.

pub(crate) async fn the_counter_moves_with_what_others_write(on: &impl Database) {
    let (watching, writing) = (on.open().await, on.open().await);
    let before = watching.changes().await.unwrap();
    assert_eq!(watching.changes().await.unwrap(), before);
    writing.setting("key", b"value").await.unwrap();
    let after = watching.changes().await.unwrap();
    assert_ne!(after, before);
    watching.reopen().await.unwrap();
    assert_eq!((watching.changes().await.unwrap(), watching.epoch()), (after, 0));
    assert!(watching.absence().is_none());
    watching.setting("own", b"value").await.unwrap();
    assert_ne!(watching.changes().await.unwrap(), after, "its own writes count, too");
}

pub(crate) async fn passwords_are_in_force_while_their_accounts_grant_is(on: &impl Database) {
    let store = on.open().await;
    let (alice, mut grant) = with_account(&store, ALICE).await;
    let (bob, _) = with_account(&store, BOB).await;
    let id = |passwords: Vec<AppPassword>| passwords[0].id.clone();
    let (of_alice, of_bob) =
        (id(store.passwords(&alice.id).await.unwrap()), id(store.passwords(&bob.id).await.unwrap()));
    grant.right = Right::Application;
    grant.revision = store.update_grant(&grant).await.unwrap();
    let both = [of_alice.clone(), of_bob.clone()].into();
    let one = [of_alice].into();
    assert_eq!(store.passwords_in_force(&both, TODAY).await.unwrap(), both);
    assert_eq!(store.passwords_in_force(&one, TODAY).await.unwrap(), one, "only what was asked for");
    grant.withdraw(refused(), now());
    store.update_grant(&grant).await.unwrap();
    assert_eq!(store.passwords_in_force(&both, TODAY).await.unwrap(), [of_bob].into());
    store.remove_account(&bob.id, &act("removed")).await.unwrap();
    assert!(store.passwords_in_force(&both, TODAY).await.unwrap().is_empty());
}

pub(crate) async fn a_password_is_in_force_up_to_its_last_day(on: &impl Database) {
    let store = on.open().await;
    let (alice, _) = with_account(&store, ALICE).await;
    let endless = store.passwords(&alice.id).await.unwrap().remove(0);
    let limits = Limits { last_day: Some(TODAY), ..Limits::default() };
    let ending = AppPassword { limits, ..password(&alice.id, "ending") };
    store.add_password(&ending, &act("password_created")).await.unwrap();
    let both = [endless.id.clone(), ending.id].into();
    assert_eq!(store.passwords_in_force(&both, TODAY).await.unwrap(), both);
    for later in [date!(2027 - 02 - 09), date!(2027 - 10 - 01), date!(2028 - 01 - 01)] {
        assert_eq!(store.passwords_in_force(&both, later).await.unwrap(), [endless.id.clone()].into());
    }
    let limits = Limits { last_day: Some(date!(2026 - 12 - 31)), ..Limits::default() };
    store.limit_password(&alice.id, "default", &limits, &act("password_limited")).await.unwrap();
    assert!(store.passwords_in_force(&both, date!(2027 - 02 - 09)).await.unwrap().is_empty());
}

pub(crate) async fn no_password_of_a_disabled_account_is_in_force(on: &impl Database) {
    let store = on.open().await;
    let (alice, grant) = with_account(&store, ALICE).await;
    let bob = authorize(&store, BOB, &[], Granted::Existing(grant.id)).await;
    let of_bob = store.passwords(&bob.id).await.unwrap().remove(0).id;
    let of_alice = store.passwords(&alice.id).await.unwrap().remove(0).id;
    let both = [of_alice, of_bob.clone()].into();
    store.set_disabled(&alice.id, true, &act("disabled")).await.unwrap();
    assert_eq!(store.passwords_in_force(&both, TODAY).await.unwrap(), [of_bob].into(), "they share a grant");
    store.set_disabled(&alice.id, false, &act("disabled")).await.unwrap();
    assert_eq!(store.passwords_in_force(&both, TODAY).await.unwrap(), both);
}
