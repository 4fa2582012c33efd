//! Challenge: what a proxy writes in `Proxy-Authenticate` (RFC 9110, section 11), read leniently.
//!
//! Several challenges may stand in one header or in several. Each has a token, parameters or
//! nothing. The proxy chooses all of this text, so every byte is legal here and none is trusted.

use std::borrow::Cow;

use http::HeaderValue;

/// One way to log in that a proxy offers.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    scheme: String,
    /// What stands behind the name of the scheme: a token, or parameters with commas between them.
    value: Vec<u8>,
}

impl Challenge {
    /// The challenges of these headers, in their order, at most [`MAX_CHALLENGES`]. What is no
    /// challenge is left out.
    pub(crate) fn read_all<'a>(headers: impl IntoIterator<Item = &'a HeaderValue>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for header in headers {
            let before = challenges.len();
            for element in elements(header.as_bytes()) {
                match scheme_of(element) {
                    Some((scheme, value)) if challenges.len() < MAX_CHALLENGES => {
                        let scheme = String::from_utf8_lossy(scheme).into_owned();
                        challenges.push(Self { scheme, value: value.to_vec() });
                    }
                    Some(_) => return challenges,
                    // A parameter belongs to the challenge before it in the same header.
                    None if challenges.len() > before => {
                        if let Some(last) = challenges.last_mut() {
                            last.add(element);
                        }
                    }
                    None => {}
                }
            }
        }
        challenges
    }

    fn add(&mut self, parameter: &[u8]) {
        if !self.value.is_empty() {
            self.value.extend_from_slice(b", ");
        }
        self.value.extend_from_slice(parameter);
    }

    /// The name of the scheme, as the proxy writes it.
    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// What stands behind the name of the scheme.
    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    /// Only the name of the scheme.
    pub(super) fn is_bare(&self) -> bool {
        self.value.is_empty()
    }

    /// The first parameter of that name, without quotes and escapes.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        elements(&self.value).find_map(|element| {
            let (found, value) = split_parameter(element)?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| unquote(value))
        })
    }
}

/// Splits at the commas outside of quotes; without white space around the parts, and without empty
/// ones. A quote that is never closed ends with the text.
fn elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |byte| {
        let is_literal = std::mem::take(&mut is_escaped);
        match byte {
            b'\\' if is_quoted => is_escaped = !is_literal,
            b'"' if !is_literal => is_quoted = !is_quoted,
            b',' => return !is_quoted,
            _ => {}
        }
        false
    })
    .map(<[u8]>::trim_ascii)
    .filter(|element| !element.is_empty())
}

/// The scheme of an element that begins a challenge, and what follows it; `None` for a parameter.
fn scheme_of(element: &[u8]) -> Option<(&[u8], &[u8])> {
    let (word, rest) = split_word(element);
    let has_gap = rest.first().is_none_or(u8::is_ascii_whitespace);
    let rest = rest.trim_ascii_start();
    let is_name = (1..=MAX_SCHEME).contains(&word.len());
    (is_name && has_gap && !rest.starts_with(b"=")).then_some((word, rest))
}

fn split_parameter(element: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = split_word(element);
    let value = rest.trim_ascii_start().strip_prefix(b"=")?;
    Some((name, value.trim_ascii_start()))
}

/// Parts a token (RFC 9110, section 5.6.2) from what follows it.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let end = text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return Cow::Borrowed(value);
    };
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => plain.extend(bytes.next()),
            byte => plain.push(*byte),
        }
    }
    Cow::Owned(plain)
}

/// More than any proxy has schemes.
const MAX_CHALLENGES: usize = 32;
/// Longer than any name of a scheme, and short enough for an error.
const MAX_SCHEME: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(headers: &[&str]) -> Vec<(String, String)> {
        let headers: Vec<_> = headers
            .iter()
            .map(|text| HeaderValue::from_bytes(text.as_bytes()).expect("legal"))
            .collect();
        let found = Challenge::read_all(&headers);
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        found
            .into_iter()
            .map(|challenge| (lossy(challenge.scheme.as_bytes()), lossy(&challenge.value)))
            .collect()
    }

    #[test]
    fn challenges_are_parted_however_they_are_written() {
        for (headers, expected) in [
            (&[][..], &[][..]),
            (&[""], &[]),
            (&[" , ,"], &[]),
            (&["Basic"], &[("Basic", "")]),
            (&["basic realm=\"corp\""], &[("basic", "realm=\"corp\"")]),
            (&["Negotiate", "NTLM"], &[("Negotiate", ""), ("NTLM", "")]),
            (&["Negotiate, NTLM"], &[("Negotiate", ""), ("NTLM", "")]),
            (&["NTLM TlRMTVNTUAAC+/=="], &[("NTLM", "TlRMTVNTUAAC+/==")]),
            (
                &["Negotiate abc=, Basic realm=\"a, b\""],
                &[("Negotiate", "abc="), ("Basic", "realm=\"a, b\"")],
            ),
            (
                &["Digest realm=\"c\", nonce=n , qop = \"auth,auth-int\",Basic realm=c"],
                &[
                    ("Digest", "realm=\"c\", nonce=n, qop = \"auth,auth-int\""),
                    ("Basic", "realm=c"),
                ],
            ),
            (
                &["Digest\trealm=\"a\\\"b, c\",\tnonce=1"],
                &[("Digest", "realm=\"a\\\"b, c\", nonce=1")],
            ),
            (
                &["Basic realm=\"never closed, Digest x=1"],
                &[("Basic", "realm=\"never closed, Digest x=1")],
            ),
            (&["realm=\"no scheme\", Basic"], &[("Basic", "")]),
            (&["Basic", "realm=\"another header\""], &[("Basic", "")]),
            (&["\"quoted\", ;;;, Basic"], &[("Basic", "")]),
            (&["Negotiate token=abc=="], &[("Negotiate", "token=abc==")]),
            (&[&*format!("{}, Basic", "x".repeat(41))], &[("Basic", "")]),
            (
                &["Basic realm=\"Zug\u{e4}nge\", Digest realm=\u{e4}"],
                &[("Basic", "realm=\"Zug\u{e4}nge\""), ("Digest", "realm=\u{e4}")],
            ),
        ] {
            let found = read(headers);
            let found: Vec<_> = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[test]
    fn parameters_lose_their_quotes() {
        let header = HeaderValue::from_bytes(
            b"Digest Realm=\"a \\\"b\\\\\", nonce = n==, empty=\"\", opaque=\"x\"y, last=\"open",
        );
        let found = Challenge::read_all([&header.expect("legal")]);
        let challenge = found.first().expect("one");
        for (name, expected) in [
            ("realm", Some(&b"a \"b\\"[..])),
            ("NONCE", Some(b"n==")),
            ("empty", Some(b"")),
            ("opaque", Some(b"x")),
            ("last", Some(b"open")),
            ("qop", None),
        ] {
            assert_eq!(challenge.parameter(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn there_is_an_end_to_the_challenges_of_one_proxy() {
        let many = HeaderValue::try_from("A, ".repeat(5000)).expect("legal");
        assert_eq!(Challenge::read_all([&many, &many]).len(), MAX_CHALLENGES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(headers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..4)) {
            let headers: Vec<_> =
                headers.iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok()).collect();
            for challenge in Challenge::read_all(&headers) {
                prop_assert!(!challenge.scheme.is_empty());
                let _ = (challenge.parameter("realm"), challenge.is_bare());
            }
        }
    }
}
