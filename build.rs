//! Compiles the git commit into the program's version, if it is built in its own repository.

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

/// The commit. `None` in an unpacked archive, even if that lies inside another git repository.
fn revision() -> Option<String> {
    let root = git(&["rev-parse", "--show-toplevel"])?;
    let is_own = Path::new(&root).canonicalize().ok()? == Path::new(".").canonicalize().ok()?;
    git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| is_own)
}

/// Makes cargo run this script again when the named file in the git directory changes; returns whether the
/// file exists. Cargo treats a missing file as changed, so it is not watched.
fn watch(name: &str) -> bool {
    let path = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists());
    if let Some(path) = &path {
        println!("cargo::rerun-if-changed={path}");
    }
    path.is_some()
}

/// The output of git; `None` if git fails or is not installed.
fn git(words: &[&str]) -> Option<String> {
    let output = Command::new("git").args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
