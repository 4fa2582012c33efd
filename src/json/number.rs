//! Number: the text of a JSON number, or of a quoted one, as a protobuf scalar.

/// A JSON number: its text, and what reading it once has shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) text: &'a [u8],
    negative: bool,
    /// All digits as one integer; wrong where there are more of them than it holds.
    digits: u64,
    digit_count: usize,
    /// Power of ten that the digits are multiplied with.
    exponent: i32,
    has_fraction_or_exponent: bool,
}

/// Digits that always fit into 64 bits.
const MOST_DIGITS: usize = 19;

impl<'a> Number<'a> {
    /// The number that a text begins with, by JSON's grammar:
    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    #[inline]
    pub(super) fn read(text: &'a [u8]) -> Option<Self> {
        let negative = text.first() == Some(&b'-');
        let start = usize::from(negative);
        let mut digits = 0;
        let mut at = start + read_digits(text.get(start..)?, &mut digits);
        let mut digit_count = at - start;
        if digit_count == 0 || (digit_count > 1 && text.get(start) == Some(&b'0')) {
            return None;
        }
        let whole_end = at;
        let mut exponent = 0;
        if text.get(at) == Some(&b'.') {
            let length = read_digits(text.get(at + 1..)?, &mut digits);
            if length == 0 {
                return None;
            }
            digit_count += length;
            exponent = -i32::try_from(length).ok()?;
            at += 1 + length;
        }
        if let Some(b'e' | b'E') = text.get(at) {
            let (value, length) = read_exponent(text.get(at + 1..)?)?;
            exponent = exponent.saturating_add(value);
            at += 1 + length;
        }
        Some(Self {
            text: text.get(..at)?,
            negative,
            digits,
            digit_count,
            exponent,
            has_fraction_or_exponent: at != whole_end,
        })
    }

    /// The number that is the whole text.
    pub(super) fn read_whole(text: &'a [u8]) -> Option<Self> {
        Self::read(text).filter(|number| number.text.len() == text.len())
    }

    /// Its grammar has ASCII alone.
    fn as_str(self) -> &'a str {
        std::str::from_utf8(self.text).unwrap_or_default()
    }

    /// An integer, also in forms such as `1e3` and `2.0`; `None` if it is none, or far over 64
    /// bits.
    #[inline]
    pub(super) fn to_integer(self) -> Option<i128> {
        if self.has_fraction_or_exponent || self.digit_count > MOST_DIGITS {
            return parse_integer(self.as_str());
        }
        let value = i128::from(self.digits);
        Some(if self.negative { -value } else { value })
    }

    /// The double next to the number, where one multiplication or division by a power of ten gives
    /// it: both operands are exact, so the result is rounded once ([Clinger's fast
    /// path](https://dl.acm.org/doi/10.1145/93542.93557)).
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "at most 53 bits")]
    fn exact_f64(self) -> Option<f64> {
        if self.digit_count > MOST_DIGITS || self.digits > 1 << 53 {
            return None;
        }
        let power = POWERS_OF_TEN.get(self.exponent.unsigned_abs() as usize)?;
        let digits = self.digits as f64;
        let value = if self.exponent < 0 { digits / power } else { digits * power };
        Some(if self.negative { -value } else { value })
    }
}

/// A double; `None` if it is too large for one.
#[inline]
pub(super) fn double_of(number: Number<'_>) -> Option<f64> {
    match number.exact_f64() {
        Some(value) => Some(value),
        None => number.as_str().parse().ok().filter(|value: &f64| value.is_finite()),
    }
}

/// A float, rounded once; `None` if it is too large for one.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "rounds as the text would")]
pub(super) fn float_of(number: Number<'_>) -> Option<f32> {
    match number.exact_f64() {
        Some(value) if rounds_once(value) => Some(value as f32),
        _ => number.as_str().parse().ok().filter(|value: &f32| value.is_finite()),
    }
}

/// Whether a double becomes the float that its text stands for: halfway between two floats it may
/// itself be the rounded one, and below the normal floats too.
#[inline]
fn rounds_once(value: f64) -> bool {
    let is_normal = (f64::from(f32::MIN_POSITIVE)..f64::from(f32::MAX)).contains(&value.abs());
    value == 0.0 || (is_normal && value.to_bits() & 0x1fff_ffff != 0x1000_0000)
}

/// A float such as `-0.0123` and its length: one digit, a point, and one to fifteen digits, all
/// looked at together. `None`: the text begins with something else, which may be a number too.
#[inline]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the two halves of a word; at most 53 bits; a power of ten"
)]
pub(super) fn plain_float(text: &[u8]) -> Option<(f32, usize)> {
    let sign = usize::from(text.first() == Some(&b'-'));
    let ([whole, b'.'], fraction) = text.get(sign..)?.split_first_chunk()? else { return None };
    let word = u128::from_le_bytes(*fraction.first_chunk()?);
    let count = leading_digits(word);
    let power = *POWERS_OF_TEN.get(count).filter(|_| (1..16).contains(&count))?;
    if !whole.is_ascii_digit() || matches!(fraction.get(count), Some(b'e' | b'E')) {
        return None;
    }
    // Digits that are missing become zeros in front.
    let digits = word << (128 - 8 * count);
    let (low, high) = (digits as u64, (digits >> 64) as u64);
    let fraction = value_of_eight_digits(low) * 100_000_000 + value_of_eight_digits(high);
    // Both are exact, and so is their sum: it is below 10^16, and checked to be below 2^53.
    let digits = u64::from(whole - b'0') * power as u64 + fraction;
    let value = digits as f64 / power;
    let value = if sign == 1 { -value } else { value };
    (digits <= 1 << 53 && rounds_once(value)).then_some((value as f32, sign + 2 + count))
}

/// Bytes of a word before the first that is no decimal digit: its high half is not 3, or is another
/// with 6 added. A carry out of such a byte reaches only those behind it.
#[inline]
const fn leading_digits(word: u128) -> usize {
    const EACH: u128 = u128::MAX / 0xff;
    let flipped = word ^ (0x30 * EACH);
    let raised = flipped.wrapping_add(0x06 * EACH);
    ((flipped | raised) & (0xf0 * EACH)).trailing_zeros() as usize / 8
}

/// The powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Appends the decimal digits that a text begins with to `value`, eight at a time; says how many.
#[inline]
fn read_digits(text: &[u8], value: &mut u64) -> usize {
    let mut length = 0;
    while let Some(eight) = text.get(length..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*eight);
        if !is_eight_digits(word) {
            break;
        }
        *value = value.wrapping_mul(100_000_000).wrapping_add(value_of_eight_digits(word));
        length += 8;
    }
    while let Some(byte) = text.get(length) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *value = value.wrapping_mul(10).wrapping_add(digit.into());
        length += 1;
    }
    length
}

/// Whether each byte is a decimal digit: 3 in the high half, and still 3 with 6 added.
#[inline]
const fn is_eight_digits(word: u64) -> bool {
    let high_halves = 0xf0f0_f0f0_f0f0_f0f0;
    let raised = word.wrapping_add(0x0606_0606_0606_0606);
    (word & high_halves) | ((raised & high_halves) >> 4) == 0x3333_3333_3333_3333
}

/// Joins neighbours to two, four, eight digits
/// ([explained](https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/)).
#[inline]
const fn value_of_eight_digits(word: u64) -> u64 {
    let ones = word & 0x0f0f_0f0f_0f0f_0f0f;
    let pairs = (ones.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}

/// The value of `+12`, and its length; capped where every number is zero or too large.
fn read_exponent(text: &[u8]) -> Option<(i32, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text.get(sign..)?;
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let value = digits
        .iter()
        .take(length)
        .fold(0_i32, |value, digit| (value * 10 + i32::from(digit - b'0')).min(MOST_EXPONENT));
    Some((if text.first() == Some(&b'-') { -value } else { value }, sign + length))
}

const MOST_EXPONENT: i32 = 100_000;

/// An integer in any form, of any length.
fn parse_integer(token: &str) -> Option<i128> {
    let (negative, digits) = token.strip_prefix('-').map_or((false, token), |rest| (true, rest));
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)),
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

fn parse_exponent(text: &str) -> i64 {
    // A number of 64 bits has no exponent of four digits, unless it is zero or padded with zeros.
    let limit = 10_000;
    let value: i64 =
        text.parse().ok().or_else(|| text.starts_with('-').then_some(-limit)).unwrap_or(limit);
    value.clamp(-limit, limit)
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

    fn number(token: &str) -> Number<'_> {
        Number::read_whole(token.as_bytes()).expect("a number")
    }

    fn integer(token: &str) -> Option<i128> {
        number(token).to_integer()
    }

    #[test]
    fn only_numbers_of_json_are_read() {
        for token in
            ["0", "-0", "10", "-1.5", "1e5", "1E+05", "0.0e-0", "123456789012345678901234567890"]
        {
            assert!(Number::read_whole(token.as_bytes()).is_some(), "{token}");
        }
        for token in [
            "", "-", "01", "+1", "1.", ".5", "1e", "1e+", "1.e1", "0x1", "1 ", "--1", "1.2.3",
            "1e5.0",
        ] {
            assert!(Number::read_whole(token.as_bytes()).is_none(), "{token}");
        }
    }

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
            assert_eq!(integer(token), expected, "{token}");
        }
    }

    #[test]
    fn floats_round_once() {
        // Halfway between two floats once it went through a double.
        assert_eq!(float_of(number("1.00000017881393432617187499")), Some(1.000_000_1));
        assert_eq!(float_of(number("3.5e38")), None);
        assert_eq!(double_of(number("1e400")), None);
        assert_eq!(double_of(number("1e-400")), Some(0.0));
        assert_eq!(double_of(number("-0")).map(f64::to_bits), Some((-0.0_f64).to_bits()));
    }

    proptest::proptest! {
        #[test]
        fn floats_are_read_as_the_standard_library_reads_them(
            token in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?(e[-+]?[0-9]{1,2})?"
        ) {
            let (double, float) = (token.parse::<f64>().ok(), token.parse::<f32>().ok());
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            proptest::prop_assert_eq!(bits(double_of(number(&token))), bits(double));
            let found = float_of(number(&token)).map(f32::to_bits);
            let expected = float.filter(|value| value.is_finite()).map(f32::to_bits);
            proptest::prop_assert_eq!(found, expected);
        }

        #[test]
        fn plain_floats_are_read_as_the_standard_library_reads_them(
            token in "-?[0-9]\\.[0-9]{1,15}", after in "[,\n ]{17}"
        ) {
            let text = token.clone() + &after;
            if let Some((value, length)) = plain_float(text.as_bytes()) {
                proptest::prop_assert_eq!(length, token.len());
                proptest::prop_assert_eq!(Some(value.to_bits()), token.parse().ok().map(f32::to_bits));
            }
        }
    }
}
