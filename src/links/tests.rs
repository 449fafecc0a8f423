use super::*;
use crate::secret::Key;
use crate::store::{Authorization, Grant, Granted, Right, Sqlite};

const NOW: OffsetDateTime = time::macros::datetime!(2027-02-08 9:00 UTC);

struct Site {
    links: Links,
    account: Id,
    _directory: tempfile::TempDir,
}

async fn site() -> Site {
    let directory = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap());
    let sealer = Arc::new(Sealer::new([(1, Key::new([7; 32]))]).unwrap());
    let account = authorize(&*store).await;
    let admin = Admin::default();
    let base = Base::of(&admin, Some("127.0.0.1:8993".parse().unwrap()));
    Site { links: Links::new(store, sealer, base), account, _directory: directory }
}

async fn authorize(store: &dyn Store) -> Id {
    let right = Right::Person { refresh_token: b"sealed".to_vec() };
    let known = store.grant_of("acme", "bob@corp.example", crate::store::GrantKind::Person).await.unwrap();
    let id = known.map_or_else(Id::random, |known| known.id);
    let grant = Grant::new(id, "acme", "bob@corp.example", right, NOW);
    let authorization = Authorization {
        account: "bob@corp.example".to_owned(),
        aliases: Vec::new(),
        grant: Granted::New(Box::new(grant)),
        id: Id::random(),
        password: None,
        disabled: false,
    };
    store.authorize(&authorization, &[]).await.unwrap().id
}

impl Site {
    async fn token(&self, now: OffsetDateTime) -> String {
        self.links.token(&self.account, now).await.unwrap().unwrap().expose().to_owned()
    }

    async fn find(&self, token: &str, now: OffsetDateTime) -> Result<String, Dead> {
        find(&*self.links.store, token, now).await.unwrap()
    }

    async fn begin(&self, token: &str, now: OffsetDateTime) -> Result<String, Dead> {
        begin(&*self.links.store, token, now).await.unwrap()
    }
}

#[tokio::test]
async fn every_login_and_every_process_repeats_the_same_link() {
    let site = site().await;
    let token = site.token(NOW).await;
    assert_eq!(token.len(), 26);
    assert!(is_word(&token), "{token}");
    let elsewhere = site.links.clone();
    let again = elsewhere.token(&site.account, NOW + Duration::days(3)).await.unwrap().unwrap();
    assert_eq!(again.expose(), token);
    let address = site.links.for_client(&site.account, "127.0.0.1".parse().unwrap()).await;
    let address = address.unwrap().expose().to_owned();
    assert!(address.starts_with("http://localhost:8993/again/"), "{address}");
}

#[tokio::test]
async fn a_link_is_good_for_a_week_and_the_one_before_it_too() {
    let site = site().await;
    let first = site.token(NOW).await;
    let second = site.token(NOW + SHOWN).await;
    assert_ne!(first, second);
    let bob = || Ok("bob@corp.example".to_owned());
    let last = NOW + LIFE - Duration::SECOND;
    assert_eq!((site.find(&first, last).await, site.find(&second, last).await), (bob(), bob()));
    assert_eq!(site.find(&first, NOW + LIFE).await, Err(Dead::Unknown));
    assert_eq!(site.find(&second, NOW + LIFE).await, bob());
}

#[tokio::test]
async fn a_link_begins_ten_consents_and_a_day_later_there_is_another() {
    let site = site().await;
    let token = site.token(NOW).await;
    for _ in 0..MOST_BEGUN {
        assert!(site.begin(&token, NOW).await.is_ok());
    }
    assert_eq!(site.begin(&token, NOW).await, Err(Dead::UsedUp));
    assert_eq!(site.find(&token, NOW).await, Err(Dead::UsedUp));
    assert_eq!(site.token(NOW + Duration::hours(23)).await, token, "renewed once a day at most");
    let other = site.token(NOW + Duration::DAY).await;
    assert!(site.begin(&other, NOW + Duration::DAY).await.is_ok());
}

#[tokio::test]
async fn a_stored_grant_ends_the_links() {
    let site = site().await;
    let (before, newest) = (site.token(NOW).await, site.token(NOW + SHOWN).await);
    authorize(&*site.links.store).await;
    for token in [before, newest] {
        assert_eq!(site.find(&token, NOW + SHOWN).await, Err(Dead::Unknown));
        assert_eq!(site.begin(&token, NOW + SHOWN).await, Err(Dead::Unknown));
    }
}

#[tokio::test]
async fn a_token_that_the_keys_do_not_open_is_replaced() {
    let site = site().await;
    let token = site.token(NOW).await;
    let sealer = Arc::new(Sealer::new([(2, Key::new([9; 32]))]).unwrap());
    let other = Links { sealer, ..site.links.clone() };
    let replaced = other.token(&site.account, NOW).await.unwrap().unwrap();
    assert_ne!(replaced.expose(), token);
    assert_eq!(site.find(&token, NOW).await, Ok("bob@corp.example".to_owned()), "it stays good");
}

#[tokio::test]
async fn a_link_reaches_only_who_can_open_it() {
    let site = site().await;
    let here = ["127.0.0.1", "::1", "::ffff:127.0.0.1"];
    let bound = Some("127.0.0.1:8993".parse().unwrap());
    let url = Some(url::Url::parse("https://proxy.corp.example").unwrap());
    let public = Admin { url, ..Admin::default() };
    let off = Admin { address: AdminAddress::Off, ..public.clone() };
    let socket = Admin { address: AdminAddress::Unix("/run/x".into()), ..Admin::default() };
    for (base, local, remote) in [
        (Base::of(&Admin::default(), bound), true, false),
        (Base::of(&Admin::default(), None), false, false),
        (Base::of(&public, bound), true, true),
        (Base::of(&off, None), false, false),
        (Base::of(&socket, None), false, false),
        (Base::of(&Admin { url: public.url.clone(), ..socket.clone() }, None), true, true),
    ] {
        let links = Links { base: base.clone(), ..site.links.clone() };
        for from in here {
            let given = links.for_client(&site.account, from.parse().unwrap()).await;
            assert_eq!(given.is_some(), local, "{base:?} {from}");
        }
        let given = links.for_client(&site.account, "192.0.2.7".parse().unwrap()).await;
        assert_eq!(given.is_some(), remote, "{base:?}");
        let told = links.for_people("BOB@corp.example").await;
        assert_eq!(told.is_some(), local, "{base:?}");
        assert!(links.for_people("nobody@corp.example").await.is_none());
    }
}
