//! Tells the program its commit, where it is built in its own git repository.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let Some(revision) = revision() else {
        println!("cargo::rustc-env=IMAP_OAUTH_PROXY_VERSION={version}");
        return;
    };
    println!("cargo::rustc-env=IMAP_OAUTH_PROXY_REVISION={revision}");
    println!("cargo::rustc-env=IMAP_OAUTH_PROXY_VERSION={version} ({revision})");
    // HEAD names the branch; the branch's file changes with each commit, unless git has packed it.
    watch("HEAD");
    if let Some(branch) = git(&["symbolic-ref", "--quiet", "HEAD"])
        && !watch(&branch)
    {
        watch("packed-refs");
    }
}

/// The commit. None in an unpacked archive, also where that lies in the repository of something else.
fn revision() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let is_own = Path::new(&root).canonicalize().ok()? == Path::new(".").canonicalize().ok()?;
    git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| is_own)
}

/// Has cargo run this again when the file of that name in the git directory changes; whether there is one. Cargo takes a
/// file that is missing for one that has changed.
fn watch(name: &str) -> bool {
    let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists());
    if let Some(path) = &path {
        println!("cargo::rerun-if-changed={path}");
    }
    path.is_some()
}

/// What git prints; none where it fails, or is not there.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
