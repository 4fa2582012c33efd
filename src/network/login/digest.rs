//! Digest: RFC 7616 with `qop=auth`, and RFC 2069 for proxies that name no `qop`.
//!
//! By hand but for the hashes: http-auth refuses a realm outside ASCII and the names of algorithms
//! in small letters, and sends a user outside ASCII in a form that neither squid nor Apache reads.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use md5::Md5;
use sha2::{Sha256, Sha512_256};

use super::challenge::Challenge;
use super::password::Password;

/// User and password, and the nonce that the proxy took last: it saves the next connection a round.
pub(crate) struct Digest {
    password: Password,
    known: Mutex<Option<Nonce>>,
}

/// What a proxy wants to see the password mixed with.
#[derive(Clone)]
struct Nonce {
    realm: Vec<u8>,
    value: Vec<u8>,
    opaque: Option<Vec<u8>>,
    algorithm: Algorithm,
    /// As it is named in the challenge; none is MD5.
    is_named: bool,
    is_session: bool,
    has_qop: bool,
    /// How often it was used.
    count: u32,
    /// One for each nonce, so that a session keeps its key.
    own: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
    Sha512Of256,
}

impl Digest {
    /// `None` without the feature `digest`.
    #[expect(clippy::unnecessary_wraps, reason = "its stand-in has none")]
    pub(super) fn new(password: &Password) -> Option<Self> {
        Some(Self { password: password.clone(), known: Mutex::default() })
    }

    /// Whether a nonce is known, so that no challenge is needed.
    pub(super) fn speaks_first(&self) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The strongest of these challenges, answered; without one, the last that was.
    ///
    /// # Errors
    /// None of them can be, for the reason of the last one.
    pub(super) fn answer(
        &self,
        challenges: &[Challenge],
        target: &str,
    ) -> Result<HeaderValue, String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nonce = if challenges.is_empty() {
            known.take().ok_or("no nonce is known")?
        } else {
            strongest(challenges)?
        };
        if let Some(used) = known.take().filter(|used| used.value == nonce.value) {
            (nonce.count, nonce.own) = (used.count, used.own);
        }
        nonce.count = nonce.count.checked_add(1).ok_or("the nonce is used up")?;
        let value = nonce.header(&self.password, target)?;
        *known = Some(nonce);
        Ok(value)
    }
}

fn strongest(challenges: &[Challenge]) -> Result<Nonce, String> {
    let (mut best, mut why_not): (Option<Nonce>, _) = (None, String::new());
    for challenge in challenges {
        match Nonce::read(challenge) {
            Ok(nonce) if best.as_ref().is_none_or(|best| nonce.algorithm > best.algorithm) => {
                best = Some(nonce);
            }
            Ok(_) => {}
            Err(why) => why_not = why,
        }
    }
    best.ok_or(why_not)
}

impl Nonce {
    fn read(challenge: &Challenge) -> Result<Self, String> {
        let owned = |name| challenge.parameter(name).map(Cow::into_owned);
        let named = challenge.parameter("algorithm");
        let (algorithm, is_session) = match &named {
            None => (Algorithm::Md5, false),
            Some(name) => Algorithm::read(name).ok_or_else(|| {
                format!("the algorithm {} is not supported", String::from_utf8_lossy(name))
            })?,
        };
        let qop = challenge.parameter("qop").filter(|qop| !qop.trim_ascii().is_empty());
        let takes_auth = |qop: &[u8]| {
            qop.split(|byte| *byte == b',')
                .any(|qop| qop.trim_ascii().eq_ignore_ascii_case(b"auth"))
        };
        if qop.as_deref().is_some_and(|qop| !takes_auth(qop)) {
            return Err("its qop is not auth".to_owned());
        }
        Ok(Self {
            realm: owned("realm").unwrap_or_default(),
            value: owned("nonce").ok_or("its challenge has no nonce")?,
            opaque: owned("opaque"),
            algorithm,
            is_named: named.is_some(),
            is_session,
            has_qop: qop.is_some(),
            count: 0,
            own: random()?,
        })
    }

    /// The value of `proxy-authorization`.
    fn header(&self, login: &Password, target: &str) -> Result<HeaderValue, String> {
        let count = format!("{:08x}", self.count);
        let mut value = b"Digest ".to_vec();
        push_quoted(&mut value, "username", login.user.as_bytes());
        push_quoted(&mut value, ", realm", &self.realm);
        push_quoted(&mut value, ", nonce", &self.value);
        push_quoted(&mut value, ", uri", target.as_bytes());
        if self.is_named {
            let session = if self.is_session { "-sess" } else { "" };
            push(&mut value, &format!(", algorithm={}{session}", self.algorithm.name()));
        }
        if self.has_qop {
            push(&mut value, &format!(", qop=auth, nc={count}, cnonce=\"{}\"", self.own));
        }
        push_quoted(&mut value, ", response", self.response(login, target, &count).as_bytes());
        if let Some(opaque) = &self.opaque {
            push_quoted(&mut value, ", opaque", opaque);
        }
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| "the user, or what the proxy wrote, is not valid in a header")?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn response(&self, login: &Password, target: &str, count: &str) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(&parts.join(&b':'));
        let own = self.own.as_bytes();
        let mut secret = hash(&[login.user.as_bytes(), &self.realm, login.password.as_bytes()]);
        if self.is_session {
            secret = hash(&[secret.as_bytes(), &self.value, own]);
        }
        let asked = hash(&[b"CONNECT", target.as_bytes()]);
        let (secret, asked) = (secret.as_bytes(), asked.as_bytes());
        if self.has_qop {
            hash(&[secret, &self.value, count.as_bytes(), own, b"auth", asked])
        } else {
            hash(&[secret, &self.value, asked])
        }
    }
}

impl Algorithm {
    /// The algorithm, and whether it has a key for each session.
    fn read(name: &[u8]) -> Option<(Self, bool)> {
        let name = name.to_ascii_uppercase();
        let (name, is_session) = match name.strip_suffix(b"-SESS") {
            Some(name) => (name, true),
            None => (&*name, false),
        };
        let all = [Self::Md5, Self::Sha256, Self::Sha512Of256];
        let found = all.into_iter().find(|algorithm| algorithm.name().as_bytes() == name)?;
        Some((found, is_session))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512Of256 => "SHA-512-256",
        }
    }

    /// In hexadecimal digits.
    fn hash(self, bytes: &[u8]) -> String {
        use md5::Digest as _;
        match self {
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha512Of256 => hex(&Sha512_256::digest(bytes)),
        }
    }
}

fn push(value: &mut Vec<u8>, text: &str) {
    value.extend_from_slice(text.as_bytes());
}

fn push_quoted(value: &mut Vec<u8>, name: &str, text: &[u8]) {
    push(value, name);
    push(value, "=\"");
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            value.push(b'\\');
        }
        value.push(*byte);
    }
    value.push(b'"');
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn random() -> Result<String, String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(hex(&bytes))
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn challenges(text: &str) -> Vec<Challenge> {
        Challenge::read_all([&HeaderValue::from_bytes(text.as_bytes()).expect("legal")])
    }

    fn digest(user: &str, password: &str) -> Digest {
        let (user, password) = (user.to_owned(), password.to_owned());
        Digest::new(&Password { user, password }).expect("the feature")
    }

    fn text(value: &HeaderValue) -> String {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    }

    /// The response to `text` with a client nonce of `abc`.
    fn response(challenge: &str, count: u32) -> String {
        let mut nonce = strongest(&challenges(challenge)).expect("a challenge");
        (nonce.own, nonce.count) = ("abc".into(), count);
        let login = Password { user: "Mufasa".into(), password: "Circle Of Life".into() };
        nonce.response(&login, "host.test:443", &format!("{count:08x}"))
    }

    #[test]
    fn responses_are_those_that_md5sum_and_sha256sum_give() {
        let realm = "Digest realm=\"r\", nonce=\"n\"";
        for (challenge, expected) in TABLE {
            assert_eq!(response(&format!("{realm}{challenge}"), 1), *expected, "{challenge}");
        }
    }

    /// Made by a few lines of Python's hashlib.
    const TABLE: &[(&str, &str)] = &[
        ("", "03b69f79103d5187235d15b4e49a7ea0"),
        (", qop=\"auth\"", "1fc43f7b0cee4a48f6704ac6f2d75b3e"),
        (", qop=\"auth-int, AUTH\", algorithm=md5", "1fc43f7b0cee4a48f6704ac6f2d75b3e"),
        (", qop=\"auth\", algorithm=MD5-sess", "0462296f29db92aabdb96b6963b4693e"),
        (
            ", qop=\"auth\", algorithm=SHA-256",
            "19a5c42782152471e944400ab76396c5f6085d5387122404cd83b3825f1fe8be",
        ),
        (
            ", qop=auth, algorithm=\"sha-256-SESS\"",
            "b832869044a07336aee7ea5a7ea1e8da330febc0c9bed143186c469ccfca0cf1",
        ),
        (
            ", qop=\"auth\", algorithm=SHA-512-256",
            "e65e50922b815f4310cce48014e1cef61067a67a4211cbd9684e89a4cd9f1012",
        ),
    ];

    #[test]
    fn the_strongest_algorithm_that_is_offered_is_used() {
        let offered = challenges(
            "Digest realm=\"r\", nonce=\"a\", algorithm=MD5, Digest realm=\"r\", nonce=\"b\", algorithm=SHA-256, \
             Digest realm=\"r\", nonce=\"c\", algorithm=SHA-9000",
        );
        assert_eq!(strongest(&offered).expect("one of them").value, b"b");
    }

    #[test]
    fn what_cannot_be_answered_says_why() {
        for (challenge, expected) in [
            ("Digest", "its challenge has no nonce"),
            ("Digest nonce=n, qop=\"auth-int\"", "its qop is not auth"),
            ("Digest nonce=n, algorithm=SHA-1", "the algorithm SHA-1 is not supported"),
        ] {
            let answer = digest("u", "p").answer(&challenges(challenge), "a:1");
            assert_eq!(answer.expect_err(challenge), expected);
        }
        let user = digest("line\r\nbreak", "p").answer(&challenges("Digest nonce=n"), "a:1");
        assert!(user.expect_err("a line").contains("is not valid in a header"));
    }

    #[test]
    fn a_nonce_is_used_again_with_a_rising_count() {
        let digest = digest(r#"CORP\us"er"#, "p");
        assert!(!digest.speaks_first());
        let asked =
            challenges("Digest realm=\"Zug\u{e4}nge\", nonce=\"n\", qop=\"auth\", opaque=\"\"");
        let first = text(&digest.answer(&asked, "a:1").expect("answered"));
        assert!(first.starts_with(r#"Digest username="CORP\\us\"er", realm="Zugänge", nonce="n""#));
        assert!(
            first.ends_with(r#", opaque="""#)
                && first.contains(", uri=\"a:1\", qop=auth, nc=00000001, ")
        );
        assert!(digest.speaks_first());
        let second = text(&digest.answer(&[], "b:2").expect("answered"));
        assert!(second.contains(", uri=\"b:2\", qop=auth, nc=00000002, "), "{second}");
        let same = text(&digest.answer(&asked, "a:1").expect("answered"));
        assert!(same.contains("nc=00000003"), "{same}");
        let fresh = challenges("Digest realm=\"r\", nonce=\"other\", qop=\"auth\"");
        assert!(text(&digest.answer(&fresh, "a:1").expect("answered")).contains("nc=00000001"));
        assert!(!format!("{digest:?}").contains("CORP"));
    }

    proptest! {
        #[test]
        fn any_challenge_is_answered_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut header = b"Digest nonce=".to_vec();
            header.extend(text);
            if let Ok(header) = HeaderValue::from_bytes(&header) {
                let _ = digest("u", "p").answer(&Challenge::read_all([&header]), "a:1");
            }
        }
    }
}
