//! Messages as text: seeded messages, header fields, raw address values, dates.

use time::{Date, Month, OffsetDateTime, Time, UtcOffset};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The messages of a new user: plain text, 8-bit text, and two parts with an attachment.
pub(super) fn samples(address: &str) -> Vec<Vec<u8>> {
    let head = |number: u32, subject: &str| {
        format!(
            "From: Sandbox Provider <postmaster@sandbox.example>\r\nTo: <{address}>\r\nSubject: {subject}\r\n\
             Date: Mon, 0{number} Jun 2026 10:00:00 +0000\r\nMessage-ID: <{number}.{address}>\r\nMIME-Version: 1.0\r\n"
        )
    };
    let plain = head(1, "Welcome")
        + "Content-Type: text/plain; charset=us-ascii\r\n\r\nWelcome to the sandbox provider.\r\n\
           This mailbox lives in memory and is gone when the provider stops.\r\n";
    let umlauts = head(2, "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=")
        + "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nViele Grüße.\r\n";
    let parts = head(3, "With an attachment")
        + "Content-Type: multipart/mixed; boundary=\"frontier\"\r\n\r\n\
           A message in two parts.\r\n--frontier\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n\
           The file is attached.\r\n--frontier\r\nContent-Type: application/octet-stream; name=\"data.bin\"\r\n\
           Content-Disposition: attachment; filename=\"data.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
           AAECAwQFBgcICQ==\r\n--frontier--\r\n";
    [plain, umlauts, parts].into_iter().map(String::into_bytes).collect()
}

/// A message of exactly `size` octets, or of its header alone if that is longer.
pub(super) fn synthetic(size: usize) -> Vec<u8> {
    let mut text = b"From: bulk@sandbox.example\r\nTo: you@sandbox.example\r\nSubject: bulk\r\n\
        Date: Mon, 01 Jun 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
        .to_vec();
    while text.len() + 78 <= size {
        text.extend_from_slice(&[b'm'; 76]);
        text.extend_from_slice(b"\r\n");
    }
    while text.len() + 2 < size {
        text.push(b'm');
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// The header with its empty line, and the body.
pub(super) fn split(message: &[u8]) -> (&[u8], &[u8]) {
    if message.starts_with(b"\r\n") {
        return message.split_at(2);
    }
    match message.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => message.split_at(at + 4),
        None => match message.windows(2).position(|two| two == b"\n\n") {
            Some(at) => message.split_at(at + 2),
            None => (message, &[]),
        },
    }
}

/// Header fields with their line ends, folded lines kept together.
pub(super) fn fields(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut start = 0;
    let ends = header.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at + 1);
    for end in ends {
        if matches!(header.get(end), Some(b' ' | b'\t')) {
            continue;
        }
        let field = &header[start..end];
        start = end;
        if field.iter().any(|octet| !octet.is_ascii_whitespace()) {
            fields.push(field);
        }
    }
    if start < header.len() {
        fields.push(&header[start..]);
    }
    fields
}

pub(super) fn field_name(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|octet| *octet == b':').unwrap_or(0);
    field[..end].trim_ascii_end()
}

/// The unfolded value of the first field of this name.
pub(super) fn value(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let all = fields(header);
    let field = all.into_iter().find(|field| field_name(field).eq_ignore_ascii_case(name.as_bytes()))?;
    let colon = field.iter().position(|octet| *octet == b':')?;
    let unfolded = field[colon + 1..].iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n'));
    Some(unfolded.collect::<Vec<u8>>().trim_ascii().to_vec())
}

/// `17-Jul-1996 02:44:25 -0700`: RFC 3501's date-time, the day padded with a space.
pub(super) fn date_time(moment: OffsetDateTime) -> String {
    let (hours, minutes, _) = moment.offset().as_hms();
    let sign = if moment.offset().is_negative() { '-' } else { '+' };
    format!(
        "{:>2}-{}-{} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        moment.day(),
        MONTHS[u8::from(moment.month()) as usize - 1],
        moment.year(),
        moment.hour(),
        moment.minute(),
        moment.second(),
        hours.abs(),
        minutes.abs(),
    )
}

pub(super) fn parse_date_time(text: &str) -> Option<OffsetDateTime> {
    let mut words = text.split_whitespace();
    let date = parse_date(words.next()?)?;
    let clock: Vec<u8> = words.next()?.split(':').filter_map(|part| part.parse().ok()).collect();
    let &[hour, minute, second] = clock.as_slice() else { return None };
    let offset = parse_offset(words.next()?)?;
    Some(date.with_time(Time::from_hms(hour, minute, second).ok()?).assume_offset(offset))
}

/// `1-Feb-1994`.
pub(super) fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let day = parts.next()?.parse().ok()?;
    let month = month(parts.next()?)?;
    Date::from_calendar_date(parts.next()?.parse().ok()?, month, day).ok()
}

/// The day of a `Date:` field, without time and zone (RFC 3501 §6.4.4).
pub(super) fn sent_on(header: &[u8]) -> Option<Date> {
    let text = String::from_utf8(value(header, "Date")?).ok()?;
    let text = text.split_once(',').map_or(text.as_str(), |(_, rest)| rest);
    let mut words = text.split_whitespace();
    let day = words.next()?.parse().ok()?;
    let month = month(words.next()?)?;
    Date::from_calendar_date(words.next()?.parse().ok()?, month, day).ok()
}

fn month(name: &str) -> Option<Month> {
    let number = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    Month::try_from(number as u8 + 1).ok()
}

fn parse_offset(text: &str) -> Option<UtcOffset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let sign = if sign == "-" { -1 } else { 1 };
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = digits.get(2..4)?.parse().ok()?;
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_survive_the_round_trip() {
        for text in ["17-Jul-1996 02:44:25 -0730", " 1-Feb-2026 00:00:00 +0000"] {
            assert_eq!(date_time(parse_date_time(text).unwrap()), text);
        }
    }

    #[test]
    fn folded_fields_stay_together() {
        let header = b"A: 1\r\nB: 2\r\n 3\r\nC: 4\r\n\r\n";
        assert_eq!(fields(header), [&b"A: 1\r\n"[..], b"B: 2\r\n 3\r\n", b"C: 4\r\n"]);
        assert_eq!(value(header, "b").unwrap(), b"2 3");
    }

    #[test]
    fn a_synthetic_message_has_its_size() {
        for size in [1_000, 1_001, 32_768] {
            assert_eq!(synthetic(size).len(), size);
        }
    }
}
