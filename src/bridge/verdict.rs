//! Verdict: what was learnt about a network, as a text that outlives the process.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::error::{Error, ErrorKind};
use crate::fallback::{Remembered, Term};
use crate::symptom::{Mark, SymptomKind};

/// What a [`Bridge`](crate::Bridge) has learnt against gRPC on one network: for all calls, or for
/// single methods.
///
/// [`Bridge::verdict`](crate::Bridge::verdict) returns it, and
/// [`BridgeBuilder::verdict`](crate::BridgeBuilder::verdict) takes it. So a program that restarts
/// behind a bad proxy need not find out again that gRPC is broken there.
///
/// Its text (`to_string`, `parse`, serde) has a few lines: the endpoint and the proxy that it holds
/// for, and the time at which each part expires. It contains no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    network: String,
    grpc: Option<(SymptomKind, Expiring)>,
    methods: Vec<(Box<str>, Expiring)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Expiring {
    /// Seconds since 1970.
    until: u64,
    verdicts: u32,
}

impl Verdict {
    /// What is held against gRPC on the network of this name, if anything.
    pub(super) fn of(remembered: Remembered, network: String) -> Option<Self> {
        if remembered.is_empty() {
            return None;
        }
        let clocks = Clocks::now();
        let grpc = remembered.grpc.map(|(kind, term)| (kind, clocks.expiring(term)));
        let methods = remembered.methods.into_iter();
        let methods = methods.map(|(path, term)| (path, clocks.expiring(term))).collect();
        Some(Self { network, grpc, methods })
    }

    pub(super) fn remembered(&self) -> Remembered {
        let clocks = Clocks::now();
        let methods = self.methods.iter();
        Remembered {
            grpc: self.grpc.map(|(kind, expiring)| (kind, clocks.term(expiring))),
            methods: methods.map(|(path, term)| (path.clone(), clocks.term(*term))).collect(),
        }
    }

    /// The endpoint and the proxy that it holds for, in words.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Why gRPC carries no calls there; `None` if it holds for single methods only.
    pub fn symptom(&self) -> Option<SymptomKind> {
        self.grpc.map(|(kind, _)| kind)
    }

    /// The time at which its last part expires.
    pub fn until(&self) -> SystemTime {
        let grpc = self.grpc.iter().map(|(_, expiring)| expiring.until);
        let last = grpc.chain(self.methods.iter().map(|(_, expiring)| expiring.until)).max();
        // What was read is a time that the clock has: see `read_expiring`.
        UNIX_EPOCH + Duration::from_secs(last.unwrap_or_default())
    }
}

/// The clock of timers and the wall's, read together.
struct Clocks {
    instant: Instant,
    wall: u64,
}

impl Clocks {
    fn now() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), wall: wall.as_secs() }
    }

    fn expiring(&self, term: Term) -> Expiring {
        let left = term.until.saturating_duration_since(self.instant);
        let until = self.wall.saturating_add(left.as_secs());
        Expiring { until, verdicts: term.verdicts.clamp(1, MOST_VERDICTS) }
    }

    /// A time far ahead, of a clock that was set since or of a text that lies, is cut: whoever
    /// takes it limits it further.
    fn term(&self, expiring: Expiring) -> Term {
        let left = Duration::from_secs(expiring.until.saturating_sub(self.wall)).min(FARTHEST);
        Term { until: self.instant + left, verdicts: expiring.verdicts }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD} {VERSION}")?;
        writeln!(f, "network {}", self.network)?;
        if let Some((kind, expiring)) = &self.grpc {
            writeln!(f, "grpc {} {} {}", kind.name(), expiring.until, expiring.verdicts)?;
        }
        for (path, expiring) in &self.methods {
            writeln!(f, "method {path} {} {}", expiring.until, expiring.verdicts)?;
        }
        Ok(())
    }
}

impl FromStr for Verdict {
    type Err = Error;

    /// # Errors
    /// This release cannot read the text ([`ErrorKind::Configuration`]): it is from a later
    /// version, damaged, or not a verdict. Drop it then; the bridge learns again.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(wrong("is too long"));
        }
        let mut lines = text.lines();
        let version = lines.next().and_then(|head| head.strip_prefix(HEAD));
        match version.map(str::trim) {
            Some(VERSION) => {}
            Some(_) => return Err(wrong("is of another version of genai-bridge")),
            None => return Err(wrong("has another first line")),
        }
        let network = lines.next().and_then(|line| line.strip_prefix("network "));
        let network = network.ok_or_else(|| wrong("names no network"))?.to_owned();
        let mut verdict = Self { network, grpc: None, methods: Vec::new() };
        for line in lines {
            verdict.read_line(line).ok_or_else(|| wrong("has a line that cannot be read"))?;
        }
        if verdict.grpc.is_none() && verdict.methods.is_empty() {
            return Err(wrong("holds nothing"));
        }
        Ok(verdict)
    }
}

impl Verdict {
    /// `None` if the line says nothing that a verdict can say.
    fn read_line(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let (what, name) = (words.next()?, words.next()?);
        let expiring = read_expiring(words.next()?, words.next()?)?;
        match (what, words.next()) {
            ("grpc", None) if self.grpc.is_none() => {
                let kind: SymptomKind = name.parse().ok()?;
                (kind.mark() != Mark::No).then(|| self.grpc = Some((kind, expiring)))
            }
            ("method", None) if name.starts_with('/') => {
                self.methods.push((name.into(), expiring));
                Some(())
            }
            _ => None,
        }
    }
}

fn read_expiring(until: &str, verdicts: &str) -> Option<Expiring> {
    let until = until.parse().ok().filter(|until| *until <= LAST_SECOND)?;
    let verdicts =
        verdicts.parse().ok().filter(|verdicts| (1..=MOST_VERDICTS).contains(verdicts))?;
    Some(Expiring { until, verdicts })
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the text of a verdict {what}"))
}

const HEAD: &str = "genai-bridge verdict";
const VERSION: &str = "1";
/// Some hundred methods.
const LONGEST: usize = 64 * 1024;
/// More make no verdict longer.
const MOST_VERDICTS: u32 = 1_000;
/// The end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
const FARTHEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "genai-bridge verdict 1
network https, host a:443 through proxy b:3128
grpc http2-not-offered 4102444800 3
method /p.S/M 4102444801 1
";

    #[test]
    fn a_verdict_is_read_as_it_is_written() {
        let verdict: Verdict = TEXT.parse().expect("a verdict");
        assert_eq!(verdict.to_string(), TEXT);
        assert_eq!(verdict.network(), "https, host a:443 through proxy b:3128");
        assert_eq!(verdict.symptom(), Some(SymptomKind::Http2NotOffered));
        assert_eq!(verdict.until(), UNIX_EPOCH + Duration::from_secs(4_102_444_801));
        let again = Verdict::of(verdict.remembered(), verdict.network.clone()).expect("the same");
        let (there, back) = (verdict.grpc.expect("one").1, again.grpc.expect("one").1);
        // Farther than any verdict holds.
        assert!(back.until < there.until && back.verdicts == there.verdicts);
    }

    #[test]
    fn another_text_is_an_error_that_says_what_is_wrong() {
        let line = |from: &str, to: &str| TEXT.replacen(from, to, 1);
        for (text, what) in [
            (String::new(), "has another first line"),
            (line("genai", "genau"), "has another first line"),
            (line("verdict 1", "verdict 2"), "is of another version"),
            (line("network", "net"), "names no network"),
            (line("http2-not-offered", "bad-weather"), "cannot be read"),
            // Such a failure says nothing of gRPC.
            (line("http2-not-offered", "connection-refused"), "cannot be read"),
            (line("4102444800", "-1"), "cannot be read"),
            (line("4102444800", "18446744073709551615"), "cannot be read"),
            (line(" 3\n", " 0\n"), "cannot be read"),
            (line(" 3\n", " 4000000000\n"), "cannot be read"),
            (line(" 3\n", " 3 more\n"), "cannot be read"),
            (line("method", "grpc"), "cannot be read"),
            (line("/p.S/M", "p.S/M"), "cannot be read"),
            (TEXT.lines().take(2).collect::<Vec<_>>().join("\n"), "holds nothing"),
            (TEXT.repeat(1_000), "is too long"),
        ] {
            let error = text.parse::<Verdict>().expect_err(&text);
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(what), "{error}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(place in 0..TEXT.len(), put in "[ \\n0-9a-z/\\x00-\\u{7ff}]{0,20}") {
            let mut text = TEXT.to_owned();
            text.insert_str(place, &put);
            if let Ok(verdict) = text.parse::<Verdict>() {
                let _ = (verdict.until(), verdict.remembered());
                assert_eq!(verdict.to_string().parse::<Verdict>().expect("its own text"), verdict);
            }
        }
    }
}
