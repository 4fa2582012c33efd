//! Time: `Timestamp` as RFC 3339, `Duration` as seconds.

/// Seconds and nanoseconds, of a point in time or of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

const FIRST_SECOND: i64 = -62_135_596_800; // 0001-01-01T00:00:00Z
const LAST_SECOND: i64 = 253_402_300_799; // 9999-12-31T23:59:59Z
const LONGEST: i64 = 315_576_000_000; // about 10,000 years
const BILLION: i32 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Writes `"2026-11-24T09:04:00.5Z"`; `None` outside the years 1 to 9999.
pub(super) fn write_timestamp(instant: Instant, out: &mut Vec<u8>) -> Option<()> {
    let Instant { seconds, nanos } = instant;
    if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) || !(0..BILLION).contains(&nanos) {
        return None;
    }
    let (year, month, day) = civil_of_days(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let date = format!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    out.extend_from_slice(date.as_bytes());
    write_fraction(nanos, out);
    out.extend_from_slice(b"Z\"");
    Some(())
}

/// Writes `"-1.5s"`; `None` if it is too long, or its parts have two signs.
pub(super) fn write_duration(span: Instant, out: &mut Vec<u8>) -> Option<()> {
    let Instant { seconds, nanos } = span;
    let two_signs = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if seconds.unsigned_abs() > LONGEST.unsigned_abs()
        || nanos.unsigned_abs() >= BILLION.unsigned_abs()
        || two_signs
    {
        return None;
    }
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(seconds.abs()).as_bytes());
    write_fraction(nanos.abs(), out);
    out.extend_from_slice(b"s\"");
    Some(())
}

/// Three, six or nine digits, as few as hold the value.
fn write_fraction(nanos: i32, out: &mut Vec<u8>) {
    let digits = match nanos {
        0 => return,
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    };
    out.extend_from_slice(digits.as_bytes());
}

/// Reads RFC 3339 with `Z` or an offset, and up to nine digits of a second; `None` if it is not
/// that. As in other protobuf runtimes, the hour may have one digit.
pub(super) fn parse_timestamp(text: &str) -> Option<Instant> {
    let (date, rest) = text.split_at_checked(10)?;
    let (year, month, day) = (number(date, 0, 4)?, number(date, 5, 2)?, number(date, 8, 2)?);
    let (hour, rest) = rest.strip_prefix('T')?.split_once(':')?;
    let hour = number(hour, 0, hour.len()).filter(|_| matches!(hour.len(), 1 | 2))?;
    let (clock, rest) = rest.split_at_checked(5)?;
    let (minute, second) = (number(clock, 0, 2)?, number(clock, 3, 2)?);
    let separated = [(date, 4, b'-'), (date, 7, b'-'), (clock, 2, b':')];
    if separated.iter().any(|(text, at, mark)| text.as_bytes().get(*at) != Some(mark)) {
        return None;
    }
    let valid = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let (nanos, zone) = parse_fraction(rest, 1)?;
    let offset = parse_offset(zone)?;
    let seconds =
        days_of_civil(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    (valid && (FIRST_SECOND..=LAST_SECOND).contains(&seconds)).then_some(Instant { seconds, nanos })
}

/// Reads `1.5s`; `None` if it is not that, or too long. As in other protobuf runtimes, there may be
/// a plus, or no digit behind the point.
pub(super) fn parse_duration(text: &str) -> Option<Instant> {
    let text = text.strip_suffix('s')?;
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    // `.5s` is half a second, as other protobuf runtimes read it.
    let (whole, least) = if whole.is_empty() { ("0", 1) } else { (whole, 0) };
    if fraction.len() < least || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds| *seconds <= LONGEST)?;
    let (nanos, "") = parse_fraction(fraction, least)? else { return None };
    Some(Instant { seconds: sign * seconds, nanos: i32::try_from(sign).ok()? * nanos })
}

/// The nanoseconds of `.5`, or 0 without a fraction; and what follows. `least`: digits that a point
/// must have behind it.
fn parse_fraction(text: &str, least: usize) -> Option<(i32, &str)> {
    let Some(digits) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if !(least..=9).contains(&length) {
        return None;
    }
    let (digits, rest) = digits.split_at_checked(length)?;
    let value = digits.bytes().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some((value * 10_i32.pow(9 - u32::try_from(length).ok()?), rest))
}

/// Seconds ahead of UTC.
fn parse_offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = match zone.as_bytes() {
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    // Beyond a clock's, as other protobuf runtimes read them.
    (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn number(text: &str, at: usize, length: usize) -> Option<i64> {
    let digits = text.get(at..at + length)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date, by eras of 400 years that begin in March
/// ([algorithm](https://howardhinnant.github.io/date_algorithms.html#days_from_civil)).
const fn days_of_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn civil_of_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
        let mut out = Vec::new();
        write_timestamp(Instant { seconds, nanos }, &mut out)?;
        Some(String::from_utf8(out).expect("text").trim_matches('"').to_owned())
    }

    #[test]
    fn timestamps_round_trip() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (FIRST_SECOND, 0, "0001-01-01T00:00:00Z"),
            (LAST_SECOND, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
            (951_782_400, 500_000_000, "2000-02-29T00:00:00.500Z"),
            (-1, 1_000, "1969-12-31T23:59:59.000001Z"),
        ];
        for (seconds, nanos, text) in cases {
            assert_eq!(timestamp(seconds, nanos).as_deref(), Some(text));
            assert_eq!(parse_timestamp(text), Some(Instant { seconds, nanos }));
        }
        for day in (-719_162..2_932_896).step_by(97) {
            let text = timestamp(day * DAY, 0).expect("in range");
            assert_eq!(
                parse_timestamp(&text).map(|instant| instant.seconds),
                Some(day * DAY),
                "{text}"
            );
        }
    }

    #[test]
    fn bad_timestamps_are_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01 00:00:00Z",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-01-01T00:00:00",
            "0000-01-01T00:00:00Z",
            "10000-01-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:60:00Z",
            "1970-01-01T00:00:61Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+25:00",
            "1970-01-01T00:00:00+00:61",
            "1970-01-01T:00:00Z",
            "1970-01-01T000:00:00Z",
            "1970-01-01T+1:00:00Z",
            "1970-01-01T0:0:00Z",
            "0001-01-01T00:00:00+01:00",
            "９70-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
        for (text, seconds) in
            [("01:00:00+01:00", 0), ("1:00:00+01:00", 0), ("0:00:00-24:60", 90_000)]
        {
            let read = parse_timestamp(&format!("1970-01-01T{text}"));
            assert_eq!(read.map(|instant| instant.seconds), Some(seconds), "{text}");
        }
        assert_eq!(timestamp(LAST_SECOND + 1, 0), None);
        assert_eq!(timestamp(0, -1), None);
    }

    #[test]
    fn durations_round_trip() {
        let write = |seconds, nanos| {
            let mut out = Vec::new();
            write_duration(Instant { seconds, nanos }, &mut out)?;
            Some(String::from_utf8(out).expect("text").trim_matches('"').to_owned())
        };
        for (seconds, nanos, text) in [
            (0, 0, "0s"),
            (3, 500_000_000, "3.500s"),
            (0, -1, "-0.000000001s"),
            (-LONGEST, 0, "-315576000000s"),
        ] {
            assert_eq!(write(seconds, nanos).as_deref(), Some(text));
            assert_eq!(parse_duration(text), Some(Instant { seconds, nanos }));
        }
        for (text, seconds, nanos) in
            [("1.5s", 1, 500_000_000), ("+1s", 1, 0), ("1.s", 1, 0), ("-.5s", 0, -500_000_000)]
        {
            assert_eq!(parse_duration(text), Some(Instant { seconds, nanos }), "{text}");
        }
        for text in [
            "",
            "s",
            "1",
            ".",
            ".s",
            "--1s",
            "+-1s",
            "1.0000000001s",
            "315576000001s",
            "1 s",
            "1e3s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(write(1, -1), None);
        assert_eq!(write(LONGEST + 1, 0), None);
        assert_eq!(write(i64::MIN, 0), None);
    }
}
