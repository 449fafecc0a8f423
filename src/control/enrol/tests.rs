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
