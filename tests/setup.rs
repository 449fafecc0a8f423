//! Files that set up mail programs: the accounts for which they are made, their contents, and names that could
//! break them.
//!
//! `tests/real/test_setup.py` has them read by Thunderbird and by real parsers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

mod common;

use common::{ALICE, Site};
use sandbox::Sandbox;

const LISTENERS: &str = "[[listeners]]\naddresses = [\"127.0.0.1:1993\", \"[::1]:1993\"]\n\
     [[listeners]]\nprotocol = \"submission\"\naddresses = [\"127.0.0.1:1587\"]\nsecurity = \"starttls\"\n";
const ODD: &str = "o'brien&co@example.com";

async fn text(site: &Site, account: &str, program: &str) -> String {
    let ran = site.run(&["setup", account, "--for", program]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.out
}

#[tokio::test(flavor = "multi_thread")]
async fn each_program_gets_the_servers_of_the_listeners() {
    let site = Site::with_config(Sandbox::builder().user(ALICE).user(ODD).submission(), LISTENERS).await;
    let ran = site.authorize_with(&[ALICE], Some(ALICE)).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let thunderbird = text(&site, ALICE, "thunderbird").await;
    for part in [
        "<emailProvider id=\"example.com\">",
        "<incomingServer type=\"imap\">\n      <hostname>localhost</hostname>\n      <port>1993</port>\n      <socketType>SSL</socketType>",
        "<outgoingServer type=\"smtp\">\n      <hostname>127.0.0.1</hostname>\n      <port>1587</port>\n      <socketType>STARTTLS</socketType>",
        "<username>%EMAILADDRESS%</username>",
    ] {
        assert!(thunderbird.contains(part), "{part}\n{thunderbird}");
    }
    assert!(
        text(&site, ALICE, "outlook")
            .await
            .contains("server localhost, port 1993, encryption method SSL/TLS")
    );
    assert!(text(&site, ALICE, "text").await.contains(&format!("User name    {ALICE}")));
    assert_eq!(site.authorize_with(&[ODD], Some(ODD)).await.code, 0);
    let apple = text(&site, ODD, "apple").await;
    assert!(apple.contains("<string>o&apos;brien&amp;co@example.com</string>"), "{apple}");

    let absent = site.run(&["setup", "carol@example.com", "--for", "text"]).await;
    assert_eq!(absent.code, 1);
    assert!(absent.error().contains("there is no account \"carol@example.com\""), "{absent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_without_a_way_to_send_is_refused_with_what_is_missing() {
    let site = Site::with_config(
        Sandbox::builder().user(ALICE),
        "[[listeners]]\naddresses = [\"127.0.0.1:1993\"]\n",
    )
    .await;
    site.authorize(ALICE).await;
    let ran = site.run(&["setup", ALICE, "--for", "apple"]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("needs a listener for SMTP submission"), "{ran:?}");
    assert!(ran.err.contains("hint: add [[listeners]] with protocol = \"submission\""), "{ran:?}");
}
