//! Reads one framed command of a mail program that has not logged in.
//!
//! Strict where that protects (arguments, blanks between them, escapes). Lenient where old programs are careless
//! and the meaning is plain: blanks at the end, bare LF, 8-bit text in quoted strings and atoms, `CORP\alice`
//! without quotes. Commands that imap-codec accepts have the same meaning here; a property test and a fuzz target
//! hold that. imap-codec itself is not used, because it leaves copies of a password that cannot be wiped (base64
//! and escapes decoded into plain `Vec`s).

use crate::protocol::called::called;
use crate::protocol::line::trim_end;
use zeroize::Zeroizing;

/// A command that is allowed before login, with its arguments.
pub(super) enum Command<'a> {
    Capability,
    Noop,
    Logout,
    StartTls,
    /// The name that the client gives itself, if it gives one.
    Id {
        called: Option<String>,
    },
    Login {
        name: Text<'a>,
        password: Text<'a>,
    },
    Authenticate {
        mechanism: &'a [u8],
        initial_response: Option<&'a [u8]>,
    },
}

/// An argument, borrowed from the command if its bytes stand there without escapes.
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Unescaped(Zeroizing<Vec<u8>>),
}

impl Text<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Unescaped(bytes) => bytes,
        }
    }
}

/// The kind of a command, as far as its first line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Capability,
    Noop,
    Logout,
    StartTls,
    Id,
    Login,
    Authenticate,
    /// Any other command, which needs a login or does not exist.
    Other,
}

impl Verb {
    /// Whether an argument of the command may be a literal.
    pub(super) fn takes_literals(self) -> bool {
        matches!(self, Self::Login | Self::Id)
    }
}

/// Longest tag. RFC 3501 sets no limit, clients use under 20 bytes, and the tag goes upstream in front of a token,
/// where Exchange takes 10,240 bytes in all.
const TAG_LIMIT: usize = 1024;

/// RFC 2971 §3.3.
const ID_PAIRS: usize = 30;
const ID_FIELD_LIMIT: usize = 30;
const ID_VALUE_LIMIT: usize = 1024;

/// The tag (RFC 3501 §9: any ASTRING-CHAR but `+`) and the verb; `None` if the tag is not valid.
pub(super) fn head(input: &[u8]) -> Option<(&[u8], Verb)> {
    let mut reader = Reader { rest: input };
    let tag = reader.tag()?;
    Some((tag, reader.verb()))
}

/// Reads a whole command. `None` is a syntax error, or a command for later.
pub(super) fn parse(input: &[u8]) -> Option<Command<'_>> {
    let mut reader = Reader { rest: input };
    reader.tag()?;
    let command = match reader.verb() {
        Verb::Capability => Command::Capability,
        Verb::Noop => Command::Noop,
        Verb::Logout => Command::Logout,
        Verb::StartTls => Command::StartTls,
        Verb::Id => {
            reader.space()?;
            Command::Id { called: reader.id_list()? }
        }
        Verb::Login => {
            reader.space()?;
            let name = reader.astring()?;
            reader.space()?;
            Command::Login { name, password: reader.astring()? }
        }
        Verb::Authenticate => {
            reader.space()?;
            let mechanism = reader.atom()?;
            let initial_response = reader.initial_response();
            Command::Authenticate { mechanism, initial_response }
        }
        Verb::Other => return None,
    };
    reader.end()?;
    Some(command)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn tag(&mut self) -> Option<&'a [u8]> {
        let tag = self.take_while(is_tag_byte);
        (!tag.is_empty() && tag.len() <= TAG_LIMIT && self.at_blank_or_end()).then_some(tag)
    }

    fn verb(&mut self) -> Verb {
        const VERBS: [(&[u8], Verb); 7] = [
            (b"CAPABILITY", Verb::Capability),
            (b"NOOP", Verb::Noop),
            (b"LOGOUT", Verb::Logout),
            (b"STARTTLS", Verb::StartTls),
            (b"ID", Verb::Id),
            (b"LOGIN", Verb::Login),
            (b"AUTHENTICATE", Verb::Authenticate),
        ];
        if self.space().is_none() {
            return Verb::Other;
        }
        let word = self.word();
        VERBS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map_or(Verb::Other, |&(_, verb)| verb)
    }

    /// An atom, a quoted string or a literal (RFC 3501 §9 `astring`).
    fn astring(&mut self) -> Option<Text<'a>> {
        match self.rest.first()? {
            b'"' => self.quoted(),
            b'{' => self.literal().map(Text::Plain),
            _ => self.atom().map(Text::Plain),
        }
    }

    fn atom(&mut self) -> Option<&'a [u8]> {
        Some(self.word()).filter(|word| !word.is_empty())
    }

    fn string(&mut self) -> Option<Text<'a>> {
        matches!(self.rest.first()?, b'"' | b'{').then(|| self.astring())?
    }

    /// Only `\"` and `\\` are escapes; the string holds no line end and no NUL.
    fn quoted(&mut self) -> Option<Text<'a>> {
        self.byte(b'"')?;
        let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\r' | b'\n' | 0));
        if self.byte(b'"').is_some() {
            return Some(Text::Plain(plain));
        }
        // Enough capacity for every case, because a growing vector would leave a copy behind.
        let mut text = Zeroizing::new(Vec::with_capacity(plain.len() + self.rest.len()));
        text.extend_from_slice(plain);
        loop {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(Text::Unescaped(text)),
                b'\r' | b'\n' | 0 => return None,
                b'\\' => {
                    let (&escaped @ (b'"' | b'\\'), rest) = self.rest.split_first()? else { return None };
                    text.push(escaped);
                    self.rest = rest;
                }
                _ => text.push(byte),
            }
        }
    }

    /// A literal, which the framer found complete; a NUL in it is not allowed (RFC 3501 §9 `CHAR8`).
    fn literal(&mut self) -> Option<&'a [u8]> {
        self.byte(b'{')?;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        let size = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let _ = self.byte(b'+');
        self.byte(b'}')?;
        let _ = self.byte(b'\r');
        self.byte(b'\n')?;
        let (literal, rest) = self.rest.split_at_checked(size)?;
        self.rest = rest;
        (!literal.contains(&0)).then_some(literal)
    }

    /// `NIL`, or pairs of a field and a value (RFC 2971 §3.3). Returns the name and the version.
    fn id_list(&mut self) -> Option<Option<String>> {
        if self.nil().is_some() {
            return Some(None);
        }
        let (mut name, mut version) = (Text::Plain(b""), Text::Plain(b""));
        self.byte(b'(')?;
        let mut fields: Vec<Text<'_>> = Vec::new();
        while self.byte(b')').is_none() {
            if !fields.is_empty() {
                self.space()?;
                // Clients often write a blank before the bracket.
                if self.byte(b')').is_some() {
                    break;
                }
            }
            let field = self.string()?;
            self.space()?;
            let value = if self.nil().is_some() { Text::Plain(b"") } else { self.string()? };
            if value.bytes().len() > ID_VALUE_LIMIT {
                return None;
            }
            match field.bytes() {
                bytes if bytes.eq_ignore_ascii_case(b"name") => name = value,
                bytes if bytes.eq_ignore_ascii_case(b"version") => version = value,
                _ => {}
            }
            let repeated = fields.iter().any(|known| known.bytes().eq_ignore_ascii_case(field.bytes()));
            if repeated || field.bytes().len() > ID_FIELD_LIMIT || fields.len() == ID_PAIRS {
                return None;
            }
            fields.push(field);
        }
        Some(called(&[name.bytes(), version.bytes()]))
    }

    fn nil(&mut self) -> Option<()> {
        let (word, rest) = self.rest.split_at_checked(3)?;
        word.eq_ignore_ascii_case(b"NIL").then(|| self.rest = rest)
    }

    /// The bytes up to the next blank or line end.
    fn word(&mut self) -> &'a [u8] {
        self.take_while(|byte| byte > b' ' && byte != 0x7f)
    }

    /// A blank and a word, or nothing but blanks (RFC 4959 §3).
    fn initial_response(&mut self) -> Option<&'a [u8]> {
        let (b' ', rest) = self.rest.split_first()? else { return None };
        let mut ahead = Self { rest };
        let word = ahead.word();
        (!word.is_empty()).then(|| {
            self.rest = ahead.rest;
            word
        })
    }

    fn space(&mut self) -> Option<()> {
        self.byte(b' ')
    }

    /// The end of the line, blanks before it allowed.
    fn end(&mut self) -> Option<()> {
        trim_end(self.rest).is_empty().then_some(())
    }

    fn at_blank_or_end(&self) -> bool {
        self.rest.first().is_none_or(|&byte| matches!(byte, b' ' | b'\r' | b'\n'))
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (&byte, rest) = self.rest.split_first()?;
        (byte == wanted).then(|| self.rest = rest)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&byte| !wanted(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }
}

fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"(){%*\"\\+".contains(&byte)
}
