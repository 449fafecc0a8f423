//! The contract of a store that several instances may share. A store of one machine answers as if it were alone.

use std::sync::Arc;

use imap_oauth_proxy::store::{GateCount, Look, Owed, Question, Store};

use super::Database;

const ALICE: &str = "alice@example.com";

fn held(account: &str, sessions: u32) -> GateCount {
    GateCount { holder: String::new(), account: account.to_owned(), door: "pop3".to_owned(), sessions }
}

/// The counts of the other instances that `store` reads since `mark`, and the next mark.
async fn gates(store: &Arc<dyn Store>, mark: i64) -> (Vec<(String, u32)>, i64) {
    let look = store.look_around(mark).await.unwrap();
    let mut gates: Vec<_> = look.gates.into_iter().map(|gate| (gate.account, gate.sessions)).collect();
    gates.sort();
    (gates, look.mark)
}

/// Two instances; `None` for a store that is not shared, after the calls of an instance were checked on it.
async fn two_instances(on: &impl Database) -> Option<(Arc<dyn Store>, Arc<dyn Store>)> {
    let (one, other) = (on.open().await, on.open().await);
    if one.is_shared() {
        one.join("one").await.unwrap();
        other.join("other").await.unwrap();
        return Some((one, other));
    }
    one.join("one").await.unwrap();
    one.tell_gates(&[held(ALICE, 1)], true).await.unwrap();
    one.tell_owed(&[Owed { tier: 1, bucket: 7, millis: 30_000 }]).await.unwrap();
    let question = Question { id: "question".to_owned(), sealed: b"sealed".to_vec() };
    one.ask(&question, 5).await.unwrap();
    assert_eq!(other.look_around(0).await.unwrap(), Look::default());
    assert!(other.others().await.unwrap().is_empty() && one.answers("question").await.unwrap().is_empty());
    let told = tokio::time::timeout(std::time::Duration::from_millis(20), other.told()).await;
    assert!(told.is_err(), "there is never a notice");
    for done in [one.sweep().await, one.withdraw("question").await, one.part().await] {
        done.unwrap();
    }
    None
}

pub(crate) async fn what_an_instance_holds_is_seen_by_the_others_until_it_dies(on: &impl Database) {
    let Some((one, other)) = two_instances(on).await else { return };
    one.tell_gates(&[held(ALICE, 1), held("bob@example.com", 2)], true).await.unwrap();
    let (seen, mark) = gates(&other, 0).await;
    assert_eq!(seen, [(ALICE.to_owned(), 1), ("bob@example.com".to_owned(), 2)]);
    assert!(gates(&one, 0).await.0.is_empty(), "an instance's own are not told to it");
    assert!(gates(&other, mark).await.0.is_empty(), "nothing has changed");

    one.tell_gates(&[held(ALICE, 0), held("carol@example.com", 0)], false).await.unwrap();
    let (seen, mark) = gates(&other, mark).await;
    assert_eq!(seen, [(ALICE.to_owned(), 0)], "what never was is not told");
    one.tell_gates(&[held(ALICE, 3)], true).await.unwrap();
    let (seen, _) = gates(&other, mark).await;
    assert_eq!(seen, [(ALICE.to_owned(), 3), ("bob@example.com".to_owned(), 0)], "it holds no others");

    let look = other.look_around(0).await.unwrap();
    let places: Vec<_> = look.others.iter().map(|instance| instance.place.as_str()).collect();
    assert!(look.is_joined && places == ["one"], "{look:?}");
    assert_eq!(other.others().await.unwrap(), look.others);
    on.kill(one).await;
    let look = other.look_around(0).await.unwrap();
    assert!(look.is_joined && look.others.is_empty(), "the dead hold nothing: {look:?}");
    assert!(other.others().await.unwrap().is_empty());

    let third = on.open().await;
    assert_eq!(third.others().await.unwrap().len(), 1, "a command is no instance, and sees all");
    other.part().await.unwrap();
    assert!(third.others().await.unwrap().is_empty());
    other.tell_gates(&[held(ALICE, 1)], true).await.expect_err("it is no instance any more");
    assert!(!other.look_around(0).await.unwrap().is_joined);
}

pub(crate) async fn charges_of_all_instances_add_up_and_what_is_taken_back_is_taken_from_all(
    on: &impl Database,
) {
    let Some((one, other)) = two_instances(on).await else { return };
    let pair = |millis| Owed { tier: 1, bucket: -7, millis };
    let left = async |store: &Arc<dyn Store>, mark| {
        let look = store.look_around(mark).await.unwrap();
        let mut left: Vec<_> = look.owed.iter().map(|owed| (owed.tier, owed.bucket, owed.millis)).collect();
        left.sort_unstable();
        (left, look.mark)
    };
    // A transaction in another database of the server can make a poll read a row twice.
    let settled = async |store: &Arc<dyn Store>, mut mark| {
        loop {
            match left(store, mark).await {
                (owed, next) if owed.is_empty() => return next,
                (_, next) => mark = next,
            }
        }
    };
    // Both at once, and a bucket beside it.
    let beside = Owed { tier: 2, bucket: i64::MAX, millis: 5_000 };
    let (here, there) = ([pair(240_000), beside], [pair(30_000)]);
    let (here, there) = tokio::join!(one.tell_owed(&here), other.tell_owed(&there));
    here.and(there).unwrap();
    let (owed, mark) = left(&other, 0).await;
    let [(1, -7, millis), (2, i64::MAX, _)] = owed[..] else { panic!("{owed:?}") };
    assert!((260_000..=270_000).contains(&millis), "{millis}");
    let mark = crate::common::within("a look that finds no change", settled(&other, mark)).await;

    other.tell_owed(&[pair(-60_000)]).await.unwrap();
    let (owed, mark) = left(&one, mark).await;
    let [(1, -7, millis)] = owed[..] else { panic!("{owed:?}") };
    assert!((200_000..=210_000).contains(&millis), "{millis}");
    let mark = crate::common::within("a look that finds no change", settled(&one, mark)).await;
    one.tell_owed(&[pair(-500_000), Owed { tier: 1, bucket: 8, millis: -1 }]).await.unwrap();
    let (owed, _) = left(&other, mark).await;
    let [(1, -7, millis)] = owed[..] else { panic!("nothing is taken from what is full: {owed:?}") };
    assert!((-10_000..=0).contains(&millis), "never more than there was: {millis}");
    one.sweep().await.unwrap();
    assert_eq!(left(&other, 0).await.0.len(), 2, "what was taken back is still to be seen");
    // An instance that starts reads what still counts.
    assert_eq!(left(&on.open().await, 0).await.0.len(), 2);
}

pub(crate) async fn a_question_is_answered_once_by_each_instance_and_removed_with_its_answers(
    on: &impl Database,
) {
    let Some((one, other)) = two_instances(on).await else { return };
    let asking = on.open().await;
    let question = Question { id: "question".to_owned(), sealed: b"sealed".to_vec() };
    asking.ask(&question, 60).await.unwrap();
    for store in [&one, &other] {
        assert_eq!(store.look_around(0).await.unwrap().questions, std::slice::from_ref(&question));
        store.answer("question", b"first").await.unwrap();
        store.answer("question", b"second").await.unwrap();
        assert!(store.look_around(0).await.unwrap().questions.is_empty(), "it has answered");
    }
    let answers = asking.answers("question").await.unwrap();
    let mut holders: Vec<_> = answers.iter().map(|answer| answer.holder.clone()).collect();
    holders.sort();
    let mut expected = [one.holder().await.unwrap(), other.holder().await.unwrap()];
    expected.sort();
    assert_eq!(holders, expected);
    assert!(answers.iter().all(|answer| answer.sealed == b"first"));
    asking.withdraw("question").await.unwrap();
    one.answer("question", b"late").await.unwrap();
    assert!(asking.answers("question").await.unwrap().is_empty());

    asking.ask(&question, 0).await.unwrap();
    assert!(one.look_around(0).await.unwrap().questions.is_empty(), "it is over");
    one.sweep().await.unwrap();
    asking.ask(&question, 60).await.unwrap();
}
