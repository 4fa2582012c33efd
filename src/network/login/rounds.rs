//! Rounds: one login at one proxy, from the first CONNECT to the tunnel or to the end of it.
//!
//! No bytes are moved here: the tunnel hands in what the proxy wants, and gets what to send next.
//! The rules: the strongest scheme that may be used comes first; one that cannot be begun (no
//! ticket) gives way to the next; a login that was sent and refused ends everything, since accounts
//! lock.

use http::HeaderValue;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout_at};

use super::account::Login;
use super::challenge::Challenge;
use super::custom::{ProxyTunnel, Steps};
use super::digest::Digest;
use super::memory::Standing;
use super::negotiate::Negotiate;
use super::scheme::Scheme;
use super::trouble::Trouble;
use crate::error::BoxError;
use crate::symptom::LoginTrouble;

/// One login, over as many connections as the proxy closes.
pub(crate) struct Rounds<'a> {
    login: &'a Login,
    tunnel: ProxyTunnel,
    deadline: Instant,
    current: Option<Current<'a>>,
    /// What goes with the next CONNECT.
    next: Option<HeaderValue>,
    sent: Vec<HeaderValue>,
    /// Schemes that could not be begun here, and why.
    passed_over: Vec<(usize, Trouble)>,
    /// A login was refused lately: none is sent.
    is_held: bool,
    has_begun_anew: bool,
    left: u8,
    /// Until a login is known to be good, only one is under way: fifty calls must not send fifty
    /// wrong passwords.
    _turn: Option<MutexGuard<'a, ()>>,
}

/// The scheme in use.
struct Current<'a> {
    place: usize,
    attempt: Attempt<'a>,
    /// What it answered last; nothing if it spoke first.
    asked: Vec<Challenge>,
    answers: u32,
}

/// One scheme on its way.
enum Attempt<'a> {
    Custom(Box<dyn Steps>),
    Negotiate(&'a Negotiate),
    Digest(&'a Digest),
    Basic(&'a HeaderValue),
}

impl<'a> Rounds<'a> {
    /// Waits for its turn if the login is not known to be good, until `deadline` at the latest.
    pub(crate) async fn begin(
        login: &'a Login,
        proxy: &str,
        target: String,
        deadline: Instant,
    ) -> Self {
        let turn = login.turn(deadline).await;
        let mut rounds = Self {
            login,
            tunnel: ProxyTunnel::new(proxy, target),
            deadline,
            current: None,
            next: None,
            sent: Vec::new(),
            passed_over: Vec::new(),
            is_held: login.memory.holds_back(Instant::now()),
            has_begun_anew: false,
            left: MAX_ANSWERS,
            _turn: turn,
        };
        if let Some(place) = rounds.speaks_first() {
            // Without a first word, the proxy is asked.
            let _ = rounds.start(place, Vec::new()).await;
        }
        rounds
    }

    /// The scheme that was good before. Else the proxy is asked first: a password is not for one
    /// that wants none, nor in the clear for one that takes Digest.
    fn speaks_first(&self) -> Option<usize> {
        let Standing::Opened(Some(place)) = self.login.memory.standing() else { return None };
        let scheme = self.login.schemes.get(place)?;
        scheme.can_speak_first().then_some(place)
    }

    /// What goes with the next CONNECT.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.next.as_ref()
    }

    /// Whether a further 407 may be answered, so that its page is worth reading to the end.
    pub(crate) fn can_answer(&self) -> bool {
        self.login.is_given() && !self.is_held
    }

    /// The proxy opened the tunnel.
    pub(crate) fn opened(&self) {
        self.login.memory.opened(self.current.as_ref().map(|current| current.place));
    }

    /// The proxy wants a login, or another one. `is_kept`: the next CONNECT goes over the same
    /// connection.
    ///
    /// # Errors
    /// There is none, or it was refused.
    pub(crate) async fn answer(
        &mut self,
        challenges: &[Challenge],
        is_kept: bool,
    ) -> Result<(), Trouble> {
        let answered = self.answer_one(challenges, is_kept).await;
        let why = |(_, trouble): &(usize, Trouble)| trouble.detail.clone();
        self.login.memory.note(names(challenges), self.passed_over.iter().map(why).collect());
        answered
    }

    async fn answer_one(&mut self, challenges: &[Challenge], is_kept: bool) -> Result<(), Trouble> {
        self.next = None;
        if self.is_held {
            let detail = "its last login was refused, and is not sent again for some minutes";
            return Err(Trouble::new(LoginTrouble::Refused, detail));
        }
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            Trouble::new(LoginTrouble::NotBegun, "its login takes too many rounds")
        })?;
        match self.current.take() {
            Some(current) => self.go_on(current, challenges, is_kept).await,
            None => self.choose(challenges).await,
        }
    }

    /// The scheme in use has its answer: another challenge, or a refusal.
    async fn go_on(
        &mut self,
        current: Current<'a>,
        challenges: &[Challenge],
        is_kept: bool,
    ) -> Result<(), Trouble> {
        let scheme = self.scheme(current.place)?;
        let asked = of_scheme(challenges, scheme);
        let was_asked_for = !current.asked.is_empty();
        if asked.is_empty() && !was_asked_for && !challenges.is_empty() {
            // It spoke first, and the proxy does not know its scheme: nobody refused it.
            return self.choose(challenges).await;
        }
        let goes_on = match &current.attempt {
            // One token is all that Kerberos has to say.
            Attempt::Negotiate(_) | Attempt::Basic(_) => false,
            Attempt::Digest(_) => wants_another_nonce(&asked, was_asked_for, current.answers),
            Attempt::Custom(_) => asked.iter().any(|challenge| !challenge.is_bare()),
        };
        if !goes_on {
            self.login.memory.refused(Instant::now());
            let detail = format!("it does not accept the login by {}", scheme.name());
            return Err(Trouble::new(LoginTrouble::Refused, detail));
        }
        if !is_kept && scheme.is_bound_to_connection() {
            return self.begin_anew();
        }
        self.step(current, asked).await
    }

    /// The proxy closed the connection in the middle of the login: once more, from the beginning.
    fn begin_anew(&mut self) -> Result<(), Trouble> {
        if self.has_begun_anew {
            let detail = "it closes the connection in the middle of the login";
            return Err(Trouble::new(LoginTrouble::NotBegun, detail));
        }
        self.has_begun_anew = true;
        Ok(())
    }

    /// The connection was gone before the proxy said anything: the same on a new one, with fresh
    /// tokens.
    ///
    /// # Errors
    /// It was so before, or the login cannot be repeated.
    pub(crate) async fn repeat(&mut self) -> Result<(), Trouble> {
        self.begin_anew()?;
        self.next = None;
        match self.current.take() {
            Some(current) if current.answers == 1 => self.start(current.place, current.asked).await,
            _ => Ok(()),
        }
    }

    /// The strongest scheme that is offered, may be used, and can be begun.
    async fn choose(&mut self, challenges: &[Challenge]) -> Result<(), Trouble> {
        for place in 0..self.login.schemes.len() {
            if self.passed_over.iter().any(|(passed, _)| *passed == place) {
                continue;
            }
            let scheme = self.scheme(place)?;
            let asked = of_scheme(challenges, scheme);
            // Some proxies do not say what they take: it was Basic before there was anything else.
            let is_silent = challenges.is_empty() && matches!(scheme, Scheme::Basic(_));
            if asked.is_empty() && !is_silent {
                continue;
            }
            match self.start(place, asked).await {
                Ok(()) => return Ok(()),
                Err(trouble) => self.passed_over.push((place, trouble)),
            }
        }
        Err(self.why_none(challenges))
    }

    async fn start(&mut self, place: usize, asked: Vec<Challenge>) -> Result<(), Trouble> {
        let attempt = match self.scheme(place)? {
            Scheme::Custom(custom) => Attempt::Custom(custom.begin(&self.tunnel)),
            Scheme::Negotiate(negotiate) => Attempt::Negotiate(negotiate),
            Scheme::Digest(digest) => Attempt::Digest(digest),
            Scheme::Basic(value) => Attempt::Basic(value),
        };
        self.step(Current { place, attempt, asked: Vec::new(), answers: 0 }, asked).await
    }

    /// Makes the next thing to send.
    async fn step(
        &mut self,
        mut current: Current<'a>,
        asked: Vec<Challenge>,
    ) -> Result<(), Trouble> {
        let name = self.scheme(current.place)?.name();
        let answer = match &mut current.attempt {
            Attempt::Basic(value) => Ok((*value).clone()),
            Attempt::Negotiate(negotiate) => match negotiate.header(self.deadline).await {
                Ok(value) => Ok(value),
                Err(trouble) => return Err(trouble),
            },
            Attempt::Digest(digest) => digest.answer(&asked, self.tunnel.target()),
            Attempt::Custom(steps) => {
                let challenge = asked.first().map(Challenge::value).unwrap_or_default();
                let challenge = String::from_utf8_lossy(challenge);
                let token = timeout_at(self.deadline, steps.step(&challenge)).await;
                custom_header(name, token.unwrap_or_else(|_| Err("it took too long".into())))
            }
        };
        let value =
            answer.map_err(|why| Trouble::new(LoginTrouble::NotBegun, format!("{name}: {why}")))?;
        self.sent.push(value.clone());
        self.next = Some(value);
        self.current = Some(Current { answers: current.answers + 1, asked, ..current });
        Ok(())
    }

    fn scheme(&self, place: usize) -> Result<&'a Scheme, Trouble> {
        let none = || Trouble::new(LoginTrouble::Missing, "it asks for a login");
        self.login.schemes.get(place).ok_or_else(none)
    }

    /// Why nothing was sent in answer to these challenges.
    fn why_none(&self, challenges: &[Challenge]) -> Trouble {
        if let Some((_, trouble)) = self.passed_over.last() {
            return trouble.clone();
        }
        let offered = names(challenges);
        let takes = |scheme: &str| challenges.iter().any(|challenge| challenge.is(scheme));
        if takes("Digest") && !cfg!(feature = "digest") && self.login.password.is_some() {
            let detail = "it takes Digest, which needs the feature `digest` of genai-bridge";
            return Trouble::new(LoginTrouble::NeedsFeature, detail);
        }
        let takes_password = offered.is_empty() || takes("Basic") || takes("Digest");
        let kind = match (self.login.is_given(), takes("Negotiate")) {
            (false, _) if takes_password => LoginTrouble::Missing,
            (_, true) if !Negotiate::IS_SUPPORTED => {
                let detail = "it takes Negotiate, which needs the feature `negotiate` of genai-bridge on Unix";
                return Trouble::new(LoginTrouble::NeedsFeature, detail);
            }
            (_, true) => LoginTrouble::NotAllowed,
            (_, false) => LoginTrouble::NotSupported,
        };
        let own: Vec<&str> = self.login.schemes.iter().map(Scheme::name).collect();
        let detail = match (offered.is_empty(), own.is_empty()) {
            (true, _) => "it does not say which login it takes".to_owned(),
            (false, true) => format!("it takes {}", offered.join(" or ")),
            (false, false) => {
                format!("it takes {}, not {}", offered.join(" or "), own.join(" or "))
            }
        };
        Trouble::new(kind, detail)
    }

    /// What a page of the proxy must not repeat.
    pub(crate) fn secrets(&self) -> Vec<Vec<u8>> {
        let after_scheme = |value: &HeaderValue| {
            let bytes = value.as_bytes();
            let gap = bytes.iter().position(|byte| *byte == b' ').map_or(0, |gap| gap + 1);
            bytes.get(gap..).unwrap_or_default().to_vec()
        };
        let password = self.login.password.as_ref().map(|login| login.password.as_bytes().to_vec());
        let password = password.filter(|password| password.len() >= SHORTEST_SECRET);
        // Of Digest's many parts this one stands for the password.
        let responses = Challenge::read_all(&self.sent)
            .into_iter()
            .filter_map(|sent| sent.parameter("response").map(std::borrow::Cow::into_owned));
        self.sent.iter().map(after_scheme).chain(responses).chain(password).collect()
    }
}

/// The proxy forgot the nonce, and refused nobody: it says so, or the nonce is one from a former
/// connection.
fn wants_another_nonce(asked: &[Challenge], was_asked_for: bool, answers: u32) -> bool {
    let is_stale = |challenge: &Challenge| {
        challenge.parameter("stale").is_some_and(|stale| stale.eq_ignore_ascii_case(b"true"))
    };
    !asked.is_empty()
        && answers < MAX_NONCES
        && (asked.iter().any(is_stale) || !was_asked_for && answers == 1)
}

/// A token of the program's own scheme, behind the scheme's name.
fn custom_header(scheme: &str, token: Result<String, BoxError>) -> Result<HeaderValue, String> {
    let token = token.map_err(|error| error.to_string())?;
    let mut value = HeaderValue::try_from(format!("{scheme} {token}"))
        .map_err(|_| "its answer is not valid in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn of_scheme(challenges: &[Challenge], scheme: &Scheme) -> Vec<Challenge> {
    challenges.iter().filter(|challenge| challenge.is(scheme.name())).cloned().collect()
}

/// The schemes that are offered, each once.
fn names(challenges: &[Challenge]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for challenge in challenges {
        if !names.iter().any(|name| challenge.is(name)) {
            names.push(challenge.scheme().to_owned());
        }
    }
    names
}

/// NTLM takes three CONNECTs; further ones are no login but a mistake.
const MAX_ANSWERS: u8 = 8;
/// A proxy that calls each nonce of its own stale will not stop.
const MAX_NONCES: u32 = 3;
/// A shorter password would blank out half of every page.
const SHORTEST_SECRET: usize = 4;
