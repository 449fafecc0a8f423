//! Parses commands: a tag, a name, and arguments as a tree of atoms, strings and lists.
//!
//! The parser is lenient, because the commands themselves refuse wrong arguments. A literal is a separate
//! piece between two lines and is never parsed.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::vec;

use crate::stats::Sunk;

/// A command line with its literals, in order.
pub(super) enum Piece {
    Line(Vec<u8>),
    Literal(Vec<u8>),
    Sunk(Sunk),
}

/// One argument.
#[derive(Debug)]
pub(super) enum Arg {
    /// An atom, including its brackets: `BODY.PEEK[HEADER.FIELDS (TO)]<0.100>`.
    Atom(Vec<u8>),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    List(Vec<Arg>),
    /// A literal too big to keep.
    Sunk(Sunk),
}

pub(super) type Args = VecDeque<Arg>;

pub(super) struct Command {
    pub(super) tag: String,
    /// In upper case.
    pub(super) name: String,
    pub(super) args: Args,
}

enum Token {
    Open,
    Close,
    Arg(Arg),
}

impl Arg {
    /// The octets of an atom or string.
    pub(super) fn octets(&self) -> Option<&[u8]> {
        match self {
            Self::Atom(octets) | Self::Text(octets) => Some(octets),
            Self::List(_) | Self::Sunk(_) => None,
        }
    }

    /// The text of an atom or string; empty for anything else.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.octets().unwrap_or_default()).into_owned()
    }

    pub(super) fn upper(&self) -> String {
        self.text().to_ascii_uppercase()
    }

    /// The members of a list, or the argument itself.
    pub(super) fn into_members(self) -> Vec<Arg> {
        match self {
            Self::List(members) => members,
            other => vec![other],
        }
    }
}

/// `None` without a tag and a name, or if the parentheses do not match.
pub(super) fn command(pieces: Vec<Piece>) -> Option<Command> {
    let mut tokens = lex(pieces).into_iter().peekable();
    let mut word = || match tokens.next() {
        Some(Token::Arg(Arg::Atom(octets))) => String::from_utf8(octets).ok(),
        _ => None,
    };
    let tag = word()?;
    let name = word()?.to_ascii_uppercase();
    let mut args = Args::new();
    while let Some(token) = tokens.next() {
        args.push_back(arg(token, &mut tokens)?);
    }
    Some(Command { tag, name, args })
}

fn arg(token: Token, rest: &mut Peekable<vec::IntoIter<Token>>) -> Option<Arg> {
    match token {
        Token::Arg(arg) => Some(arg),
        Token::Close => None,
        Token::Open => {
            let mut members = Vec::new();
            loop {
                match rest.next()? {
                    Token::Close => return Some(Arg::List(members)),
                    token => members.push(arg(token, rest)?),
                }
            }
        }
    }
}

fn lex(pieces: Vec<Piece>) -> Vec<Token> {
    let mut tokens = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(octets) => tokens.push(Token::Arg(Arg::Text(octets))),
            Piece::Sunk(sunk) => tokens.push(Token::Arg(Arg::Sunk(sunk))),
            Piece::Line(line) => lex_line(&line[..line.len() - literal_mark(&line)], &mut tokens),
        }
    }
    tokens
}

fn lex_line(mut line: &[u8], tokens: &mut Vec<Token>) {
    while let Some(&first) = line.first() {
        match first {
            b' ' => line = &line[1..],
            b'(' | b')' => {
                tokens.push(if first == b'(' { Token::Open } else { Token::Close });
                line = &line[1..];
            }
            b'"' => {
                let (text, used) = quoted(&line[1..]);
                tokens.push(Token::Arg(Arg::Text(text)));
                line = &line[1 + used..];
            }
            _ => {
                let used = atom(line);
                tokens.push(Token::Arg(Arg::Atom(line[..used].to_vec())));
                line = &line[used..];
            }
        }
    }
}

/// The text up to the closing quote, and its length in the line.
fn quoted(line: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b'"' => return (text, at + 1),
            b'\\' if at + 1 < line.len() => {
                text.push(line[at + 1]);
                at += 2;
            }
            octet => {
                text.push(octet);
                at += 1;
            }
        }
    }
    (text, at)
}

/// The length of an atom: up to a space or parenthesis outside of brackets.
fn atom(line: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (at, octet) in line.iter().enumerate() {
        match octet {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            b' ' | b'(' | b')' if depth == 0 => return at,
            _ => {}
        }
    }
    line.len()
}

/// The literal that a line announces: its size, and whether the client waits for a `+`.
pub(super) fn literal(line: &[u8]) -> Option<(u64, bool)> {
    let mark = &line[line.len() - literal_mark(line)..];
    let digits = mark.strip_suffix(b"}")?.strip_prefix(b"{")?;
    let (digits, waits) = match digits.strip_suffix(b"+").or(digits.strip_suffix(b"-")) {
        Some(digits) => (digits, false),
        None => (digits, true),
    };
    let octets = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((octets, waits))
}

/// The length of `{n}` or `{n+}` at the end of a line; 0 without one.
fn literal_mark(line: &[u8]) -> usize {
    if line.last() != Some(&b'}') {
        return 0;
    }
    let Some(open) = line.iter().rposition(|&octet| octet == b'{') else { return 0 };
    let inside = &line[open + 1..line.len() - 1];
    let digits = inside.strip_suffix(b"+").or(inside.strip_suffix(b"-")).unwrap_or(inside);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) { 0 } else { line.len() - open }
}

/// A string for an answer: quoted if possible, else a literal.
pub(super) fn string(text: &[u8]) -> Vec<u8> {
    if text.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0 | 0x80..)) {
        return [format!("{{{}}}\r\n", text.len()).as_bytes(), text].concat();
    }
    let mut quoted = vec![b'"'];
    for &octet in text {
        if matches!(octet, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(octet);
    }
    quoted.push(b'"');
    quoted
}

/// A set of numbers such as `1:5,9,12:*`, with `*` as `largest`. The ranges are in order and not merged.
pub(super) fn set(text: &str, largest: u32) -> Option<Vec<(u32, u32)>> {
    let number =
        |text: &str| if text == "*" { Some(largest) } else { text.parse::<u32>().ok().filter(|&n| n > 0) };
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        let (first, last) = (number(first)?, number(last)?);
        Some((first.min(last), first.max(last)))
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_with_sections_lists_and_partials() {
        let line =
            b"a1 UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (To From)]<0.9>) (CHANGEDSINCE 3)".to_vec();
        let command = command(vec![Piece::Line(line)]).unwrap();
        let shown = format!("{:?}", command.args.iter().map(Arg::text).collect::<Vec<_>>());
        assert_eq!(shown, r#"["FETCH", "1:*", "", ""]"#);
        let Arg::List(items) = &command.args[2] else { panic!("a list") };
        assert_eq!(items[1].text(), "BODY.PEEK[HEADER.FIELDS (To From)]<0.9>");
    }

    #[test]
    fn strings_may_be_quoted_or_literals() {
        let pieces = vec![
            Piece::Line(br#"a1 RENAME "a \"b\" \\c" {3+}"#.to_vec()),
            Piece::Literal(b"x y".to_vec()),
            Piece::Line(b"".to_vec()),
        ];
        let command = command(pieces).unwrap();
        assert_eq!(command.args[0].text(), r#"a "b" \c"#);
        assert_eq!(command.args[1].text(), "x y");
    }

    #[test]
    fn literals_are_announced_at_the_end_of_a_line_only() {
        assert_eq!(literal(b"a APPEND x {12}"), Some((12, true)));
        assert_eq!(literal(b"a APPEND x {12+}"), Some((12, false)));
        assert_eq!(literal(b"a X {12} y"), None);
        assert_eq!(literal(b"a X {a}"), None);
    }

    #[test]
    fn sets() {
        assert_eq!(set("1:3,7,9:*", 12), Some(vec![(1, 3), (7, 7), (9, 12)]));
        assert_eq!(set("*:4", 2), Some(vec![(2, 4)]));
        assert_eq!(set("0", 2), None);
    }
}
