//! Timeout: `grpc-timeout`, read and written.

use std::time::Duration;

use http::header::HeaderValue;

use crate::error::Error;

/// `Timeout → TimeoutValue TimeoutUnit`, at most 8 digits
/// ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/v1.75.0/doc/PROTOCOL-HTTP2.md#requests)).
pub(super) fn parse_timeout(value: &HeaderValue) -> Result<Duration, Error> {
    let refused = || {
        Error::invalid_request("metadata `grpc-timeout` is invalid: at most 8 digits and a unit")
    };
    let text = value.to_str().map_err(|_| refused())?;
    let (digits, unit) = text.split_at_checked(text.len().wrapping_sub(1)).ok_or_else(refused)?;
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || digits.len() > 8 || !all_digits {
        return Err(refused());
    }
    let count: u64 = digits.parse().map_err(|_| refused())?;
    Ok(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return Err(refused()),
    })
}

/// Writes what is left of a deadline as `grpc-timeout`, rounded up, in the finest unit that fits.
pub(crate) fn format_timeout(left: Duration) -> HeaderValue {
    let micros = left.as_nanos().div_ceil(1_000);
    let units = [(1, 'u'), (1_000, 'm'), (1_000_000, 'S'), (60_000_000, 'M'), (3_600_000_000, 'H')];
    let fitting = units
        .into_iter()
        .map(|(size, unit)| (micros.div_ceil(size), unit))
        .find(|(count, _)| *count < 100_000_000);
    let (count, unit) = fitting.unwrap_or((99_999_999, 'H'));
    let mut text = itoa::Buffer::new().format(count).to_owned();
    text.push(unit);
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("99999999H"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Option<Duration> {
        parse_timeout(&HeaderValue::from_static(text)).ok()
    }

    #[test]
    fn timeouts_follow_the_grammar() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("100000000S", None),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("-5S", None),
            ("5s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_formatted_timeout_is_never_shorter_and_parses_back() {
        for nanos in [0, 1, 999, 1_000, 1_500_000_000, 99_999_999_999, 100_000_000_001, u64::MAX] {
            let left = Duration::from_nanos(nanos);
            let again = parse_timeout(&format_timeout(left)).expect("grammar");
            assert!(again >= left, "{left:?} became {again:?}");
            assert!(
                again.as_secs_f64() <= left.as_secs_f64() * 1.001 + 1e-6,
                "{left:?} became {again:?}"
            );
        }
    }
}
