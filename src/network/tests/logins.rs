//! Logins at scripted proxies: what each CONNECT carries, over which connection, and how it ends;
//! in virtual time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::error::BoxError;
use crate::network::address::Address;
use crate::network::fault::Fault;
use crate::network::login::{Custom, Login, Password, ProxyLogin, Rounds};
use crate::network::tunnel::{DRAIN_PATIENCE, MAX_PAGE, SKIM_PATIENCE, open_tunnel};
use crate::symptom::SymptomKind;

/// A proxy with an answer for each CONNECT.
struct Proxy {
    answers: Mutex<VecDeque<Vec<u8>>>,
    /// `connection: authorization` of each CONNECT.
    seen: Mutex<Vec<String>>,
    dials: Mutex<usize>,
}

/// Ends an answer: the connection is closed behind it.
const CLOSES: &str = "(closes)";

impl Proxy {
    fn new(answers: &[&str]) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.iter().map(|text| text.as_bytes().to_vec()).collect()),
            seen: Mutex::default(),
            dials: Mutex::default(),
        })
    }

    fn dial(self: &Arc<Self>) -> DuplexStream {
        let (near, far) = tokio::io::duplex(1024);
        let mut dials = self.dials.lock().expect("not poisoned");
        *dials += 1;
        tokio::spawn(Arc::clone(self).serve(far, *dials));
        near
    }

    async fn serve(self: Arc<Self>, mut far: DuplexStream, dial: usize) {
        while let Some(request) = read_request(&mut far).await {
            let header = "Proxy-Authorization: ";
            let login = request.lines().find_map(|line| line.strip_prefix(header)).unwrap_or("-");
            self.seen.lock().expect("not poisoned").push(format!("{dial}: {login}"));
            let answer = self.answers.lock().expect("not poisoned").pop_front();
            let answer = answer.expect("no further CONNECT was expected");
            let closes = answer.strip_suffix(CLOSES.as_bytes());
            // The client may have had enough.
            let _ = far.write_all(closes.unwrap_or(&answer)).await;
            if closes.is_some() {
                return;
            }
        }
    }

    async fn open(self: &Arc<Self>, login: &Login) -> Result<(), Fault> {
        let target = Address::parse("service.test", 443).expect("address");
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut rounds = Rounds::begin(login, "proxy.test", target.to_string(), deadline).await;
        let dial = || std::future::ready(Ok(self.dial()));
        let opened = open_tunnel(dial, &target, &mut rounds, deadline).await;
        opened.map_err(|fault| fault.hiding(&rounds.secrets()))?;
        rounds.opened();
        Ok(())
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("not poisoned"))
    }
}

async fn read_request(stream: &mut DuplexStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(request).expect("text"))
}

pub(super) fn by_password() -> Login {
    let (user, password) = ("user".to_owned(), "word".to_owned());
    Login::new(Vec::new(), None, Some(Password { user, password }))
}

fn digest(parameters: &str) -> String {
    format!(
        "HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nProxy-Authenticate: Digest realm=\"r\", qop=\"auth\", \
         {parameters}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// What was seen, of Digest only the nonce and its count.
#[cfg(feature = "digest")]
fn in_short(seen: Vec<String>) -> Vec<String> {
    let part = |line: &str, name: &str| {
        let (_, rest) = line.split_once(name).expect("a part of Digest");
        rest.split([',', '"']).next().expect("a value").to_owned()
    };
    let shorten = |line: String| match line.split_once(" Digest ") {
        Some((dial, rest)) => {
            assert!(rest.contains("uri=\"service.test:443\""), "{rest}");
            format!("{dial} {} {}", part(rest, " nonce=\""), part(rest, "nc="))
        }
        None => line,
    };
    seen.into_iter().map(shorten).collect()
}

/// A scheme of two rounds, whose tokens tell what they answer.
struct Own(u32);

impl ProxyLogin for Own {
    async fn step(&mut self, challenge: &str) -> Result<String, BoxError> {
        self.0 += 1;
        match challenge {
            "none" => Err("there is no ticket".into()),
            "line" => Ok("a\r\nb".to_owned()),
            _ => Ok(format!("{}[{challenge}]", self.0)),
        }
    }
}

pub(super) fn by_own() -> Login {
    let (user, password) = ("user".to_owned(), "word".to_owned());
    let own = Custom::new("Own", |tunnel| {
        assert_eq!((tunnel.proxy(), tunnel.target()), ("proxy.test", "service.test:443"));
        Own(0)
    });
    Login::new(vec![own], None, Some(Password { user, password }))
}

fn detail(outcome: Result<(), Fault>) -> String {
    let error = outcome.expect_err("a failure").at("proxy");
    let symptom = error.symptom().expect("a symptom");
    assert_eq!(symptom.kind(), SymptomKind::ProxyAuthenticationRequired);
    assert!(!format!("{error} {error:?}").contains("dXNlcjp3b3Jk"));
    symptom.evidence().detail().unwrap_or_default().to_owned()
}

const OPENED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";
const OWN: &str = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Own\r\nContent-Length: 4\r\n\r\npage";
const OWN_2: &str = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Own two\r\nProxy-Authenticate: \
                     Basic\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\nTrailer: x\r\n\r\n";
const BASIC: &str = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
const WORD: &str = "Basic dXNlcjp3b3Jk";

#[tokio::test(start_paused = true)]
async fn rounds_go_over_one_connection_and_what_was_good_is_known_from_then_on() {
    let (proxy, login) = (Proxy::new(&[OWN, OWN_2, OPENED, OPENED]), by_own());
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["1: -", "1: Own 1[]", "1: Own 2[two]"]);
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["2: -"], "a scheme of the program's own is asked for");

    let (proxy, login) = (Proxy::new(&[BASIC, OPENED, OPENED]), by_password());
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["1: -", &format!("1: {WORD}")]);
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), [format!("2: {WORD}")]);

    let (proxy, login) = (Proxy::new(&[OPENED, OPENED]), by_password());
    proxy.open(&login).await.expect("opened");
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["1: -", "2: -"], "a proxy that asks for nothing gets nothing");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_kept_is_dialled_anew() {
    let closes = |answer: &str| answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    let endless =
        format!("{}{}", OWN.replace("4\r\n\r\npage", "300000\r\n\r\n"), "x".repeat(300_000));
    assert!(endless.len() > MAX_PAGE);
    for (first, name) in [
        (closes(OWN), "close"),
        (OWN.replace("1.1", "1.0"), "HTTP/1.0"),
        (OWN.replace("Content-Length: 4\r\n", ""), "no length"),
        (endless, "a long page"),
        (OWN.replace("4\r\n\r\n", "400\r\n\r\n"), "a page that never ends"),
        (format!("{OWN}{CLOSES}"), "closed without a word"),
    ] {
        let (proxy, login) = (Proxy::new(&[&first, OWN_2, OPENED]), by_own());
        let began = Instant::now();
        proxy.open(&login).await.expect(name);
        assert_eq!(proxy.seen(), ["1: -", "2: Own 1[]", "2: Own 2[two]"], "{name}");
        assert!(began.elapsed() <= DRAIN_PATIENCE, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_of_a_connection_that_is_not_kept_is_hardly_waited_for() {
    let slow = OWN.replace("4\r\n\r\n", "400\r\n\r\n");
    let closing = slow.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    for (first, patience) in [(slow, DRAIN_PATIENCE), (closing, SKIM_PATIENCE)] {
        let (proxy, login) = (Proxy::new(&[&first, OWN_2, OPENED]), by_own());
        let began = Instant::now();
        proxy.open(&login).await.expect("opened");
        assert_eq!(began.elapsed(), patience);
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_the_proxy_cuts_in_the_middle_begins_anew_once() {
    let cut = OWN_2.replacen("\r\n", "\r\nProxy-Connection: close\r\n", 1);
    let (proxy, login) = (Proxy::new(&[OWN, &cut, OWN, OWN_2, OPENED]), by_own());
    proxy.open(&login).await.expect("opened");
    let whole = ["1: -", "1: Own 1[]", "2: -", "2: Own 1[]", "2: Own 2[two]"];
    assert_eq!(proxy.seen(), whole);

    let (proxy, login) = (Proxy::new(&[OWN, &cut, OWN, &cut]), by_own());
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "it closes the connection in the middle of the login");
    assert_eq!(proxy.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_scheme_that_cannot_be_begun_gives_way_and_one_that_is_refused_does_not() {
    let none = "HTTP/1.1 407 Login\r\nProxy-Authenticate: Own none\r\nProxy-Authenticate: Basic\r\n\
                Content-Length: 0\r\n\r\n";
    let (proxy, login) = (Proxy::new(&[none, OPENED]), by_own());
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["1: -", &format!("1: {WORD}")]);

    let both = OWN.replacen("Own\r\n", "Own, Basic\r\n", 1);
    for (refusal, name) in [(both.as_str(), "bare"), (BASIC, "no longer offered")] {
        let (proxy, login) = (Proxy::new(&[&both, refusal]), by_own());
        let told = detail(proxy.open(&login).await);
        assert_eq!(told, "it does not accept the login by Own", "{name}");
        assert_eq!(proxy.seen(), ["1: -", "1: Own 1[]"], "{name}: never a second scheme");
    }

    let only = none.replace("Proxy-Authenticate: Basic\r\n", "");
    let (proxy, login) = (Proxy::new(&[&only]), by_own());
    assert_eq!(detail(proxy.open(&login).await), "Own: there is no ticket");
    let line = only.replace("Own none", "Own line");
    let (proxy, login) = (Proxy::new(&[&line]), by_own());
    assert_eq!(detail(proxy.open(&login).await), "Own: its answer is not valid in a header");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_not_sent_again_by_the_next_calls() {
    let (proxy, login) = (Proxy::new(&[BASIC, BASIC, BASIC, BASIC, BASIC, OPENED]), by_password());
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "it does not accept the login by Basic");
    for _ in 0..2 {
        let told = detail(proxy.open(&login).await);
        assert_eq!(told, "its last login was refused, and is not sent again for some minutes");
    }
    assert_eq!(proxy.seen(), ["1: -", &format!("1: {WORD}"), "2: -", "3: -"]);
    tokio::time::advance(Duration::from_secs(301)).await;
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["4: -", &format!("4: {WORD}")]);
}

#[tokio::test(start_paused = true)]
async fn fifty_calls_at_once_send_one_wrong_password() {
    let answers = vec![BASIC; 51];
    let (proxy, login) = (Proxy::new(&answers), Arc::new(by_password()));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (proxy, login) = (Arc::clone(&proxy), Arc::clone(&login));
        calls.spawn(async move { proxy.open(&login).await });
    }
    for outcome in calls.join_all().await {
        detail(outcome);
    }
    let seen = proxy.seen();
    assert_eq!(seen.iter().filter(|line| line.ends_with(WORD)).count(), 1, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_say_what_it_takes_gets_basic() {
    let silent = "HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n";
    let (proxy, login) = (Proxy::new(&[silent, silent]), by_password());
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "it does not accept the login by Basic");
    assert_eq!(proxy.seen(), ["1: -", &format!("1: {WORD}")]);
    let ntlm = BASIC.replace("Basic", "NTLM");
    let (proxy, login) = (Proxy::new(&[&ntlm]), by_password());
    let told = detail(proxy.open(&login).await);
    assert!(told.starts_with("it takes NTLM, not ") && told.ends_with("Basic"), "{told}");
    assert_eq!(proxy.seen(), ["1: -"]);
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_asks_for_ever_is_left() {
    let more: Vec<_> = (0..50).map(|at| OWN_2.replace("two", &format!("realm=\"{at}\""))).collect();
    let more: Vec<_> = more.iter().map(String::as_str).collect();
    let (proxy, login) = (Proxy::new(&more), by_own());
    assert_eq!(detail(proxy.open(&login).await), "its login takes too many rounds");
    assert_eq!(proxy.seen().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_login_is_sent_once_where_its_connection_is_closed_again_and_again() {
    let closed = format!("{BASIC}{CLOSES}");
    let login = by_own();
    let (proxy, nothing) = (Proxy::new(&[&closed, CLOSES, CLOSES]), CLOSES);
    let error = proxy.open(&login).await.expect_err(nothing).at("proxy");
    assert_eq!(error.symptom().expect("symptom").kind(), SymptomKind::ProxyClosed);
    assert_eq!(proxy.seen(), ["1: -".to_owned(), format!("2: {WORD}")]);
}

#[cfg(feature = "digest")]
#[tokio::test(start_paused = true)]
async fn digest_comes_before_basic_and_saves_the_next_connection_a_round() {
    let (a, b, stale) =
        (digest("nonce=\"a\""), digest("nonce=\"b\""), digest("nonce=\"c\", stale=TRUE"));
    let answers = [&a, OPENED, OPENED, &b, OPENED, &stale, OPENED, &stale, &b];
    let (proxy, login) = (Proxy::new(&answers), by_password());
    for seen in [
        &["1: -", "1: a 00000001"][..],
        &["2: a 00000002"],
        &["3: a 00000003", "3: b 00000001"],
        &["4: b 00000002", "4: c 00000001"],
    ] {
        proxy.open(&login).await.expect("opened");
        assert_eq!(in_short(proxy.seen()), seen);
    }
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "it does not accept the login by Digest");
    assert_eq!(in_short(proxy.seen()), ["5: c 00000002", "5: c 00000003"]);
}

#[cfg(feature = "digest")]
#[tokio::test(start_paused = true)]
async fn a_refused_digest_ends_the_login_and_a_nonce_that_is_always_stale_does_too() {
    let fresh = |nonce: &str, realm: &str| digest(&format!("nonce=\"{nonce}\", stale={realm}"));
    let (proxy, login) = (Proxy::new(&[&fresh("a", "no"), &fresh("b", "false")]), by_password());
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "it does not accept the login by Digest");
    assert_eq!(in_short(proxy.seen()), ["1: -", "1: a 00000001"], "never Basic behind it");

    let stale: Vec<_> = (0..50).map(|at| fresh(&at.to_string(), "true")).collect();
    let stale: Vec<_> = stale.iter().map(String::as_str).collect();
    let (proxy, login) = (Proxy::new(&stale), by_password());
    detail(proxy.open(&login).await);
    assert_eq!(proxy.seen().len(), 4);
}

#[cfg(feature = "digest")]
#[tokio::test(start_paused = true)]
async fn a_digest_that_cannot_be_answered_gives_way_to_basic() {
    let (proxy, login) = (Proxy::new(&[&digest("algorithm=SHA-1"), OPENED]), by_password());
    proxy.open(&login).await.expect("opened");
    assert_eq!(proxy.seen(), ["1: -", &format!("1: {WORD}")]);
    let only = digest("algorithm=SHA-1").replace("Proxy-Authenticate: Basic\r\n", "");
    let (proxy, login) = (Proxy::new(&[&only]), by_password());
    let told = detail(proxy.open(&login).await);
    assert_eq!(told, "Digest: the algorithm SHA-1 is not supported");
}

#[cfg(not(feature = "digest"))]
#[tokio::test(start_paused = true)]
async fn a_proxy_that_takes_digest_only_names_the_feature() {
    let only = digest("nonce=\"a\"").replace("Proxy-Authenticate: Basic\r\n", "");
    let (proxy, login) = (Proxy::new(&[&only]), by_password());
    let told = detail(proxy.open(&login).await);
    assert!(told.contains("the feature `digest`"), "{told}");
    assert_eq!(proxy.seen(), ["1: -"]);
}
