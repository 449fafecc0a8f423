//! Exactness: no byte is lost, repeated or reordered between mail program and provider. This holds for every
//! segmentation, every amount and every end of a session. All tests run the real binary.

#![allow(clippy::unwrap_used, reason = "a test's helper aborts the test")]

mod common;

use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::client::Client;
use common::plain::Plain;
use common::{ALICE, Serving, Site, login};
use flate2::Compression;
use flate2::write::{DeflateDecoder, DeflateEncoder};
use sandbox::{Flavour, LoginFault, Sandbox, pattern};
use serde_json::Value;
use tokio::task::JoinSet;

const CLEARTEXT: &str = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
const BOTH: &str = "[[listeners]]\naddresses = [\"127.0.0.1:0\"]\n\n[[listeners]]\naddresses = [\"127.0.0.1:0\"]\nsecurity = \"none\"\n";
/// Concurrent sessions; each has a handshake at the provider.
const ABREAST: usize = 16;
const MIB: u64 = 1 << 20;
/// The time that the proxy gives a busy session when it stops.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);

/// 64 MiB; a gigabyte with `FRONT_LITERAL_MIB=1024`.
fn literal_octets() -> u64 {
    let mib = std::env::var("FRONT_LITERAL_MIB").ok().and_then(|text| text.parse().ok());
    mib.unwrap_or(64) * MIB
}

// The hand-over.

#[tokio::test]
async fn security_row_2_a_login_with_commands_behind_it_split_at_every_byte() {
    let site = Site::with_config(Sandbox::builder().flavour(Flavour::Exchange).user(ALICE), CLEARTEXT).await;
    let settings = site.authorize(ALICE).await;
    site.sandbox.controls().forbid(settings["password"].as_str().unwrap());
    let serving = site.serve().await;
    let (user, password) = (settings["username"].as_str().unwrap(), settings["password"].as_str().unwrap());
    let said = format!(
        "a LOGIN \"{user}\" {{{}+}}\r\n{password}\r\nb NOOP\r\nc LIST \"\" {{5+}}\r\nINBOX\r\nd LOGOUT\r\n",
        password.len()
    );
    let expected = conversation(&serving, &[said.as_bytes()]).await;
    for line in ["a OK ", "b OK ", "* LIST ", "c OK ", "* BYE ", "d OK "] {
        assert!(expected.contains(line), "{line} in {expected}");
    }

    let mut running = JoinSet::new();
    for cut in 1..said.len() {
        if running.len() == ABREAST {
            running.join_next().await.unwrap().unwrap();
        }
        let (address, said, expected) = (serving.address(), said.clone(), expected.clone());
        running.spawn(async move {
            let (head, tail) = said.as_bytes().split_at(cut);
            assert_eq!(talk(Plain::connect(address).await, &[head, tail]).await, expected, "cut at {cut}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let octets: Vec<&[u8]> = said.as_bytes().chunks(1).collect();
    assert_eq!(conversation(&serving, &octets).await, expected, "octet by octet");
    site.sandbox.assert_no_violations();
}

async fn conversation(serving: &Serving, pieces: &[&[u8]]) -> String {
    talk(serving.plain("none").await, pieces).await
}

/// Sends `pieces` in separate segments, and returns everything received.
async fn talk(mut client: Plain, pieces: &[&[u8]]) -> String {
    client.line().await;
    for piece in pieces {
        client.send(piece).await;
        // Usually lets the other side read this piece alone.
        tokio::task::yield_now().await;
    }
    client.rest().await
}

#[tokio::test]
async fn security_row_2_an_ok_with_data_behind_it_split_at_every_byte() {
    const LINES: [&str; 4] =
        ["* CAPABILITY IMAP4rev1 IDLE", "{tag} OK Success", "* 5 EXISTS", "* OK [UNSEEN 2] {7}"];
    let site = Site::with_config(Sandbox::builder(), CLEARTEXT).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let expected = LINES.join("\r\n").replace("{tag}", "x.1") + "\r\n";
    for cut in 1..=expected.len() {
        // A record boundary after each `cut` octets, some of them in segments of one octet.
        site.sandbox.controls().imap(|switches| {
            switches.record = cut;
            switches.segment = if cut % 16 == 0 { 1 } else { 0 };
        });
        site.sandbox.controls().next_login(LoginFault::Lines(LINES.map(str::to_owned).to_vec()));
        let mut client = serving.plain("none").await;
        client.line().await;
        client.send(format!("x.1 {}\r\n", login(&settings))).await;
        let got = client.read_exact(expected.len()).await;
        assert_eq!(String::from_utf8_lossy(&got), expected, "records of {cut}");
    }
}

#[tokio::test]
async fn security_row_2_a_senders_login_with_a_message_behind_it_split_at_every_byte() {
    let (site, settings) = sending().await;
    let controls = site.sandbox.controls();
    controls.forbid(settings["password"].as_str().unwrap());
    let serving = site.serve().await;
    let said =
        [&hello(&settings), "MAIL FROM:<alice@example.com>\r\nRCPT TO:<x@example.org>\r\nDATA\r\n"].concat();
    let said = [&said, "Subject: dots\r\n\r\n..\r\n.\r\nQUIT\r\n"].concat();
    let expected = codes(&conversation(&serving, &[said.as_bytes()]).await);
    assert_eq!(expected[expected.len() - 6..], ["235 ", "250 ", "250 ", "354 ", "250 ", "221 "]);

    let mut running = JoinSet::new();
    for cut in 1..said.len() {
        if running.len() == ABREAST {
            running.join_next().await.unwrap().unwrap();
        }
        let (address, said, expected) = (serving.address(), said.clone(), expected.clone());
        running.spawn(async move {
            let (head, tail) = said.as_bytes().split_at(cut);
            let heard = talk(Plain::connect(address).await, &[head, tail]).await;
            assert_eq!(codes(&heard), expected, "cut at {cut}: {heard}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let octets: Vec<&[u8]> = said.as_bytes().chunks(1).collect();
    assert_eq!(codes(&conversation(&serving, &octets).await), expected, "octet by octet");
    assert_eq!(controls.stats().messages, said.len() as u64 + 1);
    assert!(controls.sent().iter().all(|sent| sent.data == b"Subject: dots\r\n\r\n..\r\n"));
    site.sandbox.assert_no_violations();
}

#[tokio::test]
async fn security_row_2_a_submission_servers_replies_split_at_every_byte() {
    let (site, settings) = sending().await;
    let serving = site.serve().await;
    let said = [&hello(&settings), "NOOP\r\nHELP\r\nQUIT\r\n"].concat();
    let expected = codes(&conversation(&serving, &[said.as_bytes()]).await);
    // Up to the length of the server's longest reply.
    for piece in 1..=250 {
        site.sandbox.controls().submission(|submission| submission.piece = piece);
        let heard = conversation(&serving, &[said.as_bytes()]).await;
        assert_eq!(codes(&heard), expected, "pieces of {piece}: {heard}");
    }
    site.sandbox.assert_no_violations();
}

/// A site where Alice can send over a cleartext listener, and her settings.
async fn sending() -> (Site, Value) {
    let listener = CLEARTEXT.replace("[[listeners]]", "[[listeners]]\nprotocol = \"submission\"");
    let site = Site::with_config(Sandbox::builder().user(ALICE).submission(), &listener).await;
    let settings = site.authorize(ALICE).await;
    (site, settings)
}

/// The lines of EHLO and AUTH with `settings`.
fn hello(settings: &Value) -> String {
    let password = settings["password"].as_str().unwrap();
    format!("EHLO x\r\nAUTH PLAIN {}\r\n", STANDARD.encode(format!("\0{ALICE}\0{password}")))
}

/// The code and the mark of each line, without the text, because a provider's text contains the time.
fn codes(heard: &str) -> Vec<String> {
    heard.lines().map(|line| line.chars().take(4).collect()).collect()
}

// Size.

#[tokio::test]
async fn security_row_6_literals_of_any_size_pass_both_ways_in_flat_memory() {
    let octets = literal_octets();
    let site =
        Site::with_config(Sandbox::builder().user(ALICE).huge_message(ALICE, "INBOX", octets), BOTH).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    let select = client.command("SELECT INBOX").await;
    let last = exists(&select.untagged);
    let before = serving.process().most_resident();

    client.send(format!("f FETCH {last} BODY.PEEK[TEXT]\r\n")).await;
    let line = client.line().await;
    assert!(line.ends_with(&format!("{{{octets}}}")), "{line}");
    let mut checker = pattern::Checker::default();
    while checker.seen() < octets {
        let piece = (octets - checker.seen()).min(64 << 10);
        checker.push(&client.read_exact(piece as usize).await);
    }
    assert_eq!(checker.first_wrong(), None);
    assert!(client.answer("f").await.is_ok());

    client.send(format!("g APPEND INBOX {{{octets}}}\r\n")).await;
    assert!(client.line().await.starts_with("+ "));
    let mut sent = 0;
    while sent < octets {
        let piece = pattern::chunk(sent, octets - sent);
        client.send(piece).await;
        sent += piece.len() as u64;
    }
    client.send("\r\n").await;
    assert!(client.answer("g").await.is_ok());
    let sunk = site.sandbox.controls().sunk();
    assert_eq!((sunk[0].octets, sunk[0].first_wrong), (octets, None));

    let grown = serving.process().most_resident() - before;
    assert!(grown < 8 << 10, "{grown} KiB more at the most, for {octets} octets each way");
}

fn exists(untagged: &[String]) -> u32 {
    let line = untagged.iter().find(|line| line.ends_with(" EXISTS")).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_slow_reader_costs_no_cpu_and_holds_the_fast_writer_back() {
    let octets = 256 * MIB;
    let site =
        Site::with_config(Sandbox::builder().user(ALICE).huge_message(ALICE, "INBOX", octets), BOTH).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    let last = exists(&client.command("SELECT INBOX").await.untagged);
    let before = serving.process().resident();
    client.send(format!("f FETCH {last} BODY.PEEK[TEXT]\r\n")).await;
    client.line().await;

    // The kernel's buffers fill first; then nothing moves, and the proxy must use no CPU.
    let mut spent = serving.process().cpu_of_a_second().await;
    for _ in 0..10 {
        if spent.as_millis() <= 20 {
            break;
        }
        spent = serving.process().cpu_of_a_second().await;
    }
    assert!(spent.as_millis() <= 20, "{spent:?} in a second in which nobody reads");
    let grown = serving.process().resident().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} KiB wait for a reader");
    drop(client);
    let end = serving.logs("session ended").await;
    let down: u64 = end.split("down=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(down < 64 * MIB, "{down} octets were taken from the provider for a reader that had stopped");
}

// The ends of a session.

#[tokio::test]
async fn a_client_that_has_closed_its_direction_still_gets_its_answer() {
    let site =
        Site::with_config(Sandbox::builder().user(ALICE).huge_message(ALICE, "INBOX", 8 * MIB), BOTH).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;

    let mut client = serving.log_in(&settings).await;
    let last = exists(&client.command("SELECT INBOX").await.untagged);
    client.send(format!("f FETCH {last} BODY.PEEK[TEXT]\r\n")).await;
    client.finish().await;
    assert_whole_answer(&mut client, 8 * MIB).await;
    assert!(client.is_closed().await);

    // Without TLS the end is only a FIN.
    let mut client = serving.plain("none").await;
    client.line().await;
    assert!(client.command(&login(&settings)).await.is_ok());
    client.command("SELECT INBOX").await;
    client.send("z NOOP\r\n").await;
    client.finish().await;
    assert!(client.answer("z").await.is_ok());
    assert_eq!(client.rest().await, "");
}

async fn assert_whole_answer(client: &mut Client, octets: u64) {
    client.line().await;
    let mut checker = pattern::Checker::default();
    while checker.seen() < octets {
        checker.push(&client.read_exact(64 << 10).await);
    }
    assert_eq!(checker.first_wrong(), None);
    assert!(client.answer("f").await.is_ok());
}

#[tokio::test]
async fn a_provider_that_closes_or_resets_ends_the_session_and_the_log_says_who() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;

    let mut client = serving.log_in(&settings).await;
    site.sandbox.controls().close(None);
    assert_eq!(client.next_line().await, None);
    drop(client);
    serving.logs("session ended: the provider closed it").await;

    let mut client = serving.log_in(&settings).await;
    site.sandbox.controls().reset(None);
    assert!(client.is_closed().await);
    drop(client);
    serving.logs("session ended: the connection to the provider failed").await;

    let mut client = serving.log_in(&settings).await;
    site.sandbox.controls().bye(None, "Maintenance");
    assert_eq!(client.line().await, "* BYE Maintenance");
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn both_legs_are_probed_so_that_a_peer_that_vanishes_is_noticed() {
    let site = Site::with_config(Sandbox::builder(), CLEARTEXT).await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.plain("none").await;
    client.line().await;
    assert!(client.command(&login(&settings)).await.is_ok());

    let port = |port: u16| format!(":{port:04X}");
    let ours = port(serving.address().port());
    let provider = port(site.sandbox.imap_address().port());
    serving.process().probes(|fields| fields[1].ends_with(&ours)).await;
    serving.process().probes(|fields| fields[2].ends_with(&provider)).await;
}

#[tokio::test]
async fn sigterm_lets_a_busy_session_finish_its_literal_first() {
    let octets = 32 * MIB;
    let site = Site::with(Sandbox::builder().user(ALICE).huge_message(ALICE, "INBOX", octets)).await;
    let settings = site.authorize(ALICE).await;
    let mut serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    let last = exists(&client.command("SELECT INBOX").await.untagged);
    client.send(format!("f FETCH {last} BODY.PEEK[TEXT]\r\n")).await;
    client.read_exact(100).await;
    serving.terminate();
    serving.logs("stopping: no new connections").await;

    let mut rest = 0;
    let answer = loop {
        let line = client.next_line_of_bytes().await.expect("the whole answer");
        rest += line.len() as u64;
        if rest > octets - 100 && line.starts_with(b"f ") {
            break line;
        }
    };
    assert!(answer.starts_with(b"f OK"), "{}", answer.escape_ascii());
    assert!(client.line().await.starts_with("* BYE The mail proxy is stopping"));
    assert!(client.is_closed().await);
    assert_eq!(serving.stop_waited().await, 0);
}

/// Thunderbird compresses. A restart used to wait the full patience of a busy session for it.
#[tokio::test]
async fn sigterm_ends_a_compressed_session_that_waits_at_once_and_without_a_word() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    assert!(client.command("COMPRESS DEFLATE").await.is_ok());
    compressed(&mut client, "s SELECT INBOX\r\n", "s OK").await;

    let begin = Instant::now();
    serving.terminate();
    let mut rest = Vec::new();
    loop {
        let bytes = client.read_some().await;
        if bytes.is_empty() {
            break;
        }
        rest.extend(bytes);
    }
    assert!(rest.ends_with(b"\0\0\xff\xff"), "more behind the flush: {}", rest.escape_ascii());
    assert_eq!(serving.stop_waited().await, 0);
    assert!(begin.elapsed() < DRAIN_PATIENCE, "{:?}", begin.elapsed());
}

// Extensions that the proxy relays without knowing them.

#[tokio::test]
async fn idle_and_enable_pass() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    let enable = client.command("ENABLE CONDSTORE").await;
    assert!(enable.is_ok() && enable.untagged.iter().any(|line| line.starts_with("* ENABLED")), "{enable:?}");
    client.command("SELECT INBOX").await;
    client.send("i IDLE\r\n").await;
    assert!(client.line().await.starts_with("+ "));
    site.sandbox.controls().deliver(ALICE, "INBOX", b"Subject: news\r\n\r\nNews\r\n");
    assert!(client.line().await.ends_with(" EXISTS"));
    client.send("DONE\r\n").await;
    assert!(client.answer("i").await.is_ok());
}

#[tokio::test]
async fn compress_deflate_passes() {
    let site = Site::new().await;
    let settings = site.authorize(ALICE).await;
    let serving = site.serve().await;
    let mut client = serving.log_in(&settings).await;
    assert!(client.command("COMPRESS DEFLATE").await.is_ok());

    let said = compressed(&mut client, "n NOOP\r\ns SELECT INBOX\r\n", "s OK").await;
    assert!(said.contains("n OK") && said.contains(" EXISTS"), "{said}");
    assert_eq!(site.sandbox.controls().stats().compressed, 1);
}

/// Sends a session's first compressed bytes, and returns the answer up to the line with `last`.
async fn compressed(client: &mut Client, commands: &str, last: &str) -> String {
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(commands.as_bytes()).unwrap();
    deflate.flush().unwrap();
    client.send(deflate.get_ref()).await;
    let mut inflate = DeflateDecoder::new(Vec::new());
    loop {
        inflate.write_all(&client.read_exact(1).await).unwrap();
        inflate.flush().unwrap();
        let said = String::from_utf8_lossy(inflate.get_ref()).into_owned();
        if said.contains(last) && said.ends_with("\r\n") {
            return said;
        }
    }
}
