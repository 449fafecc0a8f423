//! A session's lines in the form that a trace may show: commands and replies, without their private contents.
//!
//! A trace shows words of a fixed list (commands, kinds of replies), an IMAP tag beside such a word, and counts of
//! bytes. Up to the login it also shows a server's lines in full, without challenges and links. Passwords and mail
//! cannot appear: arguments of commands, lines of a sign-in, and everything outside the list are only counted. A scribe
//! that joined a session later, and so does not know whether a line is a command, shows no tags.

mod lines;

use lines::Lines;

/// The side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The side that sends commands: the mail program, or the proxy at the provider.
    Client,
    /// The side that answers.
    Server,
}

/// The first words of a protocol's lines that may be shown. Upper case.
#[derive(Debug)]
pub struct Vocabulary {
    /// Whether commands have a tag, and lines may announce literals.
    pub tagged: bool,
    /// Commands.
    pub commands: &'static [&'static str],
    /// Commands whose next lines belong to a sign-in.
    pub exchanges: &'static [&'static str],
    /// Whether replies begin with three digits, which need no name.
    pub codes: bool,
    /// Whether a server's line that is no reply begins a text, up to a line with a dot: it may be mail.
    pub texts: bool,
    /// Kinds of replies.
    pub replies: &'static [&'static str],
    /// Words that ask for the next line of an exchange, or for the message.
    pub prompts: &'static [&'static str],
    /// The command that a message follows, up to a line with a dot.
    pub message: Option<&'static str>,
}

#[cfg(test)]
impl Vocabulary {
    /// The vocabulary of a protocol of which lines are only counted, not shown.
    pub const NONE: Self = Self {
        tagged: false,
        commands: &[],
        exchanges: &[],
        codes: false,
        texts: false,
        replies: &[],
        prompts: &[],
        message: None,
    };
}

/// Bytes of a server's line that are shown before the login.
const SHOWN: usize = 400;
/// Bytes of a word of such a line: a longer one may be a token that the provider repeats.
const WORD: usize = 64;

/// Reads one conversation.
#[derive(Debug)]
pub struct Scribe {
    words: &'static Vocabulary,
    /// After the login: a server's texts are not shown.
    is_relayed: bool,
    in_step: bool,
    /// The tag of the client's last command.
    tag: Vec<u8>,
    client: Lines,
    server: Lines,
    /// The client's lines belong to a sign-in.
    exchange: bool,
    /// A message follows the last command, once the server asks for it.
    message_is_next: bool,
    in_message: bool,
    /// The server's lines belong to a text.
    in_text: bool,
}

impl Scribe {
    /// The scribe of a conversation from its beginning.
    pub fn new(words: &'static Vocabulary) -> Self {
        Self {
            words,
            is_relayed: false,
            in_step: true,
            tag: Vec::new(),
            client: Lines::default(),
            server: Lines::default(),
            exchange: false,
            message_is_next: false,
            in_message: false,
            in_text: false,
        }
    }

    /// The scribe of a session after its login: from its beginning if `in_step`, else from any point.
    pub fn of_session(words: &'static Vocabulary, in_step: bool) -> Self {
        Self { is_relayed: true, in_step, ..Self::new(words) }
    }

    /// Reads `bytes`, and passes each line to `tell` in the form that may be shown.
    pub fn hear(&mut self, speaker: Speaker, mut bytes: &[u8], tell: &mut dyn FnMut(String)) {
        while !bytes.is_empty() {
            let lines = match speaker {
                Speaker::Client => &mut self.client,
                Speaker::Server => &mut self.server,
            };
            lines.waits = false;
            if lines.skip > 0 {
                let taken = usize::try_from(lines.skip).unwrap_or(usize::MAX).min(bytes.len());
                lines.skip -= taken as u64;
                bytes = bytes.get(taken..).unwrap_or_default();
                if lines.skip == 0 {
                    tell(format!("<{} bytes>", lines.literal));
                }
                continue;
            }
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
            let (piece, rest) = bytes.split_at(end);
            bytes = rest;
            lines.push(piece);
            if piece.ends_with(b"\n") {
                let (line, length) = lines.take();
                let whole = line.len() as u64 == length;
                self.in_step &= whole;
                match speaker {
                    Speaker::Client => self.command(&line, length, tell),
                    Speaker::Server => self.reply(&line, length, tell),
                }
            }
        }
    }

    fn command(&mut self, line: &[u8], length: u64, tell: &mut dyn FnMut(String)) {
        if self.in_message {
            self.in_message = self.client.goes_on_to_the_dot(line, length, tell);
            return;
        }
        let goes_on = std::mem::take(&mut self.client.goes_on);
        if self.words.tagged && !goes_on {
            self.tag = word(trim(line)).0.to_vec();
        }
        self.find_literal(line, Speaker::Client);
        if self.exchange || goes_on {
            return tell(format!("<{length} bytes>"));
        }
        let (tag, words) = self.tag(line);
        let (verb, argument) = word(words);
        let lost = length - line.len() as u64;
        let Some(verb) = known(self.words.commands, verb) else { return tell(format!("<{length} bytes>")) };
        self.exchange = self.words.exchanges.contains(&verb);
        self.message_is_next = self.words.message == Some(verb);
        // The name of a mechanism is not one of its arguments.
        let mechanism = known(&["PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"], word(argument).0);
        if verb == "BDAT" {
            let size = std::str::from_utf8(word(argument).0).ok().and_then(|size| size.parse().ok());
            (self.client.skip, self.client.literal) = size.map_or((0, 0), |size| (size, size));
        }
        let mechanism = mechanism.filter(|_| self.exchange).map(|name| format!(" {name}"));
        tell(format!("{tag}{verb}{}{}", mechanism.unwrap_or_default(), count(argument, lost)));
    }

    fn reply(&mut self, line: &[u8], length: u64, tell: &mut dyn FnMut(String)) {
        if self.in_text {
            self.in_text = self.server.goes_on_to_the_dot(line, length, tell);
            return;
        }
        if std::mem::take(&mut self.server.goes_on) {
            self.find_literal(line, Speaker::Server);
            return tell(format!("<{length} bytes>"));
        }
        let text = trim(line);
        let (first, argument) = word(text);
        let code = first.get(..3).filter(|code| self.words.codes && code.iter().all(u8::is_ascii_digit));
        let prompt = known(self.words.prompts, code.unwrap_or(first));
        if let Some(prompt) = prompt {
            self.in_message = std::mem::take(&mut self.message_is_next);
            return tell(format!("{prompt}{}", count(argument, 0)));
        }
        let (tag, words) = self.tag(line);
        let (kind, argument) = word(words);
        let is_untagged = self.words.tagged && first == b"*";
        let numbered =
            is_untagged && !kind.is_empty() && kind.len() < 11 && kind.iter().all(u8::is_ascii_digit);
        let (number, kind, argument) = match numbered {
            true => (format!("{} ", String::from_utf8_lossy(kind)), word(argument).0, word(argument).1),
            false => (String::new(), kind, argument),
        };
        let shown = match code {
            Some(code) => Some(String::from_utf8_lossy(code).into_owned()),
            None => known(self.words.replies, kind).map(str::to_owned),
        };
        let Some(shown) = shown else {
            if self.words.texts {
                self.in_text = self.server.goes_on_to_the_dot(line, length, tell);
                return;
            }
            self.find_literal(line, Speaker::Server);
            return tell(format!("<{length} bytes>"));
        };
        let is_status = ["OK", "NO", "BAD", "BYE", "PREAUTH"].contains(&shown.as_str());
        match is_status {
            true => self.refuse_literal(first),
            false => self.find_literal(line, Speaker::Server),
        }
        self.exchange &= is_untagged;
        match self.is_relayed {
            true => tell(format!("{tag}{number}{shown}{}", count(argument, length - line.len() as u64))),
            false => tell(in_full(text)),
        }
    }

    /// The tag in the form that may be shown, and the text behind it.
    fn tag<'a>(&self, line: &'a [u8]) -> (String, &'a [u8]) {
        let text = trim(line);
        if !self.words.tagged {
            return (String::new(), text);
        }
        let (tag, rest) = word(text);
        // IDLE ends with a line without a tag.
        if rest.is_empty() && known(&["DONE"], tag).is_some() {
            return (String::new(), text);
        }
        let is_plain =
            tag.len() <= 20 && tag.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
        match tag {
            b"*" => ("* ".to_owned(), rest),
            _ if self.in_step && is_plain => (format!("{} ", String::from_utf8_lossy(tag)), rest),
            _ => ("? ".to_owned(), rest),
        }
    }

    /// Skips the literal that `line` announces at its end.
    fn find_literal(&mut self, line: &[u8], speaker: Speaker) {
        if !self.words.tagged {
            return;
        }
        let Some(inner) = trim(line).strip_suffix(b"}") else { return };
        let announced = inner;
        let inner = inner.strip_suffix(b"+").unwrap_or(inner);
        let Some(open) = memchr::memrchr(b'{', inner) else { return };
        let digits = std::str::from_utf8(inner.get(open + 1..).unwrap_or_default()).unwrap_or_default();
        let Ok(size) = digits.parse::<u64>() else { return };
        let lines = match speaker {
            Speaker::Client => &mut self.client,
            Speaker::Server => &mut self.server,
        };
        (lines.skip, lines.literal, lines.goes_on) = (size, size, true);
        lines.waits = speaker == Speaker::Client && announced == inner;
    }

    /// The command with this tag has ended: if its literal has not begun, the server has refused it, and the next line
    /// is a command. A client that sends the literal all the same is not followed.
    fn refuse_literal(&mut self, tag: &[u8]) {
        if self.client.waits && self.tag == tag {
            (self.client.skip, self.client.goes_on, self.client.waits) = (0, false, false);
            self.in_step = false;
        }
    }
}

/// The size of an argument, with the `lost` bytes that were not kept.
fn count(argument: &[u8], lost: u64) -> String {
    match argument.len() as u64 + lost {
        0 => String::new(),
        length => format!(" <{length} bytes>"),
    }
}

/// A server's line before a login, without links and long words: the link of a sign-in, or a token, would open the
/// account.
fn in_full(text: &[u8]) -> String {
    let text = super::plain_text(&String::from_utf8_lossy(text));
    let shown = |word: &str| match word {
        _ if word.contains("://") => "<link>".to_owned(),
        _ if word.len() > WORD => format!("<{} bytes>", word.len()),
        _ => word.to_owned(),
    };
    let words: Vec<String> = text.split(' ').map(shown).collect();
    words.join(" ").chars().take(SHOWN).collect()
}

fn known(names: &[&'static str], word: &[u8]) -> Option<&'static str> {
    names.iter().copied().find(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

fn trim(line: &[u8]) -> &[u8] {
    super::line::trim_end(line)
}

/// The first word, and the text behind the next blank or colon.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr2(b' ', b':', text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        None => (text, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::lines::LINE;
    use super::*;
    use crate::protocol::Protocol as _;
    use crate::protocol::imap::Imap;
    use crate::protocol::pop3::Pop3;
    use crate::protocol::submission::Submission;

    /// The lines of a trace of a conversation: `C` for the client's, `S` for the server's.
    fn shown(mut scribe: Scribe, talk: &[&str], size: usize) -> Vec<String> {
        let mut shown = Vec::new();
        for said in talk {
            let (speaker, bytes) = said.split_at(1);
            let speaker = if speaker == "C" { Speaker::Client } else { Speaker::Server };
            for piece in bytes.as_bytes().chunks(size) {
                scribe.hear(speaker, piece, &mut |line| shown.push(line));
            }
        }
        shown
    }

    #[test]
    fn security_row_13_passwords_and_mail_are_counted_wherever_the_network_cuts_them() {
        let talk = [
            "S* OK [CAPABILITY IMAP4rev1] ready https://x.example/again/abc\r\n",
            "Ca LOGIN {5+}\r\nalice {3}\r\n",
            "S+ Go ahead\r\n",
            "Cpw\n\r\n",
            "Sa NO [EXPIRED] Sign in again: https://x.example/again/abc\r\n",
            "Cb AUTHENTICATE PLAIN c2VjcmV0\r\nNOOP\r\n",
            "Sb OK in\r\n",
            "Cc NOOP\r\n",
        ];
        let expected = [
            "* OK [CAPABILITY IMAP4rev1] ready <link>",
            "a LOGIN <4 bytes>",
            "<5 bytes>",
            "<6 bytes>",
            "+ <8 bytes>",
            "<3 bytes>",
            "<2 bytes>",
            "a NO [EXPIRED] Sign in again: <link>",
            "b AUTHENTICATE PLAIN <14 bytes>",
            "<6 bytes>",
            "b OK in",
            "c NOOP",
        ];
        for size in 1..40 {
            assert_eq!(shown(Scribe::new(Imap::WORDS), &talk, size), expected, "{size}");
        }
        let talk = [
            "CMAIL FROM:<a@b>\r\nDATA\r\n",
            "S250 2.1.0 a@b\r\n354 go\r\n",
            "CQUIT secret\r\n..\r\n.\r\n",
            "S250-x\r\n250 ok\r\n",
            "CBDAT 6 LAST\r\nQUIT\r\nQUIT\r\n",
        ];
        let expected = [
            "MAIL <10 bytes>",
            "DATA",
            "250 <9 bytes>",
            "354 <2 bytes>",
            "<20 bytes>",
            "250",
            "250 <2 bytes>",
            "BDAT <6 bytes>",
            "<6 bytes>",
            "QUIT",
        ];
        for size in 1..40 {
            let scribe = Scribe::of_session(Submission::WORDS, true);
            assert_eq!(shown(scribe, &talk, size), expected, "{size}");
        }
    }

    #[test]
    fn security_row_13_of_mail_in_pop3_only_the_bytes_are_shown_whatever_its_lines_begin_with() {
        let talk = [
            "CRETR 1\r\n",
            "S+OK 320 octets\r\nSubject: x\r\n\r\n",
            "S250 thousand\r\n354\r\n+OK secret\r\n-ERR secret\r\n..\r\n.\r\n",
            "CSTAT\r\n",
            "S+OK 2 320\r\n",
        ];
        let expected = ["RETR <1 bytes>", "+OK <10 bytes>", "<65 bytes>", "STAT", "+OK <5 bytes>"];
        for size in 1..40 {
            assert_eq!(shown(Scribe::of_session(Pop3::WORDS, true), &talk, size), expected, "{size}");
        }
        // The scribe joined within a message.
        let within = ["S123456 is the code\r\n.\r\n+OK\r\n"];
        assert_eq!(shown(Scribe::of_session(Pop3::WORDS, false), &within, 9), ["<23 bytes>", "+OK"]);
        assert_eq!(shown(Scribe::new(&Vocabulary::NONE), &["S123 secret\r\n"], 9), ["<12 bytes>"]);
    }

    #[test]
    fn security_row_13_a_token_that_a_provider_repeats_is_counted() {
        let echo = format!("S500 unknown: AUTH XOAUTH2 {}\r\n", "dXNlcj".repeat(20));
        assert_eq!(
            shown(Scribe::new(Submission::WORDS), &[&echo], 30),
            ["500 unknown: AUTH XOAUTH2 <120 bytes>"]
        );
    }

    #[test]
    fn security_row_13_behind_a_refused_literal_no_word_of_mail_is_taken_for_a_tag() {
        let talk = [
            "Ca NOOP\r\nb APPEND Sent {50}\r\n",
            "Sa OK still waiting\r\n",
            "Sb NO too large\r\n",
            "Cc APPEND Sent {26}\r\n",
            "S+ go on\r\n",
            "CDear\r\nsecret FETCH alice\r\n\r\n",
            "Sc OK done\r\n",
        ];
        let expected = [
            "a NOOP",
            "b APPEND <9 bytes>",
            "a OK <13 bytes>",
            "b NO <9 bytes>",
            "? APPEND <9 bytes>",
            "+ <5 bytes>",
            "<26 bytes>",
            "<2 bytes>",
            "? OK <4 bytes>",
        ];
        for size in 1..40 {
            assert_eq!(shown(Scribe::of_session(Imap::WORDS, true), &talk, size), expected, "{size}");
        }
    }

    #[test]
    fn security_row_13_a_scribe_without_its_place_shows_words_of_its_list_alone() {
        let talk =
            ["Cdear FETCH alice\r\nmy secret\r\n", "S* 3 FETCH (X {9}\r\nx OK done)\r\nof OK alice\r\n"];
        let expected = [
            "? FETCH <5 bytes>",
            "<11 bytes>",
            "* 3 FETCH <6 bytes>",
            "<9 bytes>",
            "<3 bytes>",
            "? OK <5 bytes>",
        ];
        assert_eq!(shown(Scribe::of_session(Imap::WORDS, false), &talk, 7), expected);
        let long = format!("Ca NOOP {}\r\nb NOOP\r\n", "x".repeat(LINE));
        assert_eq!(
            shown(Scribe::of_session(Imap::WORDS, true), &[&long], 100),
            [format!("? NOOP <{} bytes>", LINE + 2), "? NOOP".to_owned()],
        );
        assert_eq!(shown(Scribe::new(&Vocabulary::NONE), &["CUSER alice\r\n"], 9), ["<12 bytes>"]);
    }
}
