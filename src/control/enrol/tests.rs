//! Tables against a store that counts its calls, and fails on purpose.

use std::sync::Arc;

use super::*;
use crate::config::Config;

#[allow(dead_code, reason = "the tests of the store use the rest")]
#[path = "../../../tests/store/failing.rs"]
mod failing;
use self::failing::Failing;

/// An installation whose store is watched.
async fn installation() -> (tempfile::TempDir, Installation, Arc<Failing>) {
    let home = tempfile::tempdir().unwrap();
    let text = format!(
        "state_directory = {:?}\n[providers.gmail]\nclient_id = \"x\"\n",
        home.path().join("state").to_str().unwrap()
    );
    let mut installation = Installation::open(Config::parse(&text, None).unwrap()).await.unwrap();
    let store = Arc::new(Failing::before(installation.store.clone()));
    installation.store = store.clone();
    (home, installation, store)
}

fn table(text: &str) -> Vec<Row> {
    read(text, 1000).unwrap()
}

#[tokio::test]
async fn the_owners_are_read_once_for_a_table_of_aliases() {
    let (_home, installation, store) = installation().await;
    let lines = |number: usize| format!("user{number}@gmail.com,,,alias{number},other{number}\n");
    let rows = table(&(0..100).map(lines).collect::<String>());
    assert_eq!(judge(&installation, &rows, false).await.unwrap().len(), 100);
    assert_eq!((store.calls("grants"), store.calls("accounts")), (1, 1));
    // A table without an alias needs none of them.
    judge(&installation, &table("a@gmail.com\nb@gmail.com,,a@gmail.com\n"), false).await.unwrap();
    assert_eq!((store.calls("grants"), store.calls("accounts")), (1, 1));
}

#[tokio::test]
async fn an_alias_is_not_the_owner_of_another_line() {
    let (_home, installation, _store) = installation().await;
    let judged = async |text: &str| {
        let faults = judge(&installation, &table(text), true).await.err().unwrap_or_default();
        faults.into_iter().map(|fault| (fault.line, fault.error.to_string())).collect::<Vec<_>>()
    };
    let faults = judged("a@gmail.com,,B@gmail.com\nc@gmail.com,,,b@gmail.com\n").await;
    assert!(faults.len() == 1 && faults[0].0 == 2 && faults[0].1.contains("a@gmail.com"), "{faults:?}");
    // The owner's own mailbox may have the owner's name, and so may each of two that the owner has.
    assert_eq!(judged("a@gmail.com,,b@gmail.com,b@gmail.com\n").await, []);
    let faults = judged("a@gmail.com,,b@gmail.com,b@gmail.com\nc@gmail.com,,b@gmail.com\n").await;
    assert!(faults.len() == 1 && faults[0].0 == 1 && faults[0].1.contains("c@gmail.com"), "{faults:?}");
}

#[tokio::test]
async fn what_was_made_before_a_failure_or_the_end_of_the_time_is_returned_with_its_passwords() {
    let (_home, installation, store) = installation().await;
    let rows = table("a@gmail.com\nb@gmail.com\n\nc@gmail.com\nd@gmail.com\n");
    let judged = async || judge(&installation, &rows, false).await.unwrap();
    let later = Instant::now() + std::time::Duration::from_secs(3600);

    let none = make_all(&installation, judged().await, Some("default"), Instant::now()).await;
    assert!(none.accounts.is_empty());
    let said = none.failure.unwrap().to_string();
    assert!(said.contains("before line 1: the accounts from there on were not made"), "{said}");

    store.fail_after(2, "authorize");
    let made = make_all(&installation, judged().await, Some("default"), later).await;
    let names: Vec<&str> = made.accounts.iter().map(|enrolled| enrolled.account.as_str()).collect();
    assert_eq!(names, ["a@gmail.com", "b@gmail.com"]);
    assert!(made.accounts.iter().all(|enrolled| enrolled.password.is_some()));
    assert!(matches!(made.failure, Some(Error::Store(_))), "{:?}", made.failure);
    store.heal();
    assert_eq!(installation.store.accounts().await.unwrap().len(), 2);
}
