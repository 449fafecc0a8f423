//! A mail program whose machine vanishes without FIN or reset. The test disconnects a network namespace, so
//! it needs root, iproute2 and openssl, and takes the three minutes of keep-alive. `scripts/test` runs it as
//! a separate step, inside another namespace.

#![allow(clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::process::Stdio;
use std::time::Duration;

use common::{ALICE, Site, login};
use sandbox::Sandbox;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

/// Our end of the virtual cable; TEST-NET-3 (RFC 5737) is reserved.
const HERE: &str = "203.0.113.1";
const THERE: &str = "203.0.113.2";

/// A machine at the other end of the cable.
struct Elsewhere {
    name: String,
}

impl Elsewhere {
    fn new() -> Self {
        let name = format!("proxy-{}", std::process::id());
        let (ours, theirs) = (format!("o{}", std::process::id()), format!("t{}", std::process::id()));
        ip(&["netns", "add", &name]);
        let elsewhere = Self { name };
        let name = &elsewhere.name;
        ip(&["link", "add", &ours, "type", "veth", "peer", "name", &theirs, "netns", name]);
        ip(&["address", "add", &format!("{HERE}/30"), "dev", &ours]);
        ip(&["link", "set", &ours, "up"]);
        ip(&["-n", name, "address", "add", &format!("{THERE}/30"), "dev", &theirs]);
        ip(&["-n", name, "link", "set", &theirs, "up"]);
        elsewhere
    }

    fn pull_the_cable(&self) {
        ip(&["-n", &self.name, "link", "set", &format!("t{}", std::process::id()), "down"]);
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // Deletes the cable too.
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(words: &[&str]) {
    assert!(std::process::Command::new("ip").args(words).status().unwrap().success(), "ip {words:?}");
}

#[tokio::test]
#[ignore = "needs root and three minutes; see scripts/test"]
async fn a_mail_program_that_vanishes_is_noticed_and_the_providers_leg_closed() {
    let elsewhere = Elsewhere::new();
    let listener = format!("[[listeners]]\naddresses = [\"{HERE}:0\"]\n");
    let site = Site::with_config(Sandbox::builder(), &listener).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;

    let mut program = tokio::process::Command::new("ip")
        .args(["netns", "exec", &elsewhere.name, "openssl", "s_client", "-quiet", "-connect"])
        .arg(serving.address().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut say = program.stdin.take().unwrap();
    let mut hear = BufReader::new(program.stdout.take().unwrap()).lines();
    say.write_all(format!("a {}\r\n", login(&settings)).as_bytes()).await.unwrap();
    while !hear.next_line().await.unwrap().unwrap().starts_with("a OK") {}
    let ours = format!(":{:04X}", serving.address().port());
    serving.process().probes(|fields| fields[1].ends_with(&ours)).await;

    elsewhere.pull_the_cable();
    // The kernel's probes take three minutes.
    let end = serving.logs_within(Duration::from_secs(300), "session ended").await;
    assert!(end.contains("the connection to the mail program failed"), "{end}");
    site.sandbox.controls().wait_for(|stats| stats.open == 0).await;
}
