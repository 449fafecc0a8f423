//! Spans of time in the form that a person types: `14d`, `12h`, `30m`, `90s`.

use time::Duration;

/// The span; `None` if the text is not one.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // A span of more than a century is a typing error, and dates would overflow.
    let number = i64::from(number.parse::<u32>().ok().filter(|number| *number < 50_000_000)?);
    let span = match unit {
        "d" => number.checked_mul(86_400)?,
        "h" => number.checked_mul(3600)?,
        "m" => number.checked_mul(60)?,
        "s" => number,
        _ => return None,
    };
    Some(Duration::seconds(span)).filter(|span| *span <= Duration::days(36_525))
}
