//! Changes of a store after it was copied and before it is marked as moved.

use imap_oauth_proxy::store::{Place, Store, StoreError, open_whole, tables};
use std::sync::Arc;

use super::contract::{act, with_account};
use super::postgres::{InPostgres, settings};
use super::{Database, InSqlite};

async fn what_a_moved_store_refuses(source: Place, store: Arc<dyn Store>, target: Place) {
    let (account, grant) = with_account(&store, "alice@example.com").await;
    let (from, to) = (open_whole(source).await.unwrap(), open_whole(target).await.unwrap());
    let copied = tables::copy(&*from, &*to).await.unwrap();
    assert_eq!(tables::count(&*to).await.unwrap(), copied, "all values arrive");

    // A refresh on another machine, which changes no number of rows.
    let revision = store.update_grant(&grant).await.unwrap();
    let why = from.mark_moved("the database 'new'", &copied).await.unwrap_err().to_string();
    assert!(why.contains("was used while it was copied, and stays in force"), "{why}");
    let grant = imap_oauth_proxy::store::Grant { revision, ..grant };
    let revision = store.update_grant(&grant).await.expect("it stays in force");

    let now = tables::count(&*from).await.unwrap();
    from.mark_moved("the database 'new'", &now).await.unwrap();
    let grant = imap_oauth_proxy::store::Grant { revision, ..grant };
    let removing = store.remove_account(&account.id, &act("removed")).await.map(drop);
    for refused in [
        store.update_grant(&grant).await.map(drop),
        store.setting("a", b"b").await.map(drop),
        store.end_grant(&grant, &act("revoked")).await.map(drop),
        removing,
    ] {
        let Err(StoreError::Unusable(why)) = refused else { panic!("{refused:?}") };
        assert_eq!(why, "the store was moved to the database 'new'; name that place in store.url");
    }
}

#[tokio::test]
async fn a_moved_file_refuses_the_writes_of_a_process_that_has_it_open() {
    let (source, target) = (InSqlite::fresh().await, InSqlite::fresh().await);
    let store = source.open().await;
    what_a_moved_store_refuses(Place::Sqlite(source.path()), store, Place::Sqlite(target.path())).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL; scripts/test runs it"]
async fn a_moved_database_refuses_the_writes_of_a_process_that_has_it_open() {
    let (source, target) = (InPostgres::fresh().await, InSqlite::fresh().await);
    let store = source.open().await;
    let place = Place::Postgres(settings(source.url()));
    what_a_moved_store_refuses(place, store, Place::Sqlite(target.path())).await;
}
