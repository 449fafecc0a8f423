//! Mistakes in a configuration, described so that they can be corrected at once.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::belongs;
use crate::secret::FileAccess;

/// A mistake in the configuration: its place, the fault, and the correction.
#[derive(Debug)]
pub struct ConfigError {
    file: Option<PathBuf>,
    line: Option<usize>,
    key: String,
    message: String,
    hint: Option<ConfigHint>,
}

/// The cure of a mistake, if there is more to say than the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigHint {
    /// A sentence.
    Words(String),
    /// The list of keys; `cli` or `admin` names the command that prints it.
    EveryKey,
    /// Another user may read the file; `cli` or `admin` names the command with that user.
    AsUser(String),
}

impl ConfigError {
    /// A file that cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let is_denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let message = match is_denied {
            true => format!("is there, but cannot be read: {error}"),
            false => format!("cannot be read: {error}"),
        };
        let hint = is_denied.then(|| ConfigHint::AsUser(FileAccess::reader(path)));
        Self { file: Some(path.to_owned()), line: None, key: String::new(), message, hint }
    }

    /// Key and message, without the place in a file.
    pub(crate) fn clause(&self) -> String {
        match self.key.is_empty() {
            true => self.message.clone(),
            false => format!("{}: {}", self.key, self.message),
        }
    }

    /// The key, in the form `listeners.0.addresses`.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The fault, without its place.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The cure, if there is more to say than the message.
    pub fn hint(&self) -> Option<&ConfigHint> {
        self.hint.as_ref()
    }
}

impl fmt::Display for ConfigError {
    /// `FILE:LINE: KEY: MESSAGE`, without parts that are not known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}", file.display())?,
            None => f.write_str("configuration")?,
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.clause())
    }
}

impl std::error::Error for ConfigError {}

/// A mistake before its file and line are known.
pub(super) struct Problem {
    place: Location,
    message: String,
    hint: Option<ConfigHint>,
}

pub(super) enum Location {
    /// A path of keys and array indices, such as `providers`, `acme`, `imap`.
    Key(Vec<String>),
    /// A byte offset, as the TOML parser gives it.
    Offset(Option<usize>),
}

impl Problem {
    pub(super) fn at<const N: usize>(key: [&str; N], message: impl Into<String>) -> Self {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        Self { place: Location::Key(key), message: message.into(), hint: None }
    }

    /// Like [`Problem::at`], with a path of any length.
    pub(super) fn at_path(key: Vec<String>, message: impl Into<String>) -> Self {
        Self { place: Location::Key(key), message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(ConfigHint::Words(hint.into()));
        self
    }

    /// A mistake that the TOML parser or serde found.
    pub(super) fn from_toml(error: &toml::de::Error) -> Self {
        let message = error.message().trim_end_matches('\n').replace('\n', " ");
        let hint = unknown_key_hint(&message).or_else(|| form_hint(&message));
        let message = in_plain_words(message);
        Self { place: Location::Offset(error.span().map(|span| span.start)), message, hint }
    }

    pub(super) fn place(&self) -> &Location {
        &self.place
    }

    /// Whether the mistake is an unknown key, on which nothing else depends.
    pub(super) fn is_unknown_key(&self) -> bool {
        self.message.starts_with("unknown field")
    }

    /// Whether a table lacks a key.
    pub(super) fn is_missing_key(&self) -> bool {
        self.message.starts_with("missing field")
    }

    /// Whether the value is right, and another key should stand beside it.
    pub(super) fn misses_another_key(&self) -> bool {
        self.message == "is missing" || self.message.contains("beside")
    }

    pub(super) fn in_file(self, file: Option<&Path>, text: &str) -> ConfigError {
        let (line, key) = match self.place {
            Location::Offset(offset) => (offset.map(|offset| line_of(text, offset)), String::new()),
            Location::Key(path) => (locate(text, &path).map(|offset| line_of(text, offset)), path.join(".")),
        };
        ConfigError { file: file.map(Path::to_owned), line, key, message: self.message, hint: self.hint }
    }
}

/// The one of `names` of which `name` may be a misspelling.
pub fn nearest_name<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = names.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    // Short names have many others near them.
    distances
        .filter(|(distance, _)| *distance <= 2 && 2 * *distance < name.chars().count())
        .min()
        .map(|(_, known)| known)
}

/// The hint for "unknown field `x`, expected one of `a`, `b`": the nearest name, or all of them.
fn unknown_key_hint(message: &str) -> Option<ConfigHint> {
    let mut names = message.strip_prefix("unknown ")?.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let names: Vec<&str> = names.collect();
    let nearest = names
        .iter()
        .copied()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .filter(|(distance, name)| *distance <= 2.max(name.len() / 3))
        .min();
    Some(match nearest {
        Some((_, name)) => ConfigHint::Words(format!("did you mean `{name}`?")),
        None => belongs::hint(unknown).map_or(ConfigHint::EveryKey, ConfigHint::Words),
    })
}

/// The hint for a value of a wrong type.
fn form_hint(message: &str) -> Option<ConfigHint> {
    let (got, wanted) = message.strip_prefix("invalid type: ")?.split_once(", expected ")?;
    let words = match wanted {
        "a sequence" if got.starts_with("map") => {
            "write the header in double brackets, as in [[listeners]], once for each"
        }
        "a sequence" => "write a list, as in [\"one\", \"two\"]",
        "a whole number" | "usize" | "u16" | "u32" | "u64" => "write the number without quotes",
        "a string" | "path string" => "write it in quotes",
        "a boolean" => "write true or false, without quotes",
        _ => return None,
    };
    Some(ConfigHint::Words(words.to_owned()))
}

/// The parser's message without Rust's type names, and without a long list of keys.
fn in_plain_words(message: String) -> String {
    const LONGEST_LIST: usize = 8;
    if message.starts_with("unknown field")
        && let Some((unknown, list)) = message.split_once(", expected one of ")
        && list.split(", ").count() > LONGEST_LIST
    {
        return unknown.to_owned();
    }
    let Some((got, wanted)) = message.split_once(", expected ") else { return message };
    let wanted = match wanted {
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a sequence" => "a list",
        "path string" => "a path in quotes",
        _ => return message,
    };
    format!("{}, expected {wanted}", got.replace("invalid type: map", "invalid type: a table"))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

/// The offset in the file of the deepest part of `path` that exists there.
fn locate(text: &str, path: &[String]) -> Option<usize> {
    let table = DeTable::parse(text).ok()?;
    let (first, rest) = path.split_first()?;
    let (key, mut value) = table.get_ref().get_key_value(first.as_str())?;
    let mut offset = key.span().start;
    for part in rest {
        let deeper = match value.get_ref() {
            DeValue::Table(table) => {
                table.get_key_value(part.as_str()).map(|(key, value)| (key.span(), value))
            }
            DeValue::Array(array) => {
                part.parse().ok().and_then(|index: usize| array.get(index)).map(|value| (value.span(), value))
            }
            _ => None,
        };
        let Some((span, inner)) = deeper else { break };
        (offset, value) = (span.start, inner);
    }
    Some(offset)
}
