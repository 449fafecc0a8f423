//! `config check` reports all errors at once, including everything that would stop `serve`.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, Ran, Site, set_mode};

async fn check(site: &Site) -> Ran {
    site.run(&["config", "check"]).await
}

/// The errors, without the file's name.
fn errors(site: &Site, ran: &Ran) -> Vec<String> {
    let start = format!("error: {}:", site.config.display());
    ran.err.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

#[tokio::test]
async fn all_mistakes_are_told_at_once_each_with_its_line() {
    let site = Site::new().await;
    std::fs::write(
        &site.config,
        "state_directory = \"state\"\n[limits]\nfailed_logins = 0\nlogin_second = 9\n[metrics]\naddress = \"here\"\n\
        [providers.acme]\nimap = \"imap.acme.example\"\n[events]\ncommand = [\"\"]\n",
    )
    .unwrap();
    let ran = check(&site).await;
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    let errors = errors(&site, &ran);
    let mut lines: Vec<_> = errors.iter().map(|error| error.split(':').next().unwrap()).collect();
    lines.sort_by_key(|line| line.parse::<u32>().unwrap());
    assert_eq!(lines, ["3", "4", "6", "7", "8", "10"], "{ran:?}");
    assert!(ran.err.contains("hint: did you mean `login_seconds`?"), "{ran:?}");
    let serve = site.run(&["serve"]).await;
    assert_eq!(serve.code, 2);
    assert_eq!(serve.err.matches("error: ").count(), 1, "others tell the first: {serve:?}");
    assert!(ran.err.contains(serve.error().lines().next().unwrap()), "{serve:?}");
    assert!(!site.state().exists());
}

#[tokio::test]
async fn what_would_stop_serve_is_found_and_nothing_is_made() {
    let site = Site::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    std::fs::write(site.home.path().join("garbage.pem"), "garbage").unwrap();
    site.configure(&format!(
        "[tls]\ncertificate = \"none.pem\"\nkey = \"none.key\"\n[events]\ncommand = [\"no-such-program\"]\n\
        [log]\nfilter = \"a=b=c\"\n[metrics]\naddress = \"{address}\"\n[callback]\naddress = \"{address}\"\n\
        [[listeners]]\naddresses = [\"127.0.0.1:0\", \"{address}\", \"192.0.2.1:0\"]\n"
    ));
    for ca in ["garbage.pem", "missing.pem"] {
        let text = std::fs::read_to_string(&site.config).unwrap();
        let others = text.lines().filter(|line| !line.starts_with("extra_ca"));
        let text: Vec<_> = others.map(str::to_owned).chain([format!("extra_ca = {ca:?}")]).collect();
        std::fs::write(&site.config, text.join("\n")).unwrap();
        let ran = check(&site).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
        let errors = errors(&site, &ran);
        for (key, said) in [
            ("tls.certificate", "none.pem"),
            ("events.command", "no-such-program is no program"),
            ("log.filter", "is not a filter"),
            ("metrics.address", "another program has the port"),
            ("callback.address", "another program has the port"),
            ("listeners.0.addresses", "another program has the port"),
            ("listeners.0.addresses", "this machine does not have that address"),
            ("providers.sandbox.extra_ca", ca),
        ] {
            let found =
                errors.iter().any(|error| error.contains(&format!(": {key}: ")) && error.contains(said));
            assert!(found, "{key}: {said}: {ran:?}");
        }
        assert_eq!(errors.len(), 8, "{ran:?}");
    }
    assert!(!site.state().exists());
}

#[tokio::test]
async fn the_state_directory_is_looked_into() {
    let site = Site::new().await;
    site.authorize(ALICE).await;
    assert_eq!(check(&site).await.code, 0);
    let key = site.state().join("master.key");
    let text = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let ran = check(&site).await;
    assert!(ran.code == 1 && ran.err.contains("master.key"), "{ran:?}");
    assert!(!key.exists(), "no new one is made");
    std::fs::write(&key, "nonsense").unwrap();
    set_mode(&key, 0o600);
    assert_eq!(check(&site).await.code, 1);
    std::fs::write(&key, text).unwrap();
    assert_eq!(check(&site).await.code, 0);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(site.state(), Some(65534), None).unwrap();
        let ran = check(&site).await;
        assert!(ran.code == 1 && ran.err.contains("belongs to "), "{ran:?}");
    }
}

#[tokio::test]
async fn what_the_running_serve_has_taken_itself_is_no_problem() {
    let site = Site::new().await;
    let serving = site.serve().await;
    let address = serving.address().to_string();
    site.configure(&format!("[[listeners]]\naddresses = [\"{address}\"]\n"));
    assert_eq!(check(&site).await.code, 0);
    serving.stop().await;
    let other = std::net::TcpListener::bind(&address).unwrap();
    assert_eq!(check(&site).await.code, 1);
    drop(other);
}

#[tokio::test]
async fn values_that_cannot_work_are_told_and_every_one_of_a_provider() {
    let site = Site::new().await;
    site.configure(
        "[admin]\naddress = \"127.0.0.1:18993\"\n[[listeners]]\naddresses = [\"0.0.0.0:18993\"]\n\
        [providers.microsoft365]\nclient_id = \"YOUR_CLIENT_ID\"\ntenant = \"https://login.microsoftonline.com/corp.example\"\n\
        [providers.outlook]\nclient_id = \"your-client-id\"\ntenant = \"…\"\n[log]\nfilter = \"debugg\"\n",
    );
    let ran = check(&site).await;
    let found = errors(&site, &ran);
    for (key, said) in [
        ("providers.microsoft365.client_id", "is a placeholder"),
        ("providers.microsoft365.tenant", "is neither the id nor the domain of a tenant"),
        ("providers.outlook.client_id", "is a placeholder"),
        ("providers.outlook.tenant", "is a placeholder"),
        ("listeners.0.addresses", "is the address of the page for administrators"),
        ("log.filter", "\"debugg\" is no level"),
    ] {
        let is_said = |error: &String| error.contains(&format!(": {key}: ")) && error.contains(said);
        assert!(found.iter().any(is_said), "{key}: {said}: {ran:?}");
    }
    // A log that logs nothing does not begin.
    for words in [&["serve"][..], &["--log", "=,=", "tokens", "list"]] {
        let ran = site.run(words).await;
        assert!(ran.code == 2 && ran.err.contains("the levels are off, error, warn"), "{words:?} {ran:?}");
    }

    std::fs::write(
        &site.config,
        "state_directory = \"state\"\n[providers.acme]\nimap = \"nowhere\"\nsmtp = \"smtp.acme.example\"\n\
        authorize_url = \"http://acme.example/a\"\ntoken_url = \"nonsense\"\nclient_id = \"x\"\nscopes = [\"a b\"]\n\
        redirect_uri = \"x:\"\n[providers.gmial]\nclient_id = \"x\"\n[providers.corp]\npreset = \"microsoft356\"\n",
    )
    .unwrap();
    let ran = check(&site).await;
    let found = errors(&site, &ran);
    let mut lines: Vec<u32> =
        found.iter().map(|error| error.split(':').next().unwrap().parse().unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [3, 4, 5, 6, 8, 9, 10, 13], "{ran:?}");
    assert!(ran.err.contains("hint: did you mean [providers.gmail]? gmial is not a preset"), "{ran:?}");
    assert!(ran.err.contains("hint: did you mean \"microsoft365\"?"), "{ran:?}");
}
