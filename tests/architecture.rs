//! Checks the table of who may use whom (docs/architecture.md) against `src/**`, and the names of tests in
//! docs/security.md.
//!
//! A room is a module of the crate's root: `src/relay.rs` and everything below `src/relay/`. A room's uses
//! are found by scanning its text for `crate::room`, for `super::` chains that reach the root, and for the
//! names of external crates. Comments and test code do not count. Scanning plain text is enough because
//! `cargo fmt` fixes its form; review covers what the scan misses.

// A source tree that cannot be read fails the test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room, and the rooms that it may use beside itself and [`COMMON`].
const ROOMS: &[(&str, &[&str])] = &[
    (
        "cli",
        &[
            "admin", "command", "control", "config", "forecast", "oauth", "secret", "server", "store",
            "surface", "tls",
        ],
    ),
    (
        "admin",
        &["command", "control", "config", "http", "metrics", "protocol", "secret", "store", "surface", "tls"],
    ),
    ("surface", &["command", "control", "config", "forecast", "secret", "store", "tls"]),
    (
        "control",
        &[
            "account",
            "command",
            "config",
            "connection",
            "events",
            "forecast",
            "links",
            "metrics",
            "oauth",
            "protocol",
            "secret",
            "server",
            "store",
            "tls",
            "token",
            "upstream",
            "wire",
        ],
    ),
    ("server", &["connection", "metrics", "protocol", "config"]),
    ("metrics", &["protocol"]),
    (
        "connection",
        &[
            "account", "command", "config", "forecast", "links", "metrics", "protocol", "relay", "secret",
            "tls", "token", "upstream", "wire",
        ],
    ),
    ("wire", &["tls"]),
    ("protocol", &["wire", "secret"]),
    ("account", &["protocol", "store", "secret"]),
    ("token", &["metrics", "oauth", "store", "secret"]),
    ("oauth", &["command", "config", "http", "secret"]),
    ("events", &["command", "forecast", "links", "metrics", "oauth", "secret", "store", "config"]),
    ("forecast", &["store", "config"]),
    ("links", &["config", "secret", "store"]),
    ("command", &["store"]),
    ("upstream", &["protocol", "tls", "config", "wire"]),
    ("relay", &["protocol", "tls"]),
    ("store", &["protocol", "secret"]),
    ("secret", &[]),
    ("config", &["protocol", "secret"]),
    ("tls", &["secret"]),
    ("http", &[]),
];

/// The most lines of a file without its tests: a file is one idea. `clippy.toml` bounds functions.
const LONGEST_FILE: usize = 300;

/// Rooms that every other room may use, and that use no other.
const COMMON: &[&str] = &["clock", "files", "logging", "mutex", "shutdown", "text", "trouble"];

/// External crates, and the only rooms that may name them, so that replacing such a crate changes one room.
const CONFINED: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("axum", &["admin", "http", "oauth"]),
    ("chacha20poly1305", &["secret"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("command_fds", &["server"]),
    ("dashmap", &["token"]),
    ("hyper_util", &["http"]),
    ("imap_codec", &["protocol"]),
    ("listenfd", &["server"]),
    ("oauth2", &["oauth"]),
    ("prometheus_client", &["metrics"]),
    ("proxy_header", &["server"]),
    ("rcgen", &["tls"]),
    ("reqwest", &["oauth"]),
    ("sqlx", &["store"]),
    ("tokio_socks", &["upstream"]),
];

/// One protocol's crate among those of all.
const IMAP_ALONE: &str = "imap_codec";

/// Prints to the user's terminal. `logging` may name standard error, where the log goes.
const PRINTING: &[&str] = &["print!", "println!", "eprint!", "eprintln!", "io::stdout", "io::stderr"];

#[test]
fn every_file_is_in_a_room_of_the_table() {
    let strays: Vec<_> =
        sources().into_iter().filter(|source| !is_room(&source.room)).map(|source| source.path).collect();
    assert!(strays.is_empty(), "not in the table of who may use whom: {strays:?}");
}

#[test]
fn rooms_use_only_the_rooms_that_they_may() {
    let breaches: Vec<_> = sources()
        .iter()
        .flat_map(|source| {
            let used = rooms_used(&source.code, source.depth);
            used.into_iter().filter(|used| !may_use(&source.room, used)).map(|used| source.breach(&used))
        })
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn what_carries_a_session_knows_no_protocol_by_name() {
    let carries = ["connection", "relay", "upstream", "account", "wire"];
    let breaches: Vec<_> = sources()
        .iter()
        .filter(|source| carries.contains(&source.room.as_str()))
        .flat_map(|source| {
            let code = source.code.to_lowercase().replace("imap-oauth-proxy", "");
            let found =
                ["imap", "pop3", "submission", "smtp"].into_iter().filter(move |name| code.contains(name));
            found.map(|name| source.breach(name)).collect::<Vec<_>>()
        })
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn external_crates_stay_in_their_rooms() {
    let breaches: Vec<_> = sources()
        .iter()
        .flat_map(|source| {
            let foreign = CONFINED.iter().filter(|(_, rooms)| !rooms.contains(&source.room.as_str()));
            foreign.filter(|(name, _)| names_crate(&source.code, name)).map(|(name, _)| source.breach(name))
        })
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn imap_codec_stays_in_imap_and_reads_no_command_of_a_client() {
    let uses: Vec<_> = sources().into_iter().filter(|source| names_crate(&source.code, IMAP_ALONE)).collect();
    let strays: Vec<_> = uses
        .iter()
        .filter(|source| !source.module().starts_with("protocol::imap"))
        .map(|s| &s.path)
        .collect();
    assert!(strays.is_empty(), "only protocol/imap may use imap-codec: {strays:?}");
    // Passwords that pass through it leave copies that cannot be wiped.
    let readers: Vec<_> = uses
        .iter()
        .filter(|source| {
            ["CommandCodec", "AuthenticateDataCodec"].iter().any(|name| source.code.contains(name))
        })
        .map(|source| &source.path)
        .collect();
    assert!(!uses.is_empty() && readers.is_empty(), "passwords would pass through imap-codec: {readers:?}");
}

#[test]
fn only_the_command_line_prints() {
    let breaches: Vec<_> = sources()
        .iter()
        .filter(|source| source.room != "cli")
        .flat_map(|source| {
            let allowed = |what: &str| source.room == "logging" && what == "io::stderr";
            let found = PRINTING
                .iter()
                .filter(move |what| !allowed(what) && starts_of(&source.code, what).next().is_some());
            found.map(|what| source.breach(what))
        })
        .collect();
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn no_files_of_the_commands_and_what_they_do_import_each_other_in_a_circle() {
    let files: BTreeMap<String, String> = sources()
        .into_iter()
        .filter(|source| ["cli", "control", "surface"].contains(&source.room.as_str()))
        .map(|source| (source.module(), source.code))
        .collect();
    let imports = |module: &str| -> Vec<String> {
        let mut used: Vec<_> = paths_used(&files[module], module)
            .iter()
            .filter_map(|path| longest_module(path, &files))
            .filter(|used| used != module)
            .collect();
        used.sort();
        used.dedup();
        used
    };
    let mut open: BTreeMap<String, Vec<String>> =
        files.keys().map(|module| (module.clone(), imports(module))).collect();
    // A file that imports none of the open files is in no circle.
    while let Some(free) = open.iter().find(|(_, used)| !used.iter().any(|used| open.contains_key(used))) {
        let free = free.0.clone();
        open.remove(&free);
    }
    assert!(open.is_empty(), "these import each other in circles: {open:#?}");
}

#[test]
fn no_file_is_longer_than_one_idea() {
    let long: Vec<_> = sources()
        .iter()
        .filter(|source| source.lines > LONGEST_FILE)
        .map(|source| format!("{}: {} lines without its tests", source.path.display(), source.lines))
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn the_tests_that_the_security_page_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    ["src", "tests"].iter().for_each(|directory| collect(&root.join(directory), &mut paths));
    let is_code = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "rs" || ending == "py");
    let code: String =
        paths.iter().filter(is_code).map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let (_, table) = page.split_once("| rule | tests |").unwrap();
    let names = table.split('`').filter(|name| name.contains('_') && !name.contains(['/', ' ', '|']));
    let exists = |name: &str| match name.strip_suffix('*') {
        Some(start) => code.contains(&format!("fn {start}")),
        None => code.contains(&format!("fn {name}(")) || code.contains(&format!("def {name}(")),
    };
    let (there, gone): (Vec<_>, Vec<_>) = names.partition(|name| exists(name));
    assert!(gone.is_empty() && there.len() > 40, "named in docs/security.md and not there: {gone:?}");
}

#[test]
fn the_scanner_sees_every_form_of_use_and_no_test_code() {
    let text = "\
        // crate::comment\n\
        use crate::store::{Grant, Store};\n\
        use crate::{relay::Relay, token, wire::{self, Wire}};\n\
        fn f() { super::super::upstream::dial(crate::tls::ROOT, super::own) }\n\
        #[cfg(test)]\n\
        mod tests {\n\
        \x20   use crate::oauth::Flow;\n\
        }\n\
        use sqlx::Row; // dashmap::DashMap\n";
    let code = without_comments(&without_tests(text));
    assert_eq!(rooms_used(&code, 2), ["relay", "store", "tls", "token", "upstream", "wire"]);
    assert!(names_crate(&code, "sqlx") && !names_crate(&code, "dashmap"));
    assert!(!may_use("relay", "store") && may_use("relay", "tls") && may_use("relay", "logging"));
}

#[test]
fn the_scanner_of_circles_sees_every_form_of_import() {
    let code = "use super::{a::B, c};\nuse self::d::E;\nuse crate::control::{f, g::{self, h::I}};\n";
    let used = paths_used(code, "cli::x");
    let expected =
        ["cli::a::B", "cli::c", "cli::x::d::E", "control::f", "control::g::self", "control::g::h::I"];
    assert_eq!(used, expected);
}

struct Source {
    path: PathBuf,
    room: String,
    /// The number of `super::` from this module to the crate's root.
    depth: usize,
    /// The text without comments and test code.
    code: String,
    /// How many lines the text has without test code.
    lines: usize,
}

impl Source {
    /// Such as `cli::tokens::list`.
    fn module(&self) -> String {
        let path = self.path.with_extension("");
        let parts: Vec<_> = path.iter().skip(1).map(|part| part.to_str().unwrap()).collect();
        parts.join("::")
    }

    fn breach(&self, what: &str) -> String {
        format!("{} may not use {what}: {} is not given it", self.path.display(), self.room)
    }
}

/// All files of `src/` except the two roots: lib.rs is the overview, main.rs only calls `cli`.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.iter().filter_map(|path| source(&root, path)).collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, paths),
            false => paths.push(path),
        }
    }
}

fn source(root: &Path, path: &Path) -> Option<Source> {
    let module = path.strip_prefix(root).unwrap().with_extension("");
    let parts: Vec<_> = module.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    if !rust || ["lib", "main"].contains(&parts[0].as_str()) || parts.iter().any(|part| part == "tests") {
        return None;
    }
    let text = without_tests(&std::fs::read_to_string(path).unwrap());
    Some(Source {
        path: Path::new("src").join(module.with_extension("rs")),
        room: parts[0].clone(),
        depth: parts.len(),
        code: without_comments(&text),
        lines: text.lines().count(),
    })
}

fn is_room(name: &str) -> bool {
    COMMON.contains(&name) || ROOMS.iter().any(|(room, _)| *room == name)
}

fn may_use(room: &str, used: &str) -> bool {
    let given = ROOMS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, given)| given);
    room == used || COMMON.contains(&used) || given.contains(&used)
}

/// `text` without items under `#[cfg(test)]`, which end at the next line that has their own indentation and
/// closes them.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indentation = line.len() - line.trim_start().len();
            let closes = |line: &str| {
                line.get(indentation..).is_some_and(|rest| {
                    rest.starts_with('}') || (!rest.starts_with(' ') && rest.ends_with(';'))
                })
            };
            lines.by_ref().find(|line| closes(line));
            continue;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        code.push_str(line.split(" // ").next().unwrap_or_default());
        code.push('\n');
    }
    code
}

/// The crate-root names in the paths of `code`, sorted, each once.
fn rooms_used(code: &str, depth: usize) -> Vec<String> {
    let to_root = "super::".repeat(depth);
    let mut names: Vec<String> =
        starts_of(code, "crate::").chain(starts_of(code, &to_root)).flat_map(first_names).collect();
    names.retain(|name| is_room(name));
    names.sort();
    names.dedup();
    names
}

/// The texts after each occurrence of `what` that is not inside a longer word or path.
fn starts_of<'a>(code: &'a str, what: &'a str) -> impl Iterator<Item = &'a str> {
    let inside = |before: Option<char>| before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':');
    code.match_indices(what)
        .filter(move |(at, _)| what.contains("io::") || !inside(code[..*at].chars().next_back()))
        .map(move |(at, _)| &code[at + what.len()..])
}

/// `a::B` gives `a`; `{a::B, c, d::{e, f}}` gives `a`, `c` and `d`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let mut names = vec![name(group.trim_start())];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn names_crate(code: &str, name: &str) -> bool {
    // Only `name::` uses a crate: `name;` ends a declaration.
    starts_of(code, name).any(|rest| rest.starts_with("::"))
}

/// The paths from the crate's root in the `use` declarations of `module`.
fn paths_used(code: &str, module: &str) -> Vec<String> {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let mut paths = Vec::new();
    for declaration in starts_of(code, "use ") {
        let tree: String =
            declaration.split(';').next().unwrap().chars().filter(|c| !c.is_whitespace()).collect();
        let tree = match tree.split_once("::") {
            Some(("crate", rest)) => rest.to_owned(),
            Some(("super", rest)) => format!("{parent}::{rest}"),
            Some(("self", rest)) => format!("{module}::{rest}"),
            // A child's item, or another crate.
            _ => format!("{module}::{tree}"),
        };
        expand("", &tree, &mut paths);
    }
    paths
}

/// `a::{b, c::D}` gives `a::b` and `a::c::D`.
fn expand(before: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((head, group)) = tree.split_once('{') else {
        return paths.push(format!("{before}{tree}"));
    };
    let (mut depth, mut start) = (0, 0);
    let group = group.strip_suffix('}').unwrap();
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&format!("{before}{head}"), &group[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The module file that contains `path`.
fn longest_module(path: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let mut path = path;
    loop {
        if files.contains_key(path) {
            return Some(path.to_owned());
        }
        path = path.rsplit_once("::")?.0;
    }
}
