//! Spans of time as a person writes them: `14d`, `12h`, `30m`, `90s`.

use time::Duration;

/// The span; `None` where it is none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    // More than a century is a slip, and cannot be calculated with.
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
