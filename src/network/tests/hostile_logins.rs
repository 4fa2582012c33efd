//! Proxies that ask for a login and mean no good: each costs a bounded time and gives one clear
//! error.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use super::logins::{by_own, by_password};
use crate::error::Error;
use crate::network::address::Address;
use crate::network::login::{Challenge, Login, Rounds};
use crate::network::tunnel::open_tunnel;
use crate::symptom::SymptomKind;

/// What a proxy writes behind each CONNECT, by its number; an empty piece ends the connection.
type Script = fn(usize) -> Box<dyn Iterator<Item = String> + Send>;

struct Hostile {
    script: Script,
    connects: AtomicUsize,
}

impl Hostile {
    async fn serve(self: Arc<Self>, mut stream: DuplexStream) {
        let mut request = Vec::new();
        while let Ok(byte) = stream.read_u8().await {
            request.push(byte);
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            request.clear();
            let connect = self.connects.fetch_add(1, Relaxed);
            for piece in (self.script)(connect) {
                if piece.is_empty() || stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The error, how many CONNECTs it took, and how long.
async fn ask(script: Script, login: &Login) -> (Error, usize, Duration) {
    let hostile = Arc::new(Hostile { script, connects: AtomicUsize::new(0) });
    let target = Address::parse("service.test", 443).expect("address");
    let began = Instant::now();
    let deadline = began + LIMIT;
    let mut rounds = Rounds::begin(login, "proxy.test", target.to_string(), deadline).await;
    let dial = || {
        let (near, far) = tokio::io::duplex(4096);
        tokio::spawn(Arc::clone(&hostile).serve(far));
        std::future::ready(Ok(near))
    };
    let opened = open_tunnel(dial, &target, &mut rounds, deadline).await;
    let fault = opened.map(drop).expect_err("no tunnel").hiding(&rounds.secrets());
    (fault.at("proxy"), hostile.connects.load(Relaxed), began.elapsed())
}

fn once(answer: impl Into<String>) -> Box<dyn Iterator<Item = String> + Send> {
    Box::new(std::iter::once(answer.into()))
}

fn asking(challenge: &str) -> String {
    format!("HTTP/1.1 407 Login\r\nProxy-Authenticate: {challenge}\r\nContent-Length: 0\r\n\r\n")
}

/// A page that goes on for ever behind this head.
fn endless(head: &str, piece: &'static str) -> Box<dyn Iterator<Item = String> + Send> {
    let head = format!("HTTP/1.1 407 Login\r\nProxy-Authenticate: Own 1, Basic\r\n{head}\r\n\r\n");
    Box::new(std::iter::once(head).chain(std::iter::repeat_with(|| piece.to_owned())))
}

const PROXIES: &[(&str, Script)] = &[
    ("a challenge of 1 MiB", |_| once(asking(&format!("Own {}", "x".repeat(1024 * 1024))))),
    ("a scheme of 1 MiB", |_| once(asking(&"x".repeat(1024 * 1024)))),
    ("10,000 challenges", |_| once(asking(&"Own 1, Digest nonce=1, Basic, ".repeat(10_000)))),
    ("a head without end", |_| {
        let first = std::iter::once("HTTP/1.1 407 Login\r\n".to_owned());
        Box::new(first.chain((0..).map(|at| format!("X-{at}: y\r\n"))))
    }),
    ("interim heads for ever", |_| {
        Box::new(std::iter::repeat_with(|| "HTTP/1.1 103 Early\r\n\r\n".to_owned()))
    }),
    ("the same 407 for ever", |_| once(asking("Own 1, Digest nonce=n, Basic realm=r"))),
    ("a new realm each round", |at| {
        once(asking(&format!(
            "Own realm=\"{at}\", Digest realm=\"{at}\", nonce=\"{at}\", qop=auth, stale=true, Basic realm=\"{at}\""
        )))
    }),
    ("a new realm, and each connection closed", |at| {
        Box::new([asking(&format!("Own {at}, Basic realm=\"{at}\"")), String::new()].into_iter())
    }),
    ("a 407 page without end", |_| endless("Content-Length: 99999999999", "page page page ")),
    ("a 407 page of chunks without end", |_| {
        endless("Transfer-Encoding: chunked", "4\r\npage\r\n")
    }),
    ("a 407 page without a length", |_| endless("Connection: keep-alive", "page")),
    ("trailers without end", |at| {
        endless("Transfer-Encoding: chunked", if at == 0 { "0\r\nA: b\r\n" } else { "A: b\r\n" })
    }),
];

#[tokio::test(start_paused = true)]
async fn a_hostile_proxy_costs_a_bounded_time_and_gives_one_clear_error() {
    for (name, script) in PROXIES {
        for login in [by_own(), by_password()] {
            let (error, connects, took) = ask(*script, &login).await;
            let symptom = error.symptom().expect("a symptom");
            assert!(NAMES_THE_CAUSE.contains(&symptom.kind()), "{name}: {error}");
            assert!(connects <= 10, "{name}: {connects} CONNECTs");
            assert!(took < LIMIT, "{name}: {took:?}");
            let told = error.to_string();
            let size = told.chars().count();
            assert!(size < 900 && !told.contains(char::is_control), "{name}: {size}: {told}");
            assert!(error.advice().is_some(), "{name}");
        }
    }
}

/// No nonce answer, token or password leaves with an error, whole or cut off.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_repeats_a_part_of_the_login_is_not_quoted() {
    let (user, password) = ("user".to_owned(), "pass-word".to_owned());
    let login =
        Login::new(Vec::new(), None, Some(super::super::login::Password { user, password }));
    let target = Address::parse("service.test", 443).expect("address");
    let deadline = Instant::now() + LIMIT;
    for challenge in ["Basic", "Digest realm=r, nonce=n, qop=auth", "Digest realm=r, nonce=n"] {
        let mut rounds = Rounds::begin(&login, "proxy.test", target.to_string(), deadline).await;
        let header = HeaderValue::from_static(challenge);
        let answered = rounds.answer(&Challenge::read_all([&header]), true).await;
        if cfg!(not(feature = "digest")) && answered.is_err() {
            continue;
        }
        assert!(answered.is_ok(), "{challenge}");
        let sent = rounds.authorization().expect("a login").to_str().expect("text").to_owned();
        let (_, after_scheme) = sent.split_once(' ').expect("a scheme");
        let response = sent.split_once("response=\"").map(|(_, rest)| &rest[..32]);
        for secret in [Some(after_scheme), response, Some("pass-word")].into_iter().flatten() {
            for cut in [0, 1, secret.len() / 2] {
                let said = format!("you sent {}", &secret[..secret.len() - cut]);
                let fault = crate::network::fault::Fault::new(SymptomKind::ProxyForbidden)
                    .with_first_bytes(said.as_bytes())
                    .hiding(&rounds.secrets());
                let error = fault.at("proxy");
                let kept = error.symptom().expect("a symptom").evidence().first_bytes().to_vec();
                let kept = String::from_utf8(kept).expect("text");
                assert_eq!(kept.trim_end_matches('*'), "you sent ", "{said}");
            }
        }
    }
}

/// 100,000 of them, always the same ones.
#[tokio::test(start_paused = true)]
async fn mutated_challenges_are_read_and_answered_without_panic() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let login = by_password();
    let deadline = Instant::now() + LIMIT;
    for _ in 0..100_000 {
        let count = 1 + chance.below(3);
        let headers: Vec<_> = (0..count).filter_map(|_| chance.challenge()).collect();
        let challenges = Challenge::read_all(&headers);
        assert!(challenges.len() <= 32, "{headers:?}");
        let mut rounds = Rounds::begin(&login, "proxy.test", "a:1".into(), deadline).await;
        let _ = rounds.answer(&challenges, chance.below(2) == 0).await;
        if let Some(answer) = rounds.authorization() {
            assert!(answer.is_sensitive(), "{headers:?}");
        }
    }
}

/// Numbers that look random, from a seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }

    /// One of the seeds with some bytes changed, cut, doubled, or taken from another.
    fn challenge(&mut self) -> Option<HeaderValue> {
        let mut text = SEEDS[self.below(SEEDS.len())].to_vec();
        for _ in 0..self.below(6) {
            let (from, to) = (self.below(text.len() + 1), self.below(text.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            match self.below(5) {
                0 => text.insert(from, TELLING[self.below(TELLING.len())]),
                1 => drop(text.drain(from..to)),
                2 => text.extend_from_within(from..to),
                3 => text
                    .splice(from..to, SEEDS[self.below(SEEDS.len())].iter().copied())
                    .for_each(drop),
                _ => text[from..to].iter_mut().take(3).for_each(|byte| *byte ^= 1 << self.below(8)),
            }
        }
        HeaderValue::from_bytes(&text).ok()
    }
}

const SEEDS: &[&[u8]] = &[
    b"Basic realm=\"corp\"",
    b"Digest realm=\"r, s\", nonce=\"n\", qop=\"auth,auth-int\", opaque=\"o\", algorithm=MD5-sess",
    b"Digest realm=\"a \\\"b\\\"\", nonce=abc==, algorithm=SHA-256, stale=true",
    b"Digest nonce=\"\", qop=auth, algorithm=SHA-512-256, charset=UTF-8, userhash=true",
    b"Negotiate YIIB/+==",
    b"NTLM TlRMTVNTUAAC, Negotiate, Basic realm=Zug\xe4nge",
    b", ,,  = \"never closed",
];
const TELLING: &[u8] = b"\",\\=; \t\xff%0a'";
const NAMES_THE_CAUSE: [SymptomKind; 3] = [
    SymptomKind::ProxyAuthenticationRequired,
    SymptomKind::ProxyMalformed,
    SymptomKind::ProxyClosed,
];
/// For a whole login.
const LIMIT: Duration = Duration::from_secs(30);
