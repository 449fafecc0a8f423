//! ENVELOPE and BODYSTRUCTURE, and the MIME parts that they describe (RFC 3501 §7.4.2).

use super::fetch::nstring;
use super::mailbox::Body;
use super::message;
use super::parser;

/// The deepest nesting of parts.
const DEPTH: usize = 20;

/// A message or a part of one.
pub(super) struct Entity<'a> {
    /// Header and body.
    pub(super) octets: &'a [u8],
    pub(super) header: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Entity<'a> {
    fn new(octets: &'a [u8]) -> Self {
        let (header, body) = message::split(octets);
        Self { octets, header, body }
    }

    fn content_type(&self) -> ContentType {
        let value = message::value(self.header, "Content-Type");
        let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
        ContentType::parse(value.as_deref().unwrap_or("text/plain; charset=us-ascii"))
    }

    /// The parts of a multipart; none for any other type.
    fn parts(&self) -> Vec<Entity<'a>> {
        let kind = self.content_type();
        match kind.parameter("boundary") {
            Some(boundary) if kind.main == "multipart" => {
                between(self.body, boundary).into_iter().map(Entity::new).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The texts between the boundary lines (RFC 2046 §5.1.1); the line end before a boundary belongs to the
/// boundary.
fn between<'a>(body: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        let text = line.trim_ascii_end();
        if let Some(rest) = text.strip_prefix(delimiter.as_bytes())
            && matches!(rest, b"" | b"--")
        {
            if let Some(start) = start {
                let part: &[u8] = &body[start..at];
                let part = part.strip_suffix(b"\n").unwrap_or(part);
                parts.push(part.strip_suffix(b"\r").unwrap_or(part));
            }
            start = Some(at + line.len());
            if rest == b"--" {
                return parts;
            }
        }
        at += line.len();
    }
    if let Some(start) = start {
        parts.push(&body[start..]);
    }
    parts
}

/// The part with a number such as 1.2; without a number, the message itself.
pub(super) fn part<'a>(message: &'a [u8], path: &[usize]) -> Option<Entity<'a>> {
    let mut entity = Entity::new(message);
    for (depth, number) in path.iter().enumerate() {
        let mut parts = entity.parts();
        // Part 1 of an entity without parts is the entity itself.
        if parts.is_empty() {
            return (*number == 1 && depth + 1 == path.len()).then_some(entity);
        }
        if *number > parts.len() {
            return None;
        }
        entity = parts.swap_remove(number - 1);
    }
    Some(entity)
}

/// ENVELOPE's list.
pub(super) fn envelope(message: &[u8]) -> Vec<u8> {
    let (header, _) = message::split(message);
    let text = |name: &str| nstring(message::value(header, name).as_deref());
    let from = addresses(header, "From");
    let or_from =
        |name: &str| Some(addresses(header, name)).filter(|list| list != b"NIL").unwrap_or(from.clone());
    let items = [
        text("Date"),
        text("Subject"),
        from.clone(),
        or_from("Sender"),
        or_from("Reply-To"),
        addresses(header, "To"),
        addresses(header, "Cc"),
        addresses(header, "Bcc"),
        text("In-Reply-To"),
        text("Message-ID"),
    ];
    list(&items)
}

fn addresses(header: &[u8], name: &str) -> Vec<u8> {
    let Some(value) = message::value(header, name) else { return b"NIL".to_vec() };
    let value = String::from_utf8_lossy(&value).into_owned();
    let all: Vec<Vec<u8>> = split_outside_quotes(&value, ',').into_iter().filter_map(address).collect();
    if all.is_empty() { b"NIL".to_vec() } else { [b"(", all.concat().as_slice(), b")"].concat() }
}

/// `("Name" NIL "local" "domain")`.
fn address(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let (name, address) = match text.rsplit_once('<') {
        Some((name, rest)) => {
            (name.trim().trim_matches('"').replace('\\', ""), rest.trim_end_matches('>').trim())
        }
        None => (String::new(), text),
    };
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    if local.is_empty() {
        return None;
    }
    let name = nstring(Some(name.as_bytes()).filter(|name| !name.is_empty()));
    let domain = nstring(Some(domain.as_bytes()));
    Some(list(&[name, b"NIL".to_vec(), parser::string(local.as_bytes()), domain]))
}

fn split_outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter == separator && !quoted => {
                pieces.push(&text[start..at]);
                start = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// BODYSTRUCTURE's list, or BODY's without the extension data.
pub(super) fn body(body: &Body, extended: bool) -> Vec<u8> {
    match body {
        Body::Plain(octets) => describe(&Entity::new(octets), extended, 0),
        Body::Huge { octets, .. } => {
            let extension = if extended { " NIL NIL NIL NIL" } else { "" };
            format!("(\"APPLICATION\" \"OCTET-STREAM\" NIL NIL NIL \"BINARY\" {octets}{extension})")
                .into_bytes()
        }
    }
}

fn describe(entity: &Entity<'_>, extended: bool, depth: usize) -> Vec<u8> {
    let kind = entity.content_type();
    let parts = if depth < DEPTH { entity.parts() } else { Vec::new() };
    if !parts.is_empty() {
        let mut all =
            parts.iter().map(|part| describe(part, extended, depth + 1)).collect::<Vec<_>>().concat();
        all.push(b' ');
        all.extend(parser::string(kind.sub.to_ascii_uppercase().as_bytes()));
        if extended {
            all.push(b' ');
            all.extend(kind.parameters());
            all.extend_from_slice(b" NIL NIL NIL");
        }
        return [b"(", all.as_slice(), b")"].concat();
    }
    // A multipart without parts is shown as plain text.
    let (main, sub) = if kind.main == "multipart" { ("text", "plain") } else { (&*kind.main, &*kind.sub) };
    let field = |name: &str| message::value(entity.header, name);
    let encoding = field("Content-Transfer-Encoding").unwrap_or_else(|| b"7BIT".to_vec());
    let mut items = vec![
        parser::string(main.to_ascii_uppercase().as_bytes()),
        parser::string(sub.to_ascii_uppercase().as_bytes()),
        kind.parameters(),
        nstring(field("Content-ID").as_deref()),
        nstring(field("Content-Description").as_deref()),
        parser::string(&encoding.to_ascii_uppercase()),
        entity.body.len().to_string().into_bytes(),
    ];
    let lines = entity.body.iter().filter(|octet| **octet == b'\n').count().to_string().into_bytes();
    if main == "text" {
        items.push(lines);
    } else if (main, sub) == ("message", "rfc822") && depth < DEPTH {
        items.push(envelope(entity.body));
        items.push(describe(&Entity::new(entity.body), extended, depth + 1));
        items.push(lines);
    }
    if extended {
        items.push(b"NIL".to_vec());
        items.push(disposition(field("Content-Disposition")));
        items.extend([b"NIL".to_vec(), b"NIL".to_vec()]);
    }
    list(&items)
}

fn disposition(value: Option<Vec<u8>>) -> Vec<u8> {
    let Some(value) = value else { return b"NIL".to_vec() };
    let parsed = ContentType::parse(&String::from_utf8_lossy(&value));
    list(&[parser::string(parsed.main.to_ascii_uppercase().as_bytes()), parsed.parameters()])
}

/// `main/sub; name=value; …`; Content-Disposition has the same form.
struct ContentType {
    main: String,
    sub: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    fn parse(text: &str) -> Self {
        let mut pieces = split_outside_quotes(text, ';').into_iter();
        let kind = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
        let (main, sub) = kind.split_once('/').unwrap_or((&kind, ""));
        let parameter = |piece: &str| {
            let (name, value) = piece.split_once('=')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_owned()))
        };
        let parameters = pieces.filter_map(parameter).collect();
        Self { main: main.to_owned(), sub: sub.to_owned(), parameters }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn parameters(&self) -> Vec<u8> {
        if self.parameters.is_empty() {
            return b"NIL".to_vec();
        }
        let pair = |(name, value): &(String, String)| {
            [parser::string(name.to_ascii_uppercase().as_bytes()), parser::string(value.as_bytes())]
        };
        list(&self.parameters.iter().flat_map(pair).collect::<Vec<_>>())
    }
}

fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(".as_slice(), items.join(&b' ').as_slice(), b")"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope() {
        let message = b"From: \"Doe, Jane\" <jane@a.example>, bob@b.example\r\nSubject: hi\r\n\r\nx";
        let expected = "(NIL \"hi\" ((\"Doe, Jane\" NIL \"jane\" \"a.example\")(NIL NIL \"bob\" \"b.example\")) \
            ((\"Doe, Jane\" NIL \"jane\" \"a.example\")(NIL NIL \"bob\" \"b.example\")) \
            ((\"Doe, Jane\" NIL \"jane\" \"a.example\")(NIL NIL \"bob\" \"b.example\")) NIL NIL NIL NIL NIL)";
        assert_eq!(String::from_utf8(envelope(message)).unwrap(), expected);
    }

    #[test]
    fn a_message_in_two_parts() {
        let samples = message::samples("a@b.example");
        let message = &samples[2];
        let shown = String::from_utf8(body(&Body::plain(message), false)).unwrap();
        assert_eq!(
            shown,
            "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 21 0)\
             (\"APPLICATION\" \"OCTET-STREAM\" (\"NAME\" \"data.bin\") NIL NIL \"BASE64\" 16) \"MIXED\")"
        );
        assert_eq!(part(message, &[1]).unwrap().body, b"The file is attached.");
        assert_eq!(part(message, &[2]).unwrap().body, b"AAECAwQFBgcICQ==");
        assert!(part(message, &[3]).is_none());
    }
}
