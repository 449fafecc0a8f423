//! Output: data on standard output, messages on standard error.
//!
//! A reader that closes the pipe (`… | head`) is no error, so nothing here panics on a closed pipe. Text from
//! outside loses its control characters and line breaks before it reaches a terminal: a stored name cannot begin a
//! new line.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::command;
use crate::text::{is_shown, one_line, plain};

/// One line of data.
pub(super) fn data(line: &str) {
    block_of_data(&one_line(line));
}

/// One line of data behind a mark for well or ill, which a terminal shows in green or red.
pub(super) fn marked(indent: &str, is_well: bool, line: &str) {
    let (mark, colour) = if is_well { ("ok  ", 32) } else { ("FAIL", 31) };
    let mut out = std::io::stdout().lock();
    // NO_COLOR is the convention of no-color.org.
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let mark = match out.is_terminal() && !is_dumb && !is_set("NO_COLOR") {
        true => format!("\x1b[{colour}m{mark}\x1b[0m"),
        false => mark.to_owned(),
    };
    let _ = writeln!(out, "{indent}{mark} {}", plain(&one_line(line))).and_then(|()| out.flush());
}

/// Several lines of data made by this program, such as a certificate.
pub(super) fn block_of_data(lines: &str) {
    let mut out = std::io::stdout().lock();
    let _ =
        out.write_all(plain(lines).as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
}

/// Data that must not be lost: an error if the reader does not take it.
pub(super) fn data_or_error(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Whether `-q` was given.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on only faults and questions are printed.
pub(super) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// One line of a message.
pub(super) fn words(line: &str) {
    if !QUIET.load(Ordering::Relaxed) || line.starts_with("warning: ") {
        needed(&one_line(line));
    }
}

/// A message that is always printed: an error, its cure, a question.
pub(super) fn needed(lines: &str) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "{}", plain(lines));
}

/// Reports that `directory` has no accounts, and how to make the first one. The directory's path helps a person
/// who meant another installation.
pub(super) fn no_account_yet(directory: &Path) {
    let authorize = command::authorize_account("YOU@EXAMPLE.COM");
    words(&format!("There is no account yet in {}; {authorize} makes one.", directory.display()));
}

/// Several lines of a message made by this program, such as how to register a client.
pub(super) fn block_of_words(lines: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        needed(lines);
    }
}

/// A value as one line of JSON.
pub(super) fn json(value: &impl serde::Serialize) -> Result<(), serde_json::Error> {
    data(&escaped(value)?);
    Ok(())
}

/// JSON with escapes for control characters of a terminal; the value is the same.
fn escaped(value: &impl serde::Serialize) -> Result<String, serde_json::Error> {
    let json = serde_json::to_string(value)?;
    if json.chars().all(is_shown) {
        return Ok(json);
    }
    let mut line = String::new();
    for c in json.chars() {
        match is_shown(c) {
            true => line.push(c),
            // Such characters occur only in strings, and each fits into one unit of UTF-16.
            false => line.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    Ok(line)
}

/// A JSON array on one line, written element by element, because it may be larger than memory.
pub(super) struct JsonArray {
    out: std::io::BufWriter<std::io::Stdout>,
    is_empty: bool,
}

impl JsonArray {
    pub(super) fn begin() -> Self {
        Self { out: std::io::BufWriter::new(std::io::stdout()), is_empty: true }
    }

    pub(super) fn push(&mut self, value: &impl serde::Serialize) -> Result<(), serde_json::Error> {
        let comma: &[u8] = if std::mem::take(&mut self.is_empty) { b"[" } else { b"," };
        let line = escaped(value)?;
        let _ = self.out.write_all(comma).and_then(|()| self.out.write_all(line.as_bytes()));
        Ok(())
    }

    /// Ends the array. Without its end the reader knows that something failed.
    pub(super) fn end(mut self) {
        let end: &[u8] = if self.is_empty { b"[]\n" } else { b"]\n" };
        let _ = self.out.write_all(end).and_then(|()| self.out.flush());
    }
}

/// An RFC 3339 time for a table: to the minute, in UTC.
pub(super) fn minute(time: Option<&str>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| time.get(..16).unwrap_or(time).replace('T', " "))
}

/// A list as JSON, or as a table; `none` says for a person that it is empty.
pub(super) fn list<T: serde::Serialize>(
    listed: Vec<T>,
    json: bool,
    heads: &[&str],
    row: impl Fn(T) -> Vec<String>,
    none: impl FnOnce(),
) -> Result<(), serde_json::Error> {
    match (json, listed.is_empty()) {
        (true, _) => return self::json(&listed),
        (false, true) => none(),
        (false, false) => table(heads, listed.into_iter().map(row)),
    }
    Ok(())
}

/// A table with aligned columns; the last column is not padded.
pub(super) fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows = std::iter::once(heads).chain(rows);
    let rows: Vec<Vec<String>> = rows.map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            match column + 1 == row.len() {
                true => line.push_str(cell),
                false => line.push_str(&format!("{cell:<width$}  ", width = width(column).unwrap_or(0))),
            }
        }
        data(line.trim_end());
    }
}
