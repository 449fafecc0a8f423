//! The text of a table as lines: comma-separated values, as people type them and as spreadsheets write them.
//!
//! The work is bounded by the length of the text: each byte is looked at a fixed number of times, and reading ends behind
//! the most lines that the caller takes.

use crate::control::error::{Error, TableError};
use crate::control::names::shape::UNREAD;

/// The first cell of a table's head.
const HEAD: &str = "account";

/// The lines that are named of a file that is no UTF-8, where each may have such a byte.
const MOST_UNREAD: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) account: String,
    /// `None` if the account's domain determines it.
    pub(crate) provider: Option<String>,
    /// The account itself, if the table names no owner.
    pub(crate) owner: Option<String>,
    pub(crate) aliases: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) error: Error,
}

/// The lines of a table: account, provider, owner, and any number of aliases, separated by commas or semicolons. A table of
/// more than `most` accounts is a fault.
pub(crate) fn read(text: &str, most: usize) -> Result<Vec<Row>, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unread = unread_lines(text);
    if !unread.is_empty() {
        return Err(unread);
    }
    let is_content = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
    let first = text.lines().find(is_content).unwrap_or_default();
    if first.contains('\t') && !first.contains([',', ';']) {
        return Err(vec![Fault { line: 1, error: TableError::Tabs.into() }]);
    }
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).trim(csv::Trim::All).comment(Some(b'#')).delimiter(delimiter);
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    let mut is_first = true;
    for record in reader.from_reader(text.as_bytes()).into_records() {
        match record {
            Ok(record) => {
                let Some(row) = row(text, &record) else { continue };
                let is_head = is_first && row.account.eq_ignore_ascii_case(HEAD);
                is_first = false;
                match rows.len() {
                    _ if is_head && !is_known_head(&record) => {
                        faults.push(Fault { line: row.line, error: TableError::Head.into() });
                        break;
                    }
                    _ if is_head => {}
                    number if number < most => rows.push(row),
                    _ => {
                        faults.push(Fault { line: row.line, error: TableError::TooLong { most }.into() });
                        break;
                    }
                }
            }
            Err(error) => {
                let line = error.position().map_or(0, |position| line_at(text, position));
                faults.push(Fault { line, error: TableError::Line.into() });
            }
        }
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(Fault { line: 1, error: TableError::Empty.into() });
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

/// Whether the columns of a head are what the columns of a table are. What is in a column follows from its place alone: a
/// person who names them in another order would grant another person's mail.
fn is_known_head(record: &csv::StringRecord) -> bool {
    let names = record.iter().map(str::to_lowercase).enumerate();
    names.filter(|(_, name)| !name.is_empty()).all(|(place, name)| match place {
        0 => name == HEAD,
        1 => name == "provider",
        2 => name == "owner",
        _ => name.starts_with("alias") || name == "…" || name == "...",
    })
}

/// The lines with a byte that is no UTF-8, for which the reader of the file has put U+FFFD. The account would be another one
/// than the file names.
fn unread_lines(text: &str) -> Vec<Fault> {
    let numbered = (1..).zip(text.lines());
    let unread = numbered.filter(|(_, line)| line.contains(UNREAD)).take(MOST_UNREAD);
    unread.map(|(line, _)| Fault { line, error: TableError::NotUtf8.into() }).collect()
}

fn row(text: &str, record: &csv::StringRecord) -> Option<Row> {
    if record.iter().all(str::is_empty) {
        return None;
    }
    let mut fields = record.iter().map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let (account, provider, owner) = (next(), next(), next());
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let aliases = fields.filter(|alias| !alias.is_empty()).collect();
    let line = record.position().map_or(0, |position| line_at(text, position));
    Some(Row { line, account, provider: some(provider), owner: some(owner), aliases })
}

/// The line of a record. The reader's position is before the line ends and comments in front of the record.
fn line_at(text: &str, position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let (mut line, mut behind) = (position.line(), text.get(from..).unwrap_or_default());
    while behind.starts_with(['\r', '\n', '#']) {
        let Some((_, rest)) = behind.split_once('\n') else { break };
        (line, behind) = (line + 1, rest);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, String, String, String, String)> {
        let shown = |row: Row| {
            let (provider, owner) = (row.provider.unwrap_or_default(), row.owner.unwrap_or_default());
            (row.line, row.account, provider, owner, row.aliases.join(" "))
        };
        read(text, 100).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn a_table_is_read_with_and_without_a_head_and_as_spreadsheets_write_it() {
        let one =
            |line| vec![(line, "a@x.example".into(), "gmail".into(), "b@x.example".into(), "c d".into())];
        for (text, line) in [
            ("a@x.example,gmail,b@x.example,c,d\n", 1),
            ("Account,provider,owner,alias\n\n# a comment\na@x.example, gmail , b@x.example,c,,d,\n", 4),
            ("\u{feff}account;provider;owner;alias\r\na@x.example;gmail;\"b@x.example\";c;d\r\n;;\r\n", 2),
        ] {
            assert_eq!(rows(text), one(line), "{text}");
        }
        assert_eq!(
            rows("a@x.example"),
            [(1, "a@x.example".into(), String::new(), String::new(), String::new())]
        );
        for empty in ["", "account,provider\n", "\n,,\n# x\n"] {
            assert!(
                matches!(read(empty, 100).unwrap_err()[0].error, Error::Table(TableError::Empty)),
                "{empty}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_utf_8_is_refused_with_the_lines() {
        // As Excel saves "CSV": Windows-1252.
        let file = b"alice@x.example\nm\xfcller@x.example\r\nbob@x.example\ncaf\xe9@x.example\n";
        let faults = read(&String::from_utf8_lossy(file), 100).unwrap_err();
        let said: Vec<(u64, String)> = faults.iter().map(|it| (it.line, it.error.to_string())).collect();
        let sentence = "the file is not UTF-8: save it as CSV UTF-8";
        assert_eq!(said, [(2, sentence.to_owned()), (4, sentence.to_owned())]);
        assert_eq!(read(&"\u{fffd}\n".repeat(1000), 100).unwrap_err().len(), MOST_UNREAD);
        assert_eq!(read("m\u{fc}ller@x.example", 100).unwrap()[0].account, "m\u{fc}ller@x.example");
    }

    #[test]
    fn a_head_that_names_other_columns_is_refused_because_the_place_of_a_column_decides() {
        for head in ["account,provider,alias", "Account;Owner;Provider", "account,,,owner", "account,user"] {
            let faults = read(&format!("{head}\na@x.example,gmail,b@x.example\n"), 100).unwrap_err();
            assert_eq!(faults.len(), 1, "{head}");
            let said = faults[0].error.to_string();
            assert_eq!(said, "the columns are account,provider,owner,alias,… in this order", "{head}");
        }
        for head in
            ["account", "ACCOUNT,,", "account,provider,owner,alias,alias", "account,provider,owner,alias,…"]
        {
            assert_eq!(read(&format!("{head}\na@x.example\n"), 100).unwrap().len(), 1, "{head}");
        }
    }

    #[test]
    fn a_table_with_tabs_is_refused_in_one_sentence() {
        let faults = read("account\tprovider\na@x.example\tgmail\nb@x.example\tgmail\n", 100).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].error.to_string().contains("separated by tabs"), "{}", faults[0].error);
    }

    #[test]
    fn each_record_has_its_line_whatever_stands_between_them() {
        let text = "# a\n\na@x.example\r\n\"b@x.example\",gmail,\"c\nd\"\n,,\n#\n# x\n\ne@x.example";
        let lines: Vec<(u64, String)> = rows(text).into_iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(lines, [(3, "a@x.example".into()), (4, "b@x.example".into()), (10, "e@x.example".into())]);
    }

    #[test]
    fn reading_ends_behind_the_most_lines_that_are_taken() {
        let text = format!("account\n{}", "a\n".repeat(512 * 1024));
        let faults = read(&text, 5000).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(matches!(faults[0].error, Error::Table(TableError::TooLong { most: 5000 })));
        assert_eq!(faults[0].line, 5002);
        assert_eq!(read(&text[..10_008], 5000).unwrap().len(), 5000);
        // Each line end is counted once: those before a record are counted by the reader, and not again.
        let mut position = csv::Position::new();
        position.set_byte(text.len() as u64 - 1).set_line(7);
        assert_eq!(line_at(&text, &position), 8);
    }
}
