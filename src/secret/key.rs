//! Where the sealing keys come from: a file, the environment, a systemd credential, or a command.
//!
//! All sources hold the same text: one line a key, `ID BASE64` (32 bytes); the highest id seals. A single
//! line with 32 bytes in base64 alone is key 1. The first command makes the key file, under a lock of the
//! state directory, with mode 0600; a file that others can read is refused, because the key may be known.
//! Only a file is ever written; the other sources belong to the machine's administrator.

use std::fmt;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use zeroize::Zeroizing;

use super::{KeyRing, Sealer, random_bytes};
use crate::files;

/// Enough for the command to ask its vault, or a person for a passphrase. A command that hangs must not keep
/// `serve` from starting or ending.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// Enough for a thousand keys.
const LONGEST_OUTPUT: u64 = 64 * 1024;

/// A sealing key.
pub type Key = Zeroizing<[u8; 32]>;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file, created if it is missing.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A credential passed by systemd (`LoadCredential=`, `LoadCredentialEncrypted=`).
    Credential(String),
    /// The standard output of a program, given with its arguments and run without a shell.
    Command(Vec<String>),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the key file {}", path.display()),
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::Credential(name) => write!(f, "the systemd credential {name}"),
            Self::Command(words) => {
                write!(f, "the key command {}", words.first().map_or("", String::as_str))
            }
        }
    }
}

impl KeySource {
    /// Reads the keys; `create` makes a first key if the key file does not exist.
    ///
    /// Creation is atomic: of two processes one wins, and both read its key.
    pub fn load(&self, create: bool) -> Result<Sealer, KeyError> {
        let keys = match (self.read(), self) {
            (Err(KeyError::Missing(_)), Self::File(path)) if create => {
                create_key_file(path)?;
                self.read()?
            }
            (read, _) => read?,
        };
        let ring = KeyRing::new(keys).ok_or_else(|| KeyError::Malformed(self.to_string()))?;
        Ok(Sealer::of(ring, Some(self.clone())))
    }

    /// The current keys, by id.
    pub(super) fn read(&self) -> Result<Vec<(u32, Key)>, KeyError> {
        let text = match self {
            Self::File(path) => read_key_file(path)?,
            Self::Environment(name) => {
                std::env::var(name).map(Zeroizing::new).map_err(|_| KeyError::Unset(self.to_string()))?
            }
            Self::Credential(name) => read_credential(name)?,
            Self::Command(words) => run(words, COMMAND_TIME)?,
        };
        parse(&text).ok_or_else(|| KeyError::Malformed(self.to_string()))
    }

    /// Removes the keys from the environment of a program to be started, if they came from ours.
    pub fn hide_from(&self, program: &mut Command) {
        if let Self::Environment(name) = self {
            program.env_remove(name);
        }
    }

    /// Adds a key with the next id to the key file; `None` if the source is not a file.
    pub fn add(&self) -> Result<Option<u32>, KeyError> {
        let Self::File(path) = self else { return Ok(None) };
        let mut keys = self.read()?;
        let id = keys.iter().map(|(id, _)| *id).max().unwrap_or(0).saturating_add(1);
        keys.push((id, Zeroizing::new(random_bytes::<32>())));
        replace_key_file(path, &keys)?;
        Ok(Some(id))
    }

    /// Removes all keys but `kept` from the key file; false if the source is not a file.
    pub fn retain(&self, kept: &[u32]) -> Result<bool, KeyError> {
        let Self::File(path) = self else { return Ok(false) };
        let mut keys = self.read()?;
        keys.retain(|(id, _)| kept.contains(id));
        replace_key_file(path, &keys)?;
        Ok(true)
    }
}

fn read_key_file(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |error| KeyError::Unreadable(format!("the key file {}", path.display()), error);
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => KeyError::Missing(path.to_owned()),
        _ => failed(error),
    })?;
    let access = super::FileAccess::from(&metadata);
    if !access.keeps_a_key() {
        return Err(KeyError::Exposed(path.to_owned(), access.mode()));
    }
    Ok(Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?))
}

fn read_credential(name: &str) -> Result<Zeroizing<String>, KeyError> {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
    let directory = directory.ok_or_else(|| KeyError::NoCredentials(name.to_owned()))?;
    let text = std::fs::read_to_string(Path::new(&directory).join(name));
    text.map(Zeroizing::new)
        .map_err(|error| KeyError::Unreadable(format!("the systemd credential {name}"), error))
}

/// Runs the key command. Its standard error goes to the person; its output is never shown.
fn run(words: &[String], limit: Duration) -> Result<Zeroizing<String>, KeyError> {
    let what = || format!("the key command {}", words.first().map_or("", String::as_str));
    let (program, arguments) = words.split_first().ok_or_else(|| KeyError::Malformed(what()))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // A process group of its own can be killed as a whole. Started from a terminal, the command stays in our
    // group: only there can it ask for a passphrase, and only there does Ctrl-C end it.
    let own_group = !io::stdin().is_terminal();
    if own_group {
        command.process_group(0);
    }
    let child = command.spawn().map_err(|error| KeyError::Unreadable(what(), error))?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || ended.send(read_to_end(child)));
    let Ok(end) = end.recv_timeout(limit) else {
        let kill = if own_group { kill_process_group } else { kill_process };
        if let Some(pid) = pid {
            let _ = kill(pid, Signal::KILL);
        }
        return Err(KeyError::CommandHangs(what(), limit.as_secs()));
    };
    let (text, status) = end.map_err(|error| KeyError::Unreadable(what(), error))?;
    if !status.success() {
        return Err(KeyError::CommandFailed(what(), status.to_string()));
    }
    let text = std::str::from_utf8(&text).map_err(|_| KeyError::Malformed(what()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// A program's output and its exit status.
fn read_to_end(mut child: Child) -> io::Result<(Zeroizing<Vec<u8>>, ExitStatus)> {
    // Allocated at full size, because a vector that grows leaves copies of the keys behind.
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST_OUTPUT as usize));
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST_OUTPUT).read_to_end(&mut text)?;
    }
    Ok((text, child.wait()?))
}

fn parse(text: &str) -> Option<Vec<(u32, Key)>> {
    let lines: Vec<&str> = text.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if let [alone] = lines.as_slice()
        && !alone.contains(' ')
    {
        return Some(vec![(1, parse_key(alone)?)]);
    }
    let keys = lines.into_iter().map(|line| {
        let (id, key) = line.split_once(' ')?;
        Some((id.parse().ok()?, parse_key(key.trim())?))
    });
    keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())
}

fn parse_key(text: &str) -> Option<Key> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    Some(Zeroizing::new(bytes.as_slice().try_into().ok()?))
}

/// The first process to write the file wins; a later one keeps the key that is there.
fn create_key_file(path: &Path) -> Result<(), KeyError> {
    let text = key_lines(&[(1, Zeroizing::new(random_bytes::<32>()))]);
    match files::write_new(path, text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| KeyError::Unwritable(path.to_owned(), error)),
    }
}

fn replace_key_file(path: &Path, keys: &[(u32, Key)]) -> Result<(), KeyError> {
    let replaced = files::replace(path, key_lines(keys).as_bytes(), 0o600);
    replaced.map_err(|error| KeyError::Unwritable(path.to_owned(), error))
}

fn key_lines(keys: &[(u32, Key)]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    for (id, key) in keys {
        let encoded = Zeroizing::new(STANDARD.encode(**key));
        text.push_str(&id.to_string());
        text.push(' ');
        text.push_str(&encoded);
        text.push('\n');
    }
    text
}

/// Why there is no key. The administrator has to act; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file is missing, although its store exists.
    #[error(
        "the key file {0} is missing; restore it from a backup: without it the stored grants cannot be opened"
    )]
    Missing(PathBuf),
    /// The file's mode lets others read it.
    #[error("the key file {0} can be read by others (mode {1:03o}); run: chmod 600 {0}")]
    Exposed(PathBuf, u32),
    /// The operating system refused to read the source.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, #[source] io::Error),
    /// The operating system refused to write the file.
    #[error("the key file {0} cannot be written: {1}")]
    Unwritable(PathBuf, #[source] io::Error),
    /// The text is not a list of keys.
    #[error(
        "{0} is damaged: each line must be a key id and 32 bytes in base64; restore it, or make a first one with: openssl rand -base64 32"
    )]
    Malformed(String),
    /// The environment variable is not set.
    #[error("{0} is not set; set it to 32 bytes in base64, or name another in [store] key_env")]
    Unset(String),
    /// The process was not started by systemd, or without the credential.
    #[error(
        "there is no systemd credential {0}, because CREDENTIALS_DIRECTORY is not set; start it as a service with LoadCredential={0}:FILE, or run: systemd-run -P -p LoadCredential={0}:FILE COMMAND"
    )]
    NoCredentials(String),
    /// The program did not end in time.
    #[error(
        "{0} had not ended after {1} s and was stopped; run it by hand to see why it waits; it must end by itself"
    )]
    CommandHangs(String, u64),
    /// The program failed.
    #[error("{0} failed ({1}); run it by hand to see why")]
    CommandFailed(String, String),
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let source = KeySource::File(directory.path().join("master.key"));
        let sealed = source.load(true).unwrap().seal("row", b"x").unwrap();
        assert_eq!(*source.load(true).unwrap().open("row", &sealed).unwrap(), b"x");
        let mode = std::fs::metadata(directory.path().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_exposed_damaged_or_missing_key_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let source = KeySource::File(path.clone());
        assert!(matches!(source.load(false), Err(KeyError::Missing(_))));
        source.load(true).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(source.load(false), Err(KeyError::Exposed(_, 0o640))));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "1 short").unwrap();
        assert!(matches!(source.load(false), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn a_sealer_learns_of_a_new_key_from_the_first_value_that_it_meets() {
        let directory = tempfile::tempdir().unwrap();
        let source = KeySource::File(directory.path().join("master.key"));
        let running = source.load(true).unwrap();
        let old = running.seal("row", b"old").unwrap();
        assert_eq!(source.add().unwrap(), Some(2));
        let sealed = source.load(false).unwrap().seal("row", b"new").unwrap();
        assert_eq!(*running.open("row", &sealed).unwrap(), b"new");
        assert_eq!(Sealer::key_of(&running.seal("row", b"x").unwrap()), Some(2));
        assert_eq!(*running.open("row", &old).unwrap(), b"old");
        assert!(source.retain(&[2]).unwrap());
        assert_eq!(source.load(false).unwrap().key_ids(), [2]);
        let mode = std::fs::metadata(directory.path().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_command_prints_keys_and_a_key_alone_is_the_first() {
        let key = STANDARD.encode([7; 32]);
        let echo = |text: &str| KeySource::Command(vec!["echo".into(), text.into()]);
        assert_eq!(echo(&key).load(false).unwrap().key_ids(), [1]);
        assert_eq!(echo(&format!("1 {key},4 {key}")).load(false).unwrap().current_key(), 4);
        assert!(matches!(echo("").load(true), Err(KeyError::Malformed(_))));
        let failing = KeySource::Command(vec!["false".into()]);
        assert!(matches!(failing.load(false), Err(KeyError::CommandFailed(..))));
        assert!(failing.add().unwrap().is_none());
    }

    #[test]
    fn security_row_39_a_key_command_that_hangs_is_stopped_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pids");
        // The shell exits at once, but its background process keeps the pipe open.
        let script = format!("sleep 600 & echo $! $$ > {0}.new; mv {0}.new {0}", file.display());
        let words = ["sh".to_owned(), "-c".to_owned(), script];
        let began = std::time::Instant::now();
        let error = run(&words, Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, KeyError::CommandHangs(_, 1)), "{error}");
        assert!(began.elapsed() < Duration::from_secs(20));
        let sleeping = std::fs::read_to_string(file).unwrap().split(' ').next().unwrap().to_owned();
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{sleeping}/stat")).unwrap_or_default();
            stat.contains("(sleep)") && !stat.contains(") Z ")
        };
        // In a terminal the test's command is in the test's own group, so the background process survives.
        while !io::stdin().is_terminal() && lives() {
            std::thread::yield_now();
        }
    }
}
