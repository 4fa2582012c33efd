//! Number: the text of a JSON number, or of a quoted one, as a protobuf scalar.

/// An integer, also in forms such as `1e3` and `2.0`; `None` if it is none, or over 64 bits.
pub(super) fn parse_integer(token: &str) -> Option<i128> {
    if let Ok(value) = token.parse::<i64>() {
        // Rust also accepts a plus sign, which JSON's grammar does not: it was checked before.
        return Some(value.into());
    }
    let (negative, digits) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (digits, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value.checked_mul(10)?.checked_add(i128::from(digit.checked_sub(b'0')?))?;
    }
    let mut exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    while value != 0 && exponent < 0 {
        if value % 10 != 0 {
            return None;
        }
        value /= 10;
        exponent += 1;
    }
    while value != 0 && exponent > 0 {
        value = value.checked_mul(10)?;
        exponent -= 1;
    }
    Some(if negative { -value } else { value })
}

fn parse_exponent(text: &str) -> Option<i64> {
    // A number of 64 bits has no exponent of four digits, unless it is zero or padded with zeros.
    let limit = 10_000;
    let value: i64 =
        text.parse().ok().or_else(|| text.starts_with('-').then_some(-limit)).unwrap_or(limit);
    Some(value.clamp(-limit, limit))
}

/// A double; `None` if it is too large for one.
pub(super) fn parse_f64(token: &str) -> Option<f64> {
    token.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A float, rounded once; `None` if it is too large for one.
pub(super) fn parse_f32(token: &str) -> Option<f32> {
    token.parse().ok().filter(|value: &f32| value.is_finite())
}

/// The three values that JSON's numbers lack.
pub(super) fn parse_non_finite(text: &[u8]) -> Option<f64> {
    match text {
        b"NaN" => Some(f64::NAN),
        b"Infinity" => Some(f64::INFINITY),
        b"-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_in_every_form() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("1e3", Some(1000)),
            ("1.5e1", Some(15)),
            ("2.0", Some(2)),
            ("2.00e-0", Some(2)),
            ("1000e-3", Some(1)),
            ("18446744073709551615", Some(u64::MAX.into())),
            ("1.8446744073709551615e19", Some(u64::MAX.into())),
            ("-9223372036854775808", Some(i64::MIN.into())),
            ("0e99999999999999999999", Some(0)),
            ("1.5", None),
            ("1e-1", None),
            ("1e99999999999999999999", None),
            ("1e-99999999999999999999", None),
        ];
        for (token, expected) in cases {
            assert_eq!(parse_integer(token), expected, "{token}");
        }
    }

    #[test]
    fn floats_round_once() {
        // Halfway between two floats once it went through a double.
        assert_eq!(parse_f32("1.00000017881393432617187499"), Some(1.000_000_1));
        assert_eq!(parse_f32("3.5e38"), None);
        assert_eq!(parse_f64("1e400"), None);
        assert_eq!(parse_f64("1e-400"), Some(0.0));
    }
}
