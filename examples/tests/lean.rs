//! The library without its default features, as only the build of this package alone has it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test aborts where it fails")]

use std::process::Command;

const DATABASE: &str = "postgres://proxy@db.example/mail";
const CAUSE: &str = "is a PostgreSQL database, and this program was built without PostgreSQL";

#[test]
#[ignore = "needs a build of this package alone; scripts/test runs it"]
fn a_program_without_postgresql_says_so_and_begins_nothing() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, store: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, format!("state_directory = \"state\"\n{store}")).unwrap();
        path
    };
    let shared = file("shared.toml", &format!("[store]\nurl = \"{DATABASE}\"\n"));
    let alone = file("alone.toml", "");
    let in_file = format!("shared.toml:3: store.url: {CAUSE}");
    let of_option = format!("--to: {CAUSE}");
    for (config, words, said) in [
        (&shared, &["config", "check"][..], &in_file),
        (&shared, &["serve"], &in_file),
        (&alone, &["store", "migrate", "--to", DATABASE], &of_option),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
        let ran = command.arg("--as-proxy").arg("--config").arg(config).args(words).output().unwrap();
        let errors = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && errors.contains(said), "{words:?}: {errors}");
    }
    assert!(!home.path().join("state").exists());
}
